"""One sample type for every data set, and what a reader returns: samples and a report of dirty records."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..windows import clip_count
from .dirty import CleaningReport

TASKS = ("grounding", "highlight", "caption", "qa", "grounded_qa", "conversation")

Window = tuple[float, float]


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation; ``text`` has placeholders for times, such as ``<s0>`` and ``<e0>``."""

    role: str  # "user" or "assistant"
    text: str

    def __post_init__(self) -> None:
        if self.role not in ("user", "assistant"):
            raise ValueError(f"a turn's role is 'user' or 'assistant', got {self.role!r}")


@dataclass(frozen=True)
class Sample:
    """One question about one video with what the annotators answered. All times are seconds.

    id             unique within its file; a string, whatever the file holds
    video          id or file name of the video, as a string; never derived from a number
    task           one of TASKS
    duration_s     length of the input (of ``clip`` where there is one); None where the data set does not say
    query          the sentence to find, or the question; None for captions and conversations
    windows        (start, end) in seconds of the input, in the file's order; empty if ``labelled``: absent
    captions       caption task: one sentence a window, same order
    numbers        caption task: place of each window in its file, where some windows were left out; () otherwise
    saliency       highlight task: for each clip of CLIP_S seconds one score an annotator, 0 outside windows
    clips          highlight task: the clips that ``saliency`` speaks of, where they are not those of CLIP_S seconds
    choices        options of a multiple-choice question
    answer         text of the right answer
    choice         0-based index of the right option; None for open questions
    question_type  the data set's own type, e.g. "CW" or "temporal"
    turns          conversation task: alternating turns, the user's first
    times          conversation task: (placeholder, seconds of the input), e.g. ``("<s0>", 9.4)``
    clip           (start, end) of the original video that is the input; None: all of it. Windows and times
                   count from its start
    source         the sub-corpus that a mixed file names, e.g. "internvid"
    labelled       False where the file withholds the labels (QVHighlights test)

    Raises ValueError for a sample that contradicts itself.
    """

    id: str
    video: str
    task: str
    duration_s: float | None = None
    query: str | None = None
    windows: tuple[Window, ...] = ()
    captions: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    saliency: tuple[tuple[float, ...], ...] | None = None
    clips: tuple[Window, ...] = ()
    choices: tuple[str, ...] = ()
    answer: str | None = None
    choice: int | None = None
    question_type: str | None = None
    turns: tuple[Turn, ...] = ()
    times: tuple[tuple[str, float], ...] = ()
    clip: Window | None = None
    source: str | None = None
    labelled: bool = True

    def __post_init__(self) -> None:
        for name in ("id", "video"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                raise ValueError(f"{name} must be a non-empty string, got {value!r}")
        if self.task not in TASKS:
            raise ValueError(f"task must be one of {', '.join(TASKS)}, got {self.task!r}")
        if self.duration_s is not None and not (math.isfinite(self.duration_s) and self.duration_s > 0):
            raise ValueError(f"duration_s must be positive and finite, got {self.duration_s}")
        for start, end in (*self.windows, *self.clips, *((self.clip,) if self.clip else ())):
            if not (math.isfinite(start) and math.isfinite(end) and start <= end):
                raise ValueError(f"a window needs finite start <= end, got [{start}, {end}]")
        self._check_task()
        self._check_saliency()
        self._check_choices()

    def _check_task(self) -> None:
        if self.task == "caption":
            if self.labelled and len(self.captions) != len(self.windows):
                raise ValueError(f"{len(self.captions)} captions but {len(self.windows)} windows")
        elif self.task == "conversation":
            if not self.turns or self.turns[0].role != "user":
                raise ValueError("a conversation needs turns, the user's first")
            if any(a.role == b.role for a, b in zip(self.turns, self.turns[1:], strict=False)):
                raise ValueError("the turns of a conversation must alternate")
        elif not self.query:
            raise ValueError(f"task {self.task!r} needs a query")

    def _check_saliency(self) -> None:
        if self.saliency is None:
            return
        if self.task != "highlight":
            raise ValueError(f"saliency belongs to task 'highlight', got {self.task!r}")
        if self.clips and len(self.saliency) != len(self.clips):
            raise ValueError(f"{len(self.saliency)} saliency scores but {len(self.clips)} clips")
        if not self.clips and self.duration_s and len(self.saliency) != clip_count(self.duration_s):
            raise ValueError(
                f"{len(self.saliency)} saliency clips, expected {clip_count(self.duration_s)} "
                f"for {self.duration_s} s"
            )

    def _check_choices(self) -> None:
        if self.choice is not None:
            if not 0 <= self.choice < len(self.choices):
                raise ValueError(f"choice {self.choice} is not an index of {len(self.choices)} choices")
            if self.answer != self.choices[self.choice]:
                raise ValueError(
                    f"answer {self.answer!r} is not choice {self.choice}, {self.choices[self.choice]!r}"
                )

    @property
    def last_second(self) -> float | None:
        """The second of the original video up to which this sample needs pictures; None where unknown."""
        offset, clip_end = self.clip or (0.0, None)
        ends = [offset + end for _, end in self.windows]
        ends += [end for _, end in self.clips]
        ends += [offset + self.duration_s] if self.duration_s else []
        ends += [] if clip_end is None else [clip_end]
        return max(ends) if ends else None


@dataclass(frozen=True)
class Dataset:
    """Samples in file order, with what the reader found on the way.

    report   dirty records by kind: what was repaired and what was dropped
    counts   split -> {"records" | "videos" | "segments": number in the file, before anything was dropped}
    split    the split that was read; None where neither the call nor the file's name says
    files    every file that was read
    """

    benchmark: str
    samples: tuple[Sample, ...]
    report: CleaningReport
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    split: str | None = None
    files: tuple[Path, ...] = ()

    def __len__(self) -> int:
        return len(self.samples)

    def __iter__(self) -> Iterator[Sample]:
        return iter(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def sentences_as_queries(samples: Iterable[Sample]) -> list[Sample]:
    """The sentences of all caption samples as queries (``captions_to_grounding``), without the other samples."""
    return [
        query for sample in samples if sample.task == "caption" for query in captions_to_grounding(sample)
    ]


def captions_to_grounding(sample: Sample) -> list[Sample]:
    """A caption sample as one grounding sample a sentence, ``{id}_{place in the file}`` (as on ActivityNet)."""
    if sample.task != "caption":
        raise ValueError(f"needs a caption sample, got task {sample.task!r}")
    numbers = sample.numbers or range(len(sample.windows))
    return [
        replace(
            sample,
            id=f"{sample.id}_{number}",
            task="grounding",
            query=caption,
            windows=(window,),
            captions=(),
            numbers=(),
        )
        for number, window, caption in zip(numbers, sample.windows, sample.captions, strict=True)
    ]


def without_choices(sample: Sample) -> Sample:
    """A multiple-choice question as an open one: its answer stays."""
    return replace(sample, choices=(), choice=None)
