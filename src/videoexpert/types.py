"""Objects that cross a stage. Frozen and self-checking.

Times are seconds on the players' clock: 0 is where the file begins, sound included, as players and ``ffmpeg -ss``
count (docs/clocks.md).

Letters: B batch, N frames, P patches a frame, C vision width, U groups of pictures, W tokens a group,
M = U*W S-tokens, L sequence length, D language width, H head width, Q queries, r rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING

from .display import Judged, Shown, Worded, rounded_repr

if TYPE_CHECKING:
    import torch


class TokenRole(IntEnum):
    """What a sequence position holds; decides which expert acts on it (paper Eq. 7-9)."""

    TEXT = 0
    TEMPORAL = 1
    SPATIAL = 2


Hole = tuple[float, float]


@dataclass(frozen=True)
class Stretch:
    """The part of a video that is looked at, on the players' clock, and the holes in it that show nothing.

    start_s     where it begins (0 unless trimmed); ``duration_s`` its length, holes included
    holes       ``(from, to)`` in seconds, ascending, apart, inside: sound before the first picture, a camera that
                dropped out. What is *seen* is the rest, ``seen_s`` long; ``at`` and ``seen_at`` convert.
    """

    start_s: float
    duration_s: float
    holes: tuple[Hole, ...] = ()

    def __post_init__(self) -> None:
        _check_clip(self.start_s, self.duration_s)
        edges = [self.start_s, *(edge for hole in self.holes for edge in hole), self.end_s]
        if any(not a <= b + 1e-6 for a, b in pairwise(edges)) or not self.seen_s > 0:
            raise ValueError(f"holes must ascend inside the clip and leave some of it, got {self.holes}")

    @property
    def end_s(self) -> float:
        return self.start_s + self.duration_s

    @property
    def seen_s(self) -> float:
        """Seconds of the clip that hold pictures."""
        return self.duration_s - sum(end - start for start, end in self.holes)

    def at(self, seen: float, *, end: bool = False) -> float:
        """Seconds on the clock at which ``seen`` seconds of pictures have passed; before a hole for an ``end``."""
        clock = self.start_s + seen
        for start, stop in self.holes:
            if clock < start or (end and clock == start):
                break
            clock += stop - start
        return clock

    def centres(self, count: int) -> tuple[float, ...]:
        """The centres of ``count`` equal bins of what is seen, on the clock."""
        return tuple(self.at((i + 0.5) / count * self.seen_s) for i in range(count))

    def moment(self, moment: Moment) -> Moment:
        """A moment given in seconds of pictures, on the clock."""
        start = self.at(moment.start)
        return replace(moment, start=start, end=max(start, self.at(moment.end, end=True)))

    def seen_at(self, clock: float) -> float:
        """Seconds of pictures that have passed at ``clock``: the inverse of ``at``, constant in holes."""
        return clock - self.start_s - sum(min(max(clock - a, 0.0), b - a) for a, b in self.holes)


@dataclass(frozen=True)
class Frames:
    """N upright frames of one video with their own times (stage 1 -> 2).

    pixels      (N, 3, height, width) uint8, RGB
    times_s     (N,) float64, presentation time of each frame, ascending, on the players' clock
    duration_s  length of the clip looked at
    start_s     start of the clip looked at (0 unless trimmed), on the same clock
    holes       parts of the clip without a picture (``Stretch``). Frame i stands for bin i of N equal bins of the
                rest: without holes ``[start_s + i/N * duration_s, start_s + (i+1)/N * duration_s)``
    """

    pixels: torch.Tensor
    times_s: torch.Tensor
    duration_s: float
    start_s: float = 0.0
    holes: tuple[Hole, ...] = ()

    def __post_init__(self) -> None:
        if self.pixels.ndim != 4 or self.pixels.shape[1] != 3:
            raise ValueError(f"pixels must be (N, 3, height, width), got {tuple(self.pixels.shape)}")
        if self.times_s.shape != self.pixels.shape[:1]:
            raise ValueError(f"times_s must be ({len(self.pixels)},), got {tuple(self.times_s.shape)}")
        if len(self.pixels) == 0:
            raise ValueError("a video needs at least one frame, got 0")
        if bool((self.times_s.diff() < 0).any()):
            raise ValueError("times_s must not decrease")
        Stretch(self.start_s, self.duration_s, self.holes)  # checks itself

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def stretch(self) -> Stretch:
        """The clip looked at."""
        return Stretch(self.start_s, self.duration_s, self.holes)


@dataclass(frozen=True)
class VisualTokens:
    """T- and S-tokens of one video (stage 2 -> 3), both before the adapter.

    temporal    (N, C) class token of each frame (paper Eq. 1-2)
    spatial     (M, C) compressed patch tokens (paper Eq. 3); M may be 0

    ``duration_s``, ``start_s`` and ``holes`` as in Frames.
    """

    temporal: torch.Tensor
    spatial: torch.Tensor
    duration_s: float
    start_s: float = 0.0
    holes: tuple[Hole, ...] = ()

    def __post_init__(self) -> None:
        if self.temporal.ndim != 2 or self.spatial.ndim != 2:
            raise ValueError(
                f"temporal must be (N, C) and spatial (M, C), got {tuple(self.temporal.shape)} "
                f"and {tuple(self.spatial.shape)}"
            )
        if self.temporal.shape[1] != self.spatial.shape[1]:
            raise ValueError(
                f"temporal and spatial differ in width: {self.temporal.shape[1]} and {self.spatial.shape[1]}"
            )
        Stretch(self.start_s, self.duration_s, self.holes)  # checks itself

    @property
    def stretch(self) -> Stretch:
        """The clip looked at."""
        return Stretch(self.start_s, self.duration_s, self.holes)


@dataclass(frozen=True)
class Moment:
    """An interval of the video in seconds; ``score`` in [0, 1] is calibrated; ``text`` for captions."""

    start: float
    end: float
    score: float = 1.0
    text: str | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end) and self.start <= self.end):
            raise ValueError(f"a moment needs finite start <= end, got [{self.start}, {self.end}]")
        if not 0.0 <= self.score <= 1.0:
            raise ValueError(f"score must be in [0, 1], got {self.score}")

    def __repr__(self) -> str:
        """Rounded to hundredths: a list of moments is read by people."""
        text = "" if self.text is None else f", text={self.text!r}"
        return f"Moment(start={self.start:.2f}, end={self.end:.2f}, score={self.score:.2f}{text})"


FAMILIAR = 0.5  # familiarity from which on a model counts a video among those that it knows
RUNNER_UP = 0.1  # a moment whose score is under this share of the best one's is noise, not a second opinion


def worth_showing(moments: Sequence[Moment]) -> tuple[Moment, ...]:
    """What people are shown of ranked moments: the best, and those that come near it. Programs get all."""
    return tuple(m for m in moments if m.score >= RUNNER_UP * moments[0].score)


@dataclass(frozen=True)
class Told:
    """How an answer that came as text was read and scored.

    text     the answer as generated
    parsed   the rule that read it ("pairs", "json", "mm:ss", ...), "empty" where it says that there is nothing, or
             "failed" and "outside" where no moment could be read
    score    what the scores are: "digits", "agreement" or "none" (backends/chat/scores.py), before any calibration
    choice   how a choice was made: "likelihood", "named" by the answer, or "failed"
    """

    text: str = field(repr=False)
    parsed: str
    score: str
    choice: str | None = None


@dataclass(frozen=True)
class Verified:
    """What a second ``model`` said inside the windows that a first one proposed (backends/cascade.py).

    verdict      "present", "absent", or "unknown" if it cannot be decided; ``probability`` in [0, 1] that the event
                 is there: its highest presence in a window
    windows      the seconds that it was shown (``read`` of them), ascending and apart, of ``duration`` in all
    """

    model: str
    verdict: str
    probability: float
    windows: tuple[Hole, ...]
    duration: float

    def __post_init__(self) -> None:
        if self.verdict not in ("present", "absent", "unknown") or not 0.0 <= self.probability <= 1.0:
            raise ValueError(f"no verdict, or no probability: {self.verdict!r}, {self.probability}")

    @property
    def read(self) -> float:
        return sum(end - start for start, end in self.windows)


@dataclass(frozen=True)
class Source:
    """The video that an answer is about: its path, and the part that was looked at, in seconds."""

    path: str
    start: float
    duration: float

    def __post_init__(self) -> None:
        _check_clip(self.start, self.duration)


@dataclass(frozen=True)
class MediaInfo:
    """What an editor must know of a video file to cut in it.

    fps             pictures a second: what the header says where the pictures agree, else their average
    even            whether the pictures are evenly spaced; False: variable frame rate
    duration_s      from the players' zero to the end of the last picture; ``width``, ``height`` upright, square pixels
    audio_channels  of the best audio stream, 0 without one; ``audio_hz`` its samples a second
    timecode        of the first picture, as the file states it; None where it states none
    """

    path: str
    fps: Fraction
    even: bool
    duration_s: float
    width: int
    height: int
    audio_channels: int = 0
    audio_hz: int = 0
    timecode: str | None = None


@dataclass(frozen=True, repr=False)
class Moments(Judged, Sequence[Moment]):
    """Ranked moments of one query, best first.

    presence    calibrated probability that the event is in the video at all; ``absent`` where it is below the model's
                threshold: the moments are then its best guesses only
    curve       (N,) indicator probability of each frame, as a tuple of floats; for plots and highlights
    told        how the text was read, of a chat model
    curve_times (N,) seconds that the frames cover; empty if they are spread evenly over the clip
    source      the video, where it is known
    familiar    False where the model was never shown videos like this one: ``absent`` is never True then
    verified    what a second model decided, of a cascade
    unknown_words  of the query, which the model was never shown: ``absent`` is never True then either
    guess       True where those words may be what the query is about: without them it is another one, or not found
    """

    query: str
    items: tuple[Moment, ...]
    presence: float = 1.0
    absent: bool = False
    curve: tuple[float, ...] = field(default=(), repr=False)
    told: Told | None = field(default=None, repr=False)
    curve_times: tuple[float, ...] = field(default=(), repr=False)
    source: Source | None = field(default=None, repr=False, compare=False)
    familiar: bool = True
    verified: Verified | None = None
    unknown_words: tuple[str, ...] = ()
    guess: bool = False

    def __post_init__(self) -> None:
        if self.absent and (self.cannot_tell or self.unknown_words):
            raise ValueError("a model cannot tell that an event is absent if videos or words are new to it")

    def __getitem__(self, index):  # type: ignore[no-untyped-def]  # Sequence's overloads add nothing here
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, repr=False)
class Highlights(Judged):
    """Saliency in [0, 1] of each clip, the clips' start times in seconds, and the best moments.

    ``presence``, ``absent``, ``told``, ``source``, ``familiar``, ``unknown_words`` and ``guess`` as in Moments.
    """

    query: str
    times: tuple[float, ...]
    scores: tuple[float, ...]
    moments: tuple[Moment, ...]
    clip_s: float = 2.0
    presence: float = 1.0
    absent: bool = False
    told: Told | None = field(default=None, repr=False)
    source: Source | None = field(default=None, repr=False, compare=False)
    familiar: bool = True
    unknown_words: tuple[str, ...] = ()
    guess: bool = False

    def __post_init__(self) -> None:
        if len(self.times) != len(self.scores):
            raise ValueError(f"{len(self.times)} times but {len(self.scores)} scores")


class Captions(Shown, list[Moment]):
    """Sentences, each with its moment, in temporal order; ``told`` and ``source`` as in Moments."""

    __repr__ = list.__repr__

    def __init__(
        self, moments: Iterable[Moment] = (), told: Told | None = None, source: Source | None = None
    ) -> None:
        super().__init__(sorted(moments, key=lambda m: (m.start, m.end)))
        self.told, self.source = told, source


@dataclass(frozen=True, repr=False)
class Answer(Worded):
    """Answer text, the 0-based ``choice`` (None for open questions) and the moments that prove it.

    choices         the texts that were given to choose from, and ``choice_scores`` how likely each is
    told            how the text of the moments was read, of a chat model; ``source`` as in Moments
    unknown_words   of the question and its choices, that the model was never shown
    """

    question: str
    text: str
    choice: int | None = None
    moments: tuple[Moment, ...] = ()
    choice_scores: tuple[float, ...] = ()
    told: Told | None = field(default=None, repr=False)
    choices: tuple[str, ...] = ()
    source: Source | None = field(default=None, repr=False, compare=False)
    unknown_words: tuple[str, ...] = ()


@dataclass(frozen=True, repr=False)
class Evidence:
    """How far the answer to a query moves when the video is taken away: a grey one as long is asked the same.

    moment           the best moment with the video, ``blank_moment`` of the grey one: a guess from the words alone;
                     None where the model names none
    presence         calibrated probability that the event is there, ``blank_presence`` with the grey video
    overlap          IoU of the two moments, in [0, 1]; 1: the video changed nothing, 0 also where one is None
    shift_s          seconds by which start and end differ, the mean of both; None where a moment is None
    """

    query: str
    moment: Moment | None
    blank_moment: Moment | None
    presence: float
    blank_presence: float
    overlap: float
    shift_s: float | None

    __repr__ = rounded_repr

    def __post_init__(self) -> None:
        for name in ("presence", "blank_presence", "overlap"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} must be in [0, 1], got {getattr(self, name)}")
        both = self.moment is not None and self.blank_moment is not None
        if both != (self.shift_s is not None) or (self.overlap > 0 and not both):
            raise ValueError(
                f"two moments, and no fewer, have an overlap and a shift, got {self.overlap} and {self.shift_s}"
            )
        if self.shift_s is not None and not 0.0 <= self.shift_s < math.inf:
            raise ValueError(f"shift_s must be finite and not negative, got {self.shift_s}")


def _check_clip(start_s: float, duration_s: float) -> None:
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise ValueError(f"duration_s must be positive and finite, got {duration_s}")
    if not (math.isfinite(start_s) and start_s >= 0):
        raise ValueError(f"start_s must be >= 0 and finite, got {start_s}")
