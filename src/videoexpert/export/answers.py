"""What is exported: the answers about one video, and those of one command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ..types import (
    FAMILIAR,
    Answer,
    Captions,
    Evidence,
    Highlights,
    MediaInfo,
    Moment,
    Moments,
    worth_showing,
)
from .timecode import Rate

Found = tuple[Moments, ...] | Highlights | Captions | Answer
TASKS = frozenset({"ground", "highlight", "caption", "ask"})
_NAMES = {tuple: "ground", Highlights: "highlight", Captions: "caption", Answer: "ask"}


@dataclass(frozen=True)
class Mark:
    """One titled span on the video's time, in seconds; what timelines and subtitles hold."""

    start: float
    end: float
    title: str
    score: float


@dataclass(frozen=True)
class Sentence:
    """A query, caption or answer with its marks; ``absent``: it was looked for, and is not in the video."""

    text: str
    marks: tuple[Mark, ...]
    absent: bool = False


@dataclass(frozen=True)
class Clock:
    """How formats that count frames count them.

    rate      of the timeline and of the video's frames
    start     frame number at which the timeline starts; None: where the format's editors expect it
    """

    rate: Rate
    start: int | None = None


@dataclass(frozen=True)
class Answers:
    """What was answered about one video.

    video, model   as the caller named them
    duration       seconds looked at
    start          second at which the part that was looked at begins; None where it was the whole video
    evidence       of each query, where it was asked for
    media, clock   only for formats that count frames
    looked_at      number and length of the windows, what they share, frames in all; None: the model does not say
    familiarity    whether the model was trained on videos like this one, in [0, 1]; None: it does not know
    calibrated     whether scores and presence were fitted on labelled data; None: not said
    warnings       sentences on what training never showed the model: the length, the number of frames
    """

    video: str
    duration: float
    model: str
    found: Found
    start: float | None = None
    evidence: tuple[Evidence, ...] = ()
    media: MediaInfo | None = field(default=None, repr=False)
    clock: Clock | None = None
    looked_at: dict[str, float] | None = None
    familiarity: float | None = None
    calibrated: bool | None = None
    warnings: tuple[str, ...] = ()

    @property
    def familiar(self) -> bool | None:
        """False: the model was never shown such videos and its answers mean little; None: it does not know."""
        return None if self.familiarity is None else self.familiarity >= FAMILIAR

    @property
    def task(self) -> str:
        """One of TASKS."""
        return _NAMES[type(self.found)]

    @property
    def end(self) -> float:
        """The last second that was looked at."""
        return (self.start or 0.0) + self.duration

    @property
    def unknown_words(self) -> tuple[str, ...]:
        """Those of all its questions, which the model was never shown."""
        asked = () if isinstance(self.found, Captions) else self.found
        parts = asked if isinstance(asked, tuple) else (asked,)
        return tuple(dict.fromkeys(word for part in parts for word in part.unknown_words))

    def marks(self) -> tuple[Mark, ...]:
        """What people are shown, by time: no guesses at what is absent, or not understood, and no moments of noise."""
        found = self.found
        if isinstance(found, Captions):
            marks = _marks(found, "")
        else:
            marks = [mark for sentence in _sentences(found) for mark in sentence.marks]
        return tuple(sorted(marks, key=_by_time))

    def sentences(self) -> tuple[Sentence, ...]:
        """The same by sentence, for labels: an absent one has no marks, and one that was not understood is left out."""
        if isinstance(self.found, Captions):
            return tuple(Sentence(mark.title, (mark,)) for mark in self.marks())
        found = (replace(one, marks=tuple(sorted(one.marks, key=_by_time))) for one in _sentences(self.found))
        return tuple(one for one in found if one.marks or one.absent or isinstance(self.found, Answer))


@dataclass(frozen=True)
class Failed:
    """A video that gave no answer, and the sentence that says why."""

    video: str
    error: str


@dataclass(frozen=True)
class AnswerSet:
    """All that one command answered; ``several``: about more than one video, or a folder, however many it holds."""

    items: tuple[Answers | Failed, ...]
    several: bool = False

    @property
    def answers(self) -> tuple[Answers, ...]:
        """Those that did not fail."""
        return tuple(item for item in self.items if isinstance(item, Answers))


def at_least(found: Found, score: float) -> Found:
    """The same without moments that score less."""
    if score <= 0:
        return found
    if isinstance(found, Captions):
        return Captions((m for m in found if m.score >= score), found.told, found.source)
    if isinstance(found, (Highlights, Answer)):
        return replace(found, moments=tuple(m for m in found.moments if m.score >= score))
    return tuple(replace(one, items=tuple(m for m in one if m.score >= score)) for one in found)


def _by_time(mark: Mark) -> tuple[float, float]:
    return mark.start, mark.end


def _sentences(found: tuple[Moments, ...] | Highlights | Answer) -> list[Sentence]:
    """Each question with what is shown of its moments, best first."""
    if isinstance(found, Answer):
        title = found.text or found.question
        return [Sentence(title, tuple(_marks(_shown(found, found.moments), title)))]
    asked = (found,) if isinstance(found, Highlights) else found
    return [
        Sentence(
            one.query,
            tuple(_marks(_shown(one, one.moments if isinstance(one, Highlights) else one), one.query)),
            one.absent,
        )
        for one in asked
    ]


def _shown(found: Moments | Highlights | Answer, moments: Sequence[Moment]) -> Sequence[Moment]:
    absent = not isinstance(found, Answer) and found.absent
    return () if absent or found.guess else worth_showing(moments)


def _marks(moments: Sequence[Moment], title: str) -> list[Mark]:
    """No file's clock goes below 0."""
    return [Mark(max(m.start, 0.0), max(m.end, 0.0), m.text or title, m.score) for m in moments]
