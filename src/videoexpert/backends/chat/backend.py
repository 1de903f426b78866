"""Chat models behind the five verbs: prompts in, strict parser out, every answer with how it was read and scored."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, overload

import torch

from ...errors import InputError
from ...grounding.decoding import highlights_of
from ...types import Answer, Captions, Evidence, Frames, Highlights, Moment, Moments, Stretch, Told
from ..base import TASKS, check_queries, check_question, one_window
from ..blank import GREY, evidence_of
from ..fitted import TakesFit
from ..sourced import sourced
from .answers import PARSER, Span, read_captions, read_choice, read_moments, spoken
from .frames import Budget, read
from .prompts import LETTERS, Prompts, prompts_for
from .scores import KINDS, agreement_scores, digit_scores
from .talk import Ask, Reply, Talk, Talker

GROUND_TOKENS = 256  # longest answer to a query; a model that thinks first gets THOUGHT_TOKENS more
THOUGHT_TOKENS = 2048
POINTS_PER_S, MOST_POINTS = 10, 5000  # of a curve: stated times are finer than the frames


@dataclass(frozen=True)
class Scoring:
    """Where scores come from: "digits", or "agreement" of so many sampled answers."""

    kind: str = "digits"
    samples: int = 5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"the score is {self.kind!r}, expected one of {', '.join(KINDS)}.")
        if self.samples < 1:
            raise InputError(f"the number of samples is {self.samples}, expected at least 1.")


class ChatBackend(TakesFit):
    """A chat model, local or behind a server."""

    can = TASKS

    def __init__(
        self,
        talker: Talker,
        prompts: Prompts | None = None,
        budget: Budget | None = None,
        scoring: Scoring | None = None,
    ) -> None:
        self.talker = talker
        self.prompts = prompts or prompts_for(talker.name)
        self.budget = budget or talker.budget
        self.scoring = scoring or Scoring()
        self.name = talker.name
        self.videos_at_once = talker.videos_at_once

    def describe(self) -> dict[str, Any]:
        """What a number needs to be reproduced: model, prompts, budgets, parser, score."""
        score: dict[str, Any] = {"kind": self.scoring.kind}
        if self.scoring.kind == "agreement":
            score["samples"] = self.scoring.samples
        return {
            **self.talker.describe(),
            "kind": "chat",
            "prompts": self.prompts.describe(),
            "frames": self.budget.describe(),
            "parser": PARSER,
            "score": score,
            **self.describe_fit(),
        }

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> ChatVideo:
        """Decode a video, or its part from ``start`` to ``end`` (seconds), within the budget.

        Raises VideoError for a file that gives no frames, InputError for a part outside the video.
        """
        frames = read(
            path,
            self.budget,
            self.talker.size_for(self.budget),
            start=start,
            end=end,
            count=num_frames,
            multiple=self.talker.multiple,
        )
        return self.open_frames(frames, os.fspath(path))

    def open_frames(self, frames: Frames, path: str = "") -> ChatVideo:
        """A video whose frames are at hand."""
        return ChatVideo(self, self.talker.look(frames), frames, path)


@sourced
class ChatVideo:
    """An open video. Times are seconds on the players' clock; the model counts from the start of the part opened."""

    def __init__(self, backend: ChatBackend, talk: Talk, frames: Frames, path: str) -> None:
        self.backend, self.talk, self.path, self.frames = backend, talk, path, frames
        self.duration, self.start, self.clip = frames.duration_s, frames.start_s, frames.stretch
        count = max(len(frames), min(MOST_POINTS, math.ceil(self.clip.seen_s * POINTS_PER_S)))
        self.centres = self.clip.centres(count)

    @property
    def looked_at(self) -> dict[str, float]:
        """What was looked at, for a result: one window, and its frames."""
        return one_window(self.duration, len(self.frames))

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """The moments that the model names for a sentence, or for each of many, best score first.

        Raises InputError for an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        check_queries(asked)
        found = [
            self._moments(query, *said, top_k) for query, said in zip(asked, self._said(asked), strict=True)
        ]
        if self.backend.fit is not None:
            found = [self.backend.fit.moments(one) for one in found]
        return found[0] if isinstance(queries, str) else found

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds: the score of the moment that the model named there, else 0."""
        clip = Stretch(self.start, self.duration, self.clip.holes)
        return highlights_of(self.ground(query, top_k), clip, clip_s)

    def caption(self, max_new_tokens: int = 2048) -> Captions:
        """Sentences, each with its moment, in temporal order; empty, with a warning, if none could be read."""
        ask = Ask(self.backend.prompts.caption, max_new_tokens)
        (reply,) = self.talk.replies([ask])
        reading = read_captions(reply.text, self.duration)
        scores = digit_scores(reply, reading.spans, self.duration)
        told = Told(reply.text, reading.how, "none" if scores is None else "digits")
        moments = [
            self._moment(span, 1.0 if scores is None else score)
            for span, score in zip(reading.spans, scores or [1.0] * len(reading.spans), strict=True)
        ]
        fit = self.backend.fit
        return Captions(moments if fit is None else map(fit.moment, moments), told)

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """An answer, and the moments that the model names for question and answer together.

        With ``choices`` the one whose letter is likeliest, or the one that the answer names where likelihoods are not
        known. Raises InputError for an empty question, fewer than two choices, or more than there are letters.
        """
        if choices is None or len(choices) <= len(LETTERS):  # more have no letters; the error below says so
            check_question(question, choices)
        if choices is None:
            (reply,) = self.talk.replies([Ask(self.backend.prompts.asking(question), max_new_tokens)])
            text = " ".join(spoken(reply.text).split())
            found = self.ground(f"{question.strip()} {text}".strip(), 3)
            return Answer(question, text, None, found.items, told=found.told)
        if len(choices) > len(LETTERS):
            raise InputError(
                f"{len(choices)} choices were given, expected at most {len(LETTERS)}, one for each letter."
            )
        best, scores, made = self._chosen(question, choices, max_new_tokens)
        if best is None:
            return Answer(question, "", told=Told("", "failed", "none", made), choices=tuple(choices))
        found = self.ground(f"{question.strip()} {choices[best]}", 3)
        assert found.told is not None
        told = replace(found.told, choice=made)
        return Answer(question, choices[best], best, found.items, scores, told, tuple(choices))

    @cached_property
    def _blank(self) -> ChatVideo:
        grey = replace(self.frames, pixels=torch.full_like(self.frames.pixels, GREY))
        return self.backend.open_frames(grey)

    @overload
    def evidence(self, queries: str) -> Evidence: ...  # type: ignore[overload-overlap]
    @overload
    def evidence(self, queries: Sequence[str]) -> list[Evidence]: ...
    def evidence(self, queries: str | Sequence[str]) -> Evidence | list[Evidence]:
        """How far the answer to a query, or to each of many, moves when the pictures are grey ones at the same times.

        Raises InputError for an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        pairs = zip(self.ground(asked, 1), self._blank.ground(asked, 1), strict=True)
        found = [evidence_of(seen, guessed) for seen, guessed in pairs]
        return found[0] if isinstance(queries, str) else found

    def _chosen(
        self, question: str, choices: Sequence[str], max_new_tokens: int
    ) -> tuple[int | None, tuple[float, ...], str]:
        """The choice, the probability of each, and how it was made; without likelihoods what the answer names."""
        asked = self.backend.prompts.asking(question, choices)
        chances = self.talk.likelihoods(asked, list(LETTERS[: len(choices)]))
        if chances is not None:
            scores = torch.tensor(chances, dtype=torch.float64).softmax(-1)
            return int(scores.argmax()), tuple(scores.tolist()), "likelihood"
        (reply,) = self.talk.replies([Ask(asked, max_new_tokens)])
        best = read_choice(reply.text, choices)
        return best, (), "named" if best is not None else "failed"

    def _said(self, queries: Sequence[str]) -> list[tuple[Reply, list[Reply]]]:
        """The likeliest answer to each query, and the sampled ones where scores come from agreement."""
        prompts, scoring = self.backend.prompts, self.backend.scoring
        length = GROUND_TOKENS + THOUGHT_TOKENS * prompts.thinks
        seeds = [None, *(range(1, scoring.samples + 1) if scoring.kind == "agreement" else ())]
        asks = [Ask(prompts.grounding(query), length, seed) for query in queries for seed in seeds]
        replies = self.talk.replies(asks)
        grouped = [replies[i : i + len(seeds)] for i in range(0, len(replies), len(seeds))]
        return [(first, rest) for first, *rest in grouped]

    def _moments(self, query: str, reply: Reply, samples: Sequence[Reply], top_k: int | None) -> Moments:
        reading = read_moments(reply.text, self.duration)
        kind = self.backend.scoring.kind
        scores: list[float] | None
        if kind == "agreement":
            scores = agreement_scores(
                reading.spans, [read_moments(s.text, self.duration).spans for s in samples]
            )
        else:
            scores = digit_scores(reply, reading.spans, self.duration)
        told = Told(reply.text, reading.how, "none" if scores is None else kind)
        pairs = list(zip(reading.spans, scores or [1.0] * len(reading.spans), strict=True))
        ranked = sorted(pairs, key=lambda pair: -round(pair[1], 4))[:top_k]  # near ties: in the order of time
        curve, times = self._curve(pairs), self.centres if self.clip.holes else ()
        if not reading.spans:
            # a failure to read says nothing about the video; only an empty list says that there is nothing
            absent = reading.how == "empty"
            return Moments(query, (), 0.0 if absent else 0.5, absent, curve, told, times)
        items = tuple(self._moment(span, score) for span, score in ranked)
        return Moments(query, items, max(score for _, score in pairs), False, curve, told, times)

    def _curve(self, pairs: Sequence[tuple[Span, float]]) -> tuple[float, ...]:
        """(N,) the best score of a moment at each point of a fine grid, 0 where the model named none."""
        told = [(self.start + span.start, self.start + span.end, score) for span, score in pairs]
        return tuple(
            max((score for a, b, score in told if a <= centre <= b), default=0.0) for centre in self.centres
        )

    def _moment(self, span: Span, score: float) -> Moment:
        end = min(self.start + span.end, self.start + self.duration)
        return Moment(self.start + span.start, end, score, span.text)
