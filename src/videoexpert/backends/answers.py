"""What an Expert answers, for many videos at once; one video is a batch of one.

Every function takes videos and, for each, what is asked about it, and gives the answers in the same order.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from ..config import VideoExpertConfig
from ..engine import Engine, Opened
from ..language import prompt
from ..language.prompter import Prompter
from ..language.sequence import Segment
from ..types import Answer, Moment, Moments


@dataclass(frozen=True)
class Question:
    """A question about a video; with ``choices`` one of them is the answer."""

    text: str
    choices: tuple[str, ...] = ()


class HeadAnswers:
    """Answers of a model with a temporal head: every moment is read at a ``<LOC>``."""

    def __init__(self, engine: Engine, prompter: Prompter) -> None:
        self.engine, self.prompter = engine, prompter
        self.model, self.config = engine.model, engine.model.config
        self.end_token = int(prompter.tokenizer.eos_token_id)

    def ground(
        self, videos: Sequence[Opened], queries: Sequence[Sequence[str]], top_k: int | None
    ) -> list[list[Moments]]:
        """Ranked moments of every query on each video."""
        unlike = list(dict.fromkeys(query for own in queries for query in own))
        segments = dict(zip(unlike, self.prompter.groundings(unlike), strict=True)) if unlike else {}
        asked = [[segments[query] for query in own] for own in queries]
        return self._moments(videos, asked, queries, top_k)

    def captions(self, videos: Sequence[Opened], max_new_tokens: int) -> list[list[Moment]]:
        """Sentences on each video, each with its moment, in the order in which the model gives them."""
        question = self.prompter.segment(prompt.caption_question(self.config))
        told = self._told(videos, [[question]] * len(videos), max_new_tokens)
        answered = [[self.prompter.answered(question, ids) for ids in own] for own in told]
        located = self._moments(videos, answered, None, 1)
        return [self._captions(ids, best) for (ids,), best in zip(told, located, strict=True)]

    def _captions(self, ids: list[int], best: Sequence[Moments]) -> list[Moment]:
        if not best:
            return []
        sentences = prompt.parse_captions(self.prompter.decode(ids), self.config)
        return [
            Moment(m[0].start, m[0].end, m[0].score, text=text)
            for m, text in zip(best, sentences, strict=True)
            if text
        ]

    def ask(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[Question]], max_new_tokens: int
    ) -> list[list[Answer]]:
        """An answer to every question on each video, and the moments that prove it."""
        chosen = self._choose(videos, [[q for q in own if q.choices] for own in questions])
        told = self._tell(videos, [[q for q in own if not q.choices] for own in questions], max_new_tokens)
        return [
            [next(closed if q.choices else opened) for q in own]
            for own, closed, opened in zip(questions, map(iter, chosen), map(iter, told), strict=True)
        ]

    def _choose(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[Question]]
    ) -> list[list[Answer]]:
        """The likeliest of the choices, and the moments at its ``<LOC>``."""
        segments = [[self._choices(question) for question in own] for own in questions]
        flat = [[segment for choices in own for segment in choices] for own in segments]
        found = []
        best: list[list[Segment]] = []
        for own, choices, values in zip(
            questions, segments, self.engine.likelihoods(videos, flat), strict=True
        ):
            parts = values.split([len(c) for c in choices])
            scores = [tuple(part.softmax(-1).tolist()) for part in parts]
            picks = [max(range(len(row)), key=row.__getitem__) for row in scores]
            best.append([first_loc(c[pick]) for c, pick in zip(choices, picks, strict=True)])
            found.append(list(zip(own, picks, scores, strict=True)))
        located = self._moments(videos, best, [[q.text for q in own] for own in questions], 3)
        return [
            [
                Answer(q.text, q.choices[pick], pick, moments.items, row, choices=tuple(q.choices))
                for (q, pick, row), moments in zip(own, where, strict=True)
            ]
            for own, where in zip(found, located, strict=True)
        ]

    def _choices(self, question: Question) -> list[Segment]:
        """The question with each choice as its answer."""
        asked = prompt.question_with_choices(question.text, question.choices, self.config, grounded=True)
        count = len(question.choices)
        answers = [prompt.choice_answer(i, True, self.config, question.choices) for i in range(count)]
        return self.prompter.segments([(asked, answer) for answer in answers])

    def _tell(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[Question]], max_new_tokens: int
    ) -> list[list[Answer]]:
        """Generated answers, each with the moments at its first ``<LOC>``."""
        texts = [
            prompt.question_with_choices(q.text, (), self.config, grounded=True)
            for own in questions
            for q in own
        ]
        segments = iter(self.prompter.segments([(text, None) for text in texts]) if texts else [])
        asked = [list(islice(segments, len(own))) for own in questions]
        told = self._told(videos, asked, max_new_tokens)
        answered = [
            [first_loc(self.prompter.answered(q, ids)) for q, ids in zip(*pair, strict=True)]
            for pair in zip(asked, told, strict=True)
        ]
        located = self._moments(videos, answered, None, 3)
        found = []
        for own, ids, read, moments in zip(questions, told, answered, map(iter, located), strict=True):
            said = [without_times(self.prompter.decode(answer), self.config) for answer in ids]
            items = [next(moments).items if segment.loc_positions else () for segment in read]
            found.append([Answer(q.text, text, None, m) for q, text, m in zip(own, said, items, strict=True)])
        return found

    def _told(
        self, videos: Sequence[Opened], asked: Sequence[Sequence[Segment]], max_new_tokens: int
    ) -> list[list[list[int]]]:
        """Generated ids."""
        return self.engine.generate(videos, asked, eos_token_id=self.end_token, max_new_tokens=max_new_tokens)

    def _moments(
        self,
        videos: Sequence[Opened],
        asked: Sequence[Sequence[Segment]],
        queries: Sequence[Sequence[str]] | None,
        top_k: int | None,
    ) -> list[list[Moments]]:
        """The moments at every ``<LOC>`` of the segments on each video, in order."""
        heads = self.engine.locate(videos, asked)
        found = []
        for video, head, texts in zip(videos, heads, queries or [[]] * len(videos), strict=True):
            clips = [video.clip] * len(head.indicator_logits)
            found.append(self.model.moments(head, clips, queries=texts, top_k=top_k) if clips else [])
        return found


def first_loc(segment: Segment) -> Segment:
    """A segment, of which at most the first ``<LOC>`` is read."""
    return Segment(segment.ids, segment.labels, segment.loc_positions[:1])


def without_times(text: str, config: VideoExpertConfig) -> str:
    """A generated answer without its ``During <LOC>.``, however the tokenizer spaces it."""
    loc = re.escape(config.loc_text)
    opening = rf"(?:\b{re.escape(config.moment_prefix)})?\s*{loc}(?:\s*,\s*{loc})*\s*[.,]?"
    return one_sentence(re.sub(opening, " ", text, flags=re.IGNORECASE))


def one_sentence(text: str) -> str:
    """Single spaces and one full stop; '' of nothing."""
    plain = " ".join(text.split()).strip(" .,")
    return f"{plain}." if plain else ""
