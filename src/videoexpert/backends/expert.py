"""Our model as a backend: open a video once, ask often.

>>> expert = videoexpert.load()
>>> video = expert.open("kitchen.mp4")
>>> video.ground("a person opens the fridge")
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, overload

import torch
from torch import Tensor

from ..config import VideoExpertConfig
from ..errors import InputError
from ..grounding.calibration import Calibration
from ..grounding.decoding import decode_moments, saliency
from ..grounding.head import HeadOutput
from ..language import prompt
from ..language.prompter import Prompter
from ..language.sequence import Segment
from ..model import Prefix, VideoExpertModel
from ..types import Answer, Evidence, Frames, Highlights, Moment, Moments, VisualTokens
from ..video.decode import read_frames
from .base import TASKS
from .blank import GREY, evidence_of
from .sourced import sourced

TOKENS_PER_PASS = 2048  # questions packed into one forward; bounds the memory of the attention mask


class Expert:
    """A loaded model with its tokenizer; ``open`` gives videos to ask about. A Backend (backends/base.py)."""

    can = TASKS

    def __init__(
        self, model: VideoExpertModel, tokenizer: Any, name: str = "model", digest: str = "unsaved"
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.batch_size = 16  # frames that go through the vision encoder at once; more is faster on a GPU
        self.digest = digest  # of the weights file: what a result file says it was made with
        self.config = model.config
        self.prompter = Prompter(self.config, tokenizer)
        self._grey: dict[int, VisualTokens] = {}  # tokens of a blank video, by its number of frames
        if not getattr(model.language, "is_quantized", False):
            model.fold()

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> Video:
        """Decode and encode a video, or its part from ``start`` to ``end`` (seconds), once.

        Raises VideoError for a file that gives no frames, InputError for a part outside the video.
        """
        began = time.perf_counter()
        config = self.config
        count = config.num_frames if num_frames is None else num_frames
        if count < 1:
            raise InputError(f"the number of frames is {count}, expected at least 1.")
        frames = read_frames(
            path,
            count,
            start_s=start,
            end_s=end,
            resize=self.model.vision.preprocessor.resize,
            sampling="centre" if config.frame_times == "centre" else "linspace",
        )
        decoded = time.perf_counter()
        video = self.open_frames(frames, path=os.fspath(path))
        video.timings = {"decode": decoded - began, **video.timings}
        return video

    def open_frames(self, frames: Frames, path: str = "") -> Video:
        """A video whose frames are at hand."""
        began = time.perf_counter()
        tokens = self.model.encode_video(frames, self.batch_size)
        video = self.open_tokens(tokens, path)
        video.timings = {"encode": time.perf_counter() - began}
        return video

    def open_tokens(self, tokens: VisualTokens, path: str = "") -> Video:
        """A video whose visual tokens come from a feature store."""
        return Video(self, tokens, path)

    def describe(self) -> dict[str, Any]:
        """Name, config without its two towers, digest of the weights, and the prompts."""
        config = self.config
        found = prompt.grounding_question("{query}", config)
        fields = {k: v for k, v in config.to_dict().items() if k not in ("vision_config", "language_config")}
        return {
            "model": self.name,
            "preset": config.preset,
            "config": fields,
            "weights": self.digest,
            "prompts": {
                "grounding": f"{found} -> {prompt.grounding_answer(config)}",
                "captions": prompt.caption_question(config),
                "grounded_qa": prompt.question_with_choices("{question}", ["a", "b"], config, grounded=True),
            },
        }

    def open_blank(self, duration_s: float, start_s: float = 0.0, num_frames: int | None = None) -> Video:
        """A video of grey pictures: what is answered without evidence. Raises ValueError for no length."""
        count, size = num_frames or self.config.num_frames, self.model.vision.image_size
        if (
            count not in self._grey
        ):  # the tokens do not know the length, so that one encoding serves all videos
            pixels = torch.full((count, 3, size, size), GREY, dtype=torch.uint8)
            frames = Frames(pixels, torch.arange(count, dtype=torch.float64), float(count))
            self._grey[count] = self.model.encode_video(frames, self.batch_size)
        return self.open_tokens(replace(self._grey[count], duration_s=duration_s, start_s=start_s))


@sourced
class Video:
    """An open video. Every answer shares one prefix; times are seconds on the players' clock of the whole video."""

    def __init__(self, expert: Expert, tokens: VisualTokens, path: str = "") -> None:
        self.expert, self.tokens, self.path = expert, tokens, path
        self.timings: dict[str, float] = {}

    @property
    def duration(self) -> float:
        """Seconds looked at: the whole video, or the part that was opened."""
        return self.tokens.duration_s

    @property
    def start(self) -> float:
        """Second at which the part that was opened begins."""
        return self.tokens.start_s

    @cached_property
    def prefix(self) -> Prefix:
        """The video's share of the prompt, computed at the first question."""
        return self.expert.model.open_prefix(self.tokens, self.expert.prompter.prefix_ids)

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """Ranked moments of a sentence, or of each of many sentences in one pass over the shared video.

        Raises InputError for an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        if not asked:
            return []
        for query in asked:
            if not query.strip():
                raise InputError("the query is empty, expected a sentence that describes what to find.")
        found = self._ground(asked, top_k)
        return found[0] if isinstance(queries, str) else found

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds (QVHighlights: 2), and the best moments."""
        if clip_s <= 0:
            raise InputError(f"clip_s is {clip_s}, expected a positive number of seconds.")
        moments = self.ground(query, top_k)
        times, scores = saliency(
            torch.tensor(moments.curve), self.duration, clip_s, self.start, self.tokens.holes
        )
        return Highlights(query, times, scores, moments.items, clip_s, moments.presence, moments.absent)

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Sentences, each with its moment, in the order in which the model gives them."""
        config = self.expert.config
        question = self.expert.prompter.segment(prompt.caption_question(config))
        ids, head = self._answer(question, max_new_tokens)
        if head is None:
            return []
        sentences = prompt.parse_captions(self.expert.prompter.decode(ids), config)
        best = [self._moments("", head, i, 1) for i in range(len(sentences))]
        return [
            Moment(m[0].start, m[0].end, m[0].score, text=text)
            for m, text in zip(best, sentences, strict=True)
            if text
        ]

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """An answer and the moments that prove it; with ``choices`` the likeliest of them.

        Raises InputError for an empty question, or fewer than two choices.
        """
        if not question.strip():
            raise InputError("the question is empty, expected a sentence.")
        if choices is not None and (len(choices) < 2 or not all(c.strip() for c in choices)):
            raise InputError(f"choices are {list(choices)}, expected at least two and none empty.")
        asked = prompt.question_with_choices(question, choices or (), self.expert.config, grounded=True)
        if choices:
            return self._choose(question, asked, choices)
        return self._tell(question, asked, max_new_tokens)

    def blank(self) -> Video:
        """The video of the same length, and as many frames, of grey pictures; made at the first call."""
        return self._blank

    @cached_property
    def _blank(self) -> Video:
        grey = self.expert.open_blank(self.duration, self.start, len(self.tokens.temporal))
        return Video(self.expert, replace(grey.tokens, holes=self.tokens.holes))

    @overload
    def evidence(self, queries: str) -> Evidence: ...  # type: ignore[overload-overlap]
    @overload
    def evidence(self, queries: Sequence[str]) -> list[Evidence]: ...
    def evidence(self, queries: str | Sequence[str]) -> Evidence | list[Evidence]:
        """How far the answer to a query, or to each of many, moves when the video is taken away.

        Raises InputError for an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        pairs = zip(self.ground(asked, 1), self.blank().ground(asked, 1), strict=True)
        found = [evidence_of(seen, guessed) for seen, guessed in pairs]
        return found[0] if isinstance(queries, str) else found

    def _ground(self, queries: Sequence[str], top_k: int | None) -> list[Moments]:
        head = self._locate([self.expert.prompter.grounding(query) for query in queries])
        return [self._moments(query, head, i, top_k) for i, query in enumerate(queries)]

    def _choose(self, question: str, asked: str, choices: Sequence[str]) -> Answer:
        """The likeliest of the choices, and the moments at its ``<LOC>``."""
        config, prompter = self.expert.config, self.expert.prompter
        answers = [prompt.choice_answer(i, True, config, choices) for i in range(len(choices))]
        segments = [prompter.segment(asked, answer) for answer in answers]
        scores = self.expert.model.likelihoods(self.prefix, segments).softmax(-1)
        best = int(scores.argmax())
        moments = self._moments(question, self._locate([segments[best]]), 0, 3).items
        return Answer(question, choices[best], best, moments, tuple(scores.tolist()))

    def _tell(self, question: str, asked: str, max_new_tokens: int) -> Answer:
        """A generated answer, and the moments at its first ``<LOC>``."""
        ids, head = self._answer(self.expert.prompter.segment(asked), max_new_tokens)
        text = _without_times(self.expert.prompter.decode(ids), self.expert.config)
        return Answer(question, text, None, () if head is None else self._moments(question, head, 0, 3).items)

    def _answer(self, question: Segment, max_new_tokens: int) -> tuple[list[int], HeadOutput | None]:
        """Generated ids, and the head's output at their ``<LOC>`` by the route of training."""
        eos = int(self.expert.tokenizer.eos_token_id)
        ids = self.expert.model.generate(
            self.prefix, question, eos_token_id=eos, max_new_tokens=max_new_tokens
        )
        answered = self.expert.prompter.answered(question, ids)
        return ids, self._locate([answered]) if answered.loc_positions else None

    def _curve_times(self, count: int) -> tuple[float, ...]:
        return self.tokens.stretch.centres(count) if self.tokens.holes else ()

    def _locate(self, segments: Sequence[Segment]) -> HeadOutput:
        """Every ``<LOC>`` of the segments, in passes of bounded length."""
        passes: list[list[Segment]] = [[]]
        for segment in segments:
            if passes[-1] and sum(len(s.ids) for s in passes[-1]) + len(segment.ids) > TOKENS_PER_PASS:
                passes.append([])
            passes[-1].append(segment)
        heads = [self.expert.model.locate(self.prefix, part) for part in passes]
        return HeadOutput(
            torch.cat([h.indicator_logits for h in heads]), torch.cat([h.boundary_logits for h in heads])
        )

    def _moments(self, query: str, head: HeadOutput, index: int, top_k: int | None) -> Moments:
        """One query's moments with calibrated scores."""
        config = self.expert.config
        logits: Tensor = head.indicator_logits[index].float().cpu()
        right = Calibration(config.score_temperature, config.score_bias)(logits)
        peak = Calibration(config.presence_temperature, config.presence_bias)(logits.max())
        clip = self.tokens.stretch
        items = decode_moments(
            right,
            head.offsets[index].cpu(),
            self.expert.model.centres(len(logits)).cpu(),
            clip.seen_s,
            nms_iou=config.nms_iou,
            top_k=top_k,
            moment_from=config.moment_from,
        )
        presence = float(peak)
        curve = tuple(logits.sigmoid().tolist())
        return Moments(
            query,
            tuple(map(clip.moment, items)),
            presence,
            presence < config.absent_below,
            curve,
            curve_times=self._curve_times(len(curve)),
        )


def _without_times(text: str, config: VideoExpertConfig) -> str:
    """A generated answer without its ``During <LOC>.``, however the tokenizer spaces it."""
    loc = re.escape(config.loc_text)
    opening = rf"(?:\b{re.escape(config.moment_prefix)})?\s*{loc}(?:\s*,\s*{loc})*\s*[.,]?"
    return one_sentence(re.sub(opening, " ", text, flags=re.IGNORECASE))


def one_sentence(text: str) -> str:
    """Single spaces and one full stop; '' of nothing."""
    plain = " ".join(text.split()).strip(" .,")
    return f"{plain}." if plain else ""


__all__ = ["Expert", "Video"]
