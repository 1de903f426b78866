"""Our model as a backend: open a video once, ask often.

>>> expert = videoexpert.load()
>>> video = expert.open("kitchen.mp4")
>>> video.ground("a person opens the fridge")
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, overload
from weakref import WeakKeyDictionary

import torch

from ..engine import Engine, Opened
from ..engine.engine import VIDEOS_PER_BLOCK
from ..errors import InputError, ModelWarning, UnsupportedError
from ..grounding.calibration import Calibration
from ..grounding.decoding import highlights_of
from ..language import prompt
from ..language.prompter import Prompter
from ..language.words import Words
from ..model import VideoExpertModel
from ..types import FAMILIAR, Answer, Evidence, Frames, Highlights, Moment, Moments, Stretch, VisualTokens
from ..video.decode import read_frames
from ..video.feeds import Feed
from ..video.glance import glance
from ..video.stream import read_windows
from .answers import HeadAnswers, Question
from .base import TASKS, check_queries, check_question, one_window, per_video, unfamiliar
from .beyond import beyond_training
from .blank import GREY, evidence_of
from .fitted import Fit
from .long import LongVideo
from .sourced import sourced, with_source
from .watch import Sighting, watch
from .windowing import AUTO, Window, window_of
from .worded import Worded


class Expert:
    """A loaded model with its tokenizer; ``open`` gives videos to ask about. A Backend (backends/base.py)."""

    can = TASKS
    videos_together = 8  # that an evaluation asks in one call

    def __init__(
        self, model: VideoExpertModel, tokenizer: Any, name: str = "model", digest: str = "unsaved"
    ) -> None:
        self.model, self.tokenizer, self.name = model.eval(), tokenizer, name
        self.batch_size = 16  # frames that go through the vision encoder at once; more is faster on a GPU
        self.digest = digest  # of the weights file: what a result file says it was made with
        self.config = model.config
        self.prompter = Prompter(self.config, tokenizer)
        self.engine = Engine(model, self.prompter.prefix_ids, self._stem(), digest=digest)
        self.words = Words(tokenizer, self.config.taught_words or ())
        self.answers = Worded(self._answers(), self.words)
        self._familiarity: WeakKeyDictionary[Opened, float] = WeakKeyDictionary()
        self._grey: dict[int, VisualTokens] = {}  # tokens of a blank video, by its number of frames
        if not getattr(model.language, "is_quantized", False):
            model.fold()

    @property
    def calibrated(self) -> bool:
        """Whether scores and presence were fitted on labelled data."""
        config = self.config
        return (config.score_temperature, config.score_bias) != (1.0, 0.0)

    def take_fit(self, fit: Fit) -> None:
        """Answer with scores and presence as fitted: a fit on top of the config's is one of the logits again.

        Raises UnsupportedError for a model that writes its times as text, which has no scores.
        """
        if self.model.head is None:
            raise UnsupportedError(f"{self.name} writes its times as text and gives no scores to calibrate.")
        config = self.config
        score = Calibration(config.score_temperature, config.score_bias).then(fit.score)
        presence = Calibration(config.presence_temperature, config.presence_bias).then(fit.presence)
        config.score_temperature, config.score_bias = score.temperature, score.bias
        config.presence_temperature, config.presence_bias = presence.temperature, presence.bias
        config.absent_below = fit.absent_below

    def _answers(self) -> HeadAnswers:
        """How this kind of model answers."""
        return HeadAnswers(self.engine, self.prompter)

    def _stem(self) -> tuple[int, ...]:
        """Ids that belong to the prefix because all grounding questions begin with them."""
        return self.prompter.grounding_stem if self.prompter.has_head else ()

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> Video:
        """Decode and encode a video, or its part from ``start`` to ``end`` (seconds), once.

        Raises VideoError for a file that gives no frames, InputError for a part outside the video. Warns with a
        ModelWarning of a video unlike those that the model was trained on, or looked at otherwise than it was trained:
        far longer, or with far more or fewer frames.
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
        self._warn_of(video)
        return video

    def open_long(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
        window: Window = AUTO,
        overlap: float | None = None,
        progress: Callable[[float, float], None] | None = None,
    ) -> Video | LongVideo:
        """``open`` in windows of ``window`` seconds, each ``overlap`` seconds into the one before; N frames in each.

        ``auto``: one window up to twice the length that the model was trained on, windows of that length beyond, and
        a quarter of a window as overlap. ``off``: one window. The file is read once, and memory does not grow with
        its length. ``progress`` is called with the seconds looked at and those of all. Errors as in ``open``.
        """
        seen = glance(path)
        first, last = start or 0.0, seen.duration_s if end is None else end
        windows = window_of(window, overlap, self.config.trained_seconds, last - first)
        if windows is None:
            return self.open(path, start=start, end=end, num_frames=num_frames)
        count = self.config.num_frames if num_frames is None else num_frames
        frames = read_windows(
            path,
            windows[0],
            count,
            overlap_s=windows[1],
            start_s=start,
            end_s=end,
            resize=self.model.vision.preprocessor.resize,
            sampling="centre" if self.config.frame_times == "centre" else "linspace",
        )

        def tokens() -> Iterator[VisualTokens]:
            for part in frames:
                yield self.model.encode_video(part, self.batch_size)
                if progress is not None:
                    progress(part.stretch.end_s - first, last - first)

        video = LongVideo.of(self, tokens(), os.fspath(path))
        self._warn_of(video)
        return video

    def _warn_of(self, video: Video | LongVideo) -> None:
        """Tells the caller of ``open`` what makes answers about this video doubtful."""
        said = [f"{video.path}: {note}." for note in beyond_training(self.config, video.looked_at)]
        if not video.familiar:
            said.insert(0, unfamiliar(video.path, self.name))
        for sentence in said:
            warnings.warn(sentence, ModelWarning, stacklevel=3)

    def watch(self, feed: Feed, queries: Sequence[str], **options: Any) -> Iterator[Sighting]:
        """Moments of ``queries`` in a video that is still coming in, each as soon as it is over.

        A file that is being written, "-" for standard input, an open pipe, or an address with ``network=True``;
        options and errors as of ``backends.watch.watch``.

        >>> for sighting in expert.watch("recording.ts", ["a person opens the fridge"]):
        ...     print(sighting.query, sighting.moment.start, sighting.moment.end)
        """
        return watch(self, feed, queries, **options)

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

    def ground_many(
        self,
        videos: Sequence[Video],
        queries: Sequence[str] | Sequence[Sequence[str]],
        top_k: int | None = 5,
    ) -> list[list[Moments]]:
        """Ranked moments of queries on many open videos, a list a video; all run in shared passes.

        ``queries``: sentences to ask about every video, or a list of sentences for each.
        Raises InputError for an empty query, or another number of lists than of videos.
        """
        found = self.ground_opened([v.opened for v in videos], per_video(videos, queries), top_k)
        return [with_source(own, video) for own, video in zip(found, videos, strict=True)]

    def caption_many(self, videos: Sequence[Video], max_new_tokens: int = 512) -> list[list[Moment]]:
        """``Video.caption`` of many open videos, written side by side."""
        found = self.answers.captions([video.opened for video in videos], max_new_tokens)
        return [with_source(own, video) for own, video in zip(found, videos, strict=True)]

    def ask_many(
        self,
        videos: Sequence[Video],
        questions: Sequence[Sequence[tuple[str, Sequence[str] | None]]],
        max_new_tokens: int = 128,
    ) -> list[list[Answer]]:
        """``Video.ask`` of many questions: for each video, questions with their choices (None: an open question)."""
        asked = [[self.question(text, choices) for text, choices in own] for own in questions]
        found = self.answers.ask([video.opened for video in videos], asked, max_new_tokens)
        return [with_source(own, video) for own, video in zip(found, videos, strict=True)]

    def ground_opened(
        self, videos: Sequence[Opened], queries: Sequence[Sequence[str]], top_k: int | None
    ) -> list[list[Moments]]:
        """``ground_many`` of what the engine knows of videos, or of windows of one."""
        for own in queries:
            check_queries(own)
        self._get_to_know(videos)
        found = self.answers.ground(videos, queries, top_k)
        return [
            own if self.knows(video) else [replace(m, absent=False, familiar=False) for m in own]
            for own, video in zip(found, videos, strict=True)
        ]

    def familiarity(self, video: Opened) -> float | None:
        """Whether the model was trained on videos like this one, in [0, 1]; None for one that does not know."""
        if self.model.familiarity is None:
            return None
        self._get_to_know([video])
        return self._familiarity[video]

    def _get_to_know(self, videos: Sequence[Opened]) -> None:
        """Finds out the familiarity of those that are new, some at a time: their tokens may have to be read."""
        known = self.model.familiarity
        new = [video for video in videos if video not in self._familiarity] if known else []
        for start in range(0, len(new), VIDEOS_PER_BLOCK):
            part = new[start : start + VIDEOS_PER_BLOCK]
            found = known.of_many([video.tokens for video in part]) if known else []
            self._familiarity.update(zip(part, found, strict=True))

    def knows(self, video: Opened) -> bool:
        """False where ``familiarity`` says that the model was never shown such videos."""
        found = self.familiarity(video)
        return found is None or found >= FAMILIAR

    @staticmethod
    def question(text: str, choices: Sequence[str] | None) -> Question:
        """A question as it is asked. Raises InputError for an empty one, or fewer than two choices."""
        check_question(text, choices)
        return Question(text, tuple(choices or ()))

    def describe(self) -> dict[str, Any]:
        """Name, config without its two towers, digest of the weights, and the prompts."""
        config = self.config
        found = prompt.grounding_question("{query}", config)
        fields = {k: v for k, v in config.to_dict().items() if k not in ("vision_config", "language_config")}
        return {
            "model": self.name,
            "kind": "videoexpert",
            "calibrated": self.calibrated,
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
        self.opened = Opened(tokens)
        self.timings: dict[str, float] = {}

    @property
    def duration(self) -> float:
        """Seconds looked at: the whole video, or the part that was opened."""
        return self.tokens.duration_s

    @property
    def start(self) -> float:
        """Second at which the part that was opened begins."""
        return self.tokens.start_s

    @property
    def looked_at(self) -> dict[str, float]:
        """What was looked at, for a result: one window, and its frames."""
        return one_window(self.duration, len(self.tokens.temporal))

    @cached_property
    def familiarity(self) -> float | None:
        """Whether the model was trained on videos like this one, in [0, 1]; None for one that does not know."""
        return self.expert.familiarity(self.opened)

    @property
    def familiar(self) -> bool:
        """False where ``familiarity`` says that the model was never shown such videos."""
        return self.expert.knows(self.opened)

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """Ranked moments of a sentence, or of each of many sentences in one pass over the shared video.

        Raises InputError for an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        found = self.expert.ground_opened([self.opened], [asked], top_k)[0]
        return found[0] if isinstance(queries, str) else found

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds (QVHighlights: 2), and the best moments."""
        clip = Stretch(self.start, self.duration, self.tokens.holes)
        return highlights_of(self.ground(query, top_k), clip, clip_s)

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Sentences, each with its moment, in the order of time."""
        return self.expert.caption_many([self], max_new_tokens)[0]

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """An answer and the moments that prove it; with ``choices`` the likeliest of them.

        Raises InputError for an empty question, or fewer than two choices.
        """
        return self.expert.ask_many([self], [[(question, choices)]], max_new_tokens)[0][0]

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


__all__ = ["Expert", "Video", "unfamiliar"]
