"""Moments as frames of a video, for editors: each frame number is found once, and the end is exclusive."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path, PurePath

from ..errors import InputError
from ..types import MediaInfo
from .answers import Answers, Clock
from .text import one_line
from .timecode import Rate, nearest, parse_rate, parse_start

_SAME = Fraction(1, 2500)  # 23.976 and 24 differ by 1 in 1000


@dataclass(frozen=True)
class Event:
    """A moment in frames of the video: ``first`` is in it, ``end`` is not; at least one frame long.

    placed   frame of a timeline of all events, one after the other, at which this one begins, from 0
    """

    first: int
    end: int
    placed: int
    title: str
    score: float

    @property
    def length(self) -> int:
        """Frames."""
        return self.end - self.first


@dataclass(frozen=True)
class Timeline:
    """The events of one video's answers.

    length         frames of the whole video
    media_start    number of the video's first frame, by its own timecode
    start          frame number at which the timeline starts
    """

    media: MediaInfo
    rate: Rate
    length: int
    media_start: int
    start: int
    events: tuple[Event, ...]

    @property
    def edited(self) -> int:
        """Frames of all events, one after the other."""
        return sum(event.length for event in self.events)

    @property
    def name(self) -> str:
        """The file's name without folder and ending."""
        return one_line(PurePath(self.media.path).stem)

    @property
    def file_name(self) -> str:
        """The file's name without folder."""
        return one_line(PurePath(self.media.path).name)

    @property
    def url(self) -> str:
        """The file as an address."""
        return Path(self.media.path).absolute().as_uri()


def timeline(item: Answers, default_start: str = "00:00:00:00") -> Timeline:
    """Events by time, within the video. ``default_start`` is where the format's editors start.

    Raises ValueError for answers without media and clock, which only the caller can look up.
    """
    media, clock = item.media, item.clock
    if media is None or clock is None:
        raise ValueError("formats that count frames need the video's media and clock")
    rate = clock.rate
    length = max(1, rate.frame(media.duration_s))
    events, placed = [], 0
    for mark in item.marks():
        first = min(rate.frame(mark.start), length - 1)
        end = min(max(rate.frame(mark.end), first + 1), length)
        events.append(Event(first, end, placed, one_line(mark.title), mark.score))
        placed += end - first
    start = rate.parse(default_start) if clock.start is None else clock.start
    return Timeline(media, rate, length, _own_start(media, rate), start, tuple(events))


def choose_clock(media: MediaInfo, rate: str | None, start: str | None) -> tuple[Clock, str | None]:
    """The clock of a video's timeline, and what has to be said about it.

    rate, start   what the user asks for: frames a second, timecode at which the timeline starts
    Raises InputError for either in another form.
    """
    said = None
    if rate is not None:
        chosen = parse_rate(rate)
    else:
        chosen = nearest(media.fps)
        if media.timecode and ";" in media.timecode:
            chosen = _with_drop(chosen)
        if not media.even or abs(media.fps / chosen.fps - 1) > _SAME:
            kind = f"{float(media.fps):g} pictures a second" + ("" if media.even else ", unevenly spaced")
            said = (
                f"{media.path} has {kind}: times are written in frames at {chosen.name} a second, to within "
                f"{500 / float(chosen.fps):.0f} ms; --rate chooses another rate."
            )
    if start is None:
        return Clock(chosen), said
    chosen, first = parse_start(start, chosen)
    return Clock(chosen, first), said


def _own_start(media: MediaInfo, rate: Rate) -> int:
    """The frame of the video's own first timecode; 0 where it has none that this rate knows."""
    if media.timecode is None:
        return 0
    own = _with_drop(rate) if ";" in media.timecode else Rate(rate.fps)
    try:
        return own.parse(media.timecode)
    except InputError:
        return 0


def _with_drop(rate: Rate) -> Rate:
    try:
        return Rate(rate.fps, drop=True)
    except InputError:  # a semicolon at a rate that has no drop frame is a slip of the camera
        return rate
