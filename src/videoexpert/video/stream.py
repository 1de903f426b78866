"""Many clips of a video, or all of it at a rate, in one pass over the file with bounded memory.

What comes out equals what ``read_frames`` gives for the same clips. The pictures are chosen before anything is
decoded; long stretches in which none is wanted are passed over by seeking. Where a file turns out damaged on the
way, what was yielded is kept, its true times are measured in one more pass, and the rest is read carefully.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from ..errors import InputError
from ..limits import limits
from ..types import Frames
from .container import open_video
from .decode import (
    Choice,
    Resize,
    Sampling,
    check_request,
    choose,
    convert,
    same_shape,
    warn_of,
)
from .packets import Packets, read_packets
from .pictures import DamageError, Measured, decode_carefully, decode_quickly, measured_ways
from .runs import Run, decode_run, plan_runs
from .sampling import shown_at
from .sandbox import apart_each
from .timeline import Timeline, timeline_of

if TYPE_CHECKING:
    import torch

T = TypeVar("T")
# wanted pictures [low, high) are this one, shown from this tick on
Shown = tuple[int, int, "torch.Tensor", int]


def window_clips(
    start_s: float, end_s: float, window_s: float, overlap_s: float
) -> list[tuple[float, float]]:
    """Clips of ``window_s`` seconds that cover ``[start_s, end_s)``, each ``overlap_s`` into the one before.

    The last one ends with the video and begins earlier, so that all are equally long; a video shorter than one
    window is one clip.

    Raises:
        InputError: a window that is not positive, or an overlap that is not inside it.
    """
    if not (math.isfinite(window_s) and window_s > 0 and 0 <= overlap_s < window_s):
        raise InputError(
            f"window_s is {window_s} and overlap_s {overlap_s}, expected a window above 0 s and an overlap from 0 "
            "to below it."
        )
    count = max(1, math.ceil((end_s - start_s - overlap_s) / (window_s - overlap_s) - 1e-9))
    limits().check("video_windows", count, f"{count:,} windows of {window_s:g} s were asked for")
    if count == 1:
        return [(start_s, end_s)]
    starts = [start_s + i * (window_s - overlap_s) for i in range(count - 1)]
    return [*((s, s + window_s) for s in starts), (end_s - window_s, end_s)]


@apart_each
def read_windows(
    path: str | os.PathLike[str],
    window_s: float,
    num_frames: int = 100,
    *,
    overlap_s: float = 0.0,
    start_s: float | None = None,
    end_s: float | None = None,
    resize: Resize | None = None,
    sampling: Sampling = "centre",
) -> Iterator[Frames]:
    """Windows of a video (``window_clips``), N frames each, in order, from one pass over the file.

    Each equals ``read_frames`` of its clip. Holes that show nothing do not count as a window's seconds. Memory:
    the windows that overlap at one time, whatever the video's length. Arguments and errors as in ``read_frames``.

    >>> for frames in read_windows("film.mkv", 120.0, 64, overlap_s=30.0, resize=resize):
    ...     tokens = encode(frames)  # frames.start_s, frames.duration_s say which window
    """

    def clips(timeline: Timeline) -> list[tuple[float, float]]:
        whole = timeline.part(*timeline.clip(start_s, end_s, os.fspath(path)))
        if not whole.holes:
            return window_clips(whole.start_s, whole.end_s, window_s, overlap_s)
        return [
            (whole.at(a), whole.at(b, end=True))
            for a, b in window_clips(0.0, whole.seen_s, window_s, overlap_s)
        ]

    return _read(os.fspath(path), clips, num_frames, resize, sampling)


@apart_each
def read_clips(
    path: str | os.PathLike[str],
    clips: Sequence[tuple[float, float]],
    num_frames: int = 100,
    *,
    resize: Resize | None = None,
    sampling: Sampling = "centre",
) -> Iterator[Frames]:
    """N frames of each of many clips ``(start_s, end_s)`` of a video, in order, from one pass over the file.

    Clips may overlap; their starts ascend. Each equals ``read_frames`` of it, and what is between them is skipped
    by seeking. Memory: the clips that overlap at one time.

    Raises:
        InputError: starts that do not ascend, and as ``read_frames``. VideoError: as ``read_frames``.
    """
    fixed = [(float(start), float(end)) for start, end in clips]
    if any(b[0] < a[0] for a, b in pairwise(fixed)):
        raise InputError("the starts of the clips do not ascend, expected clips in the order of time.")
    return _read(os.fspath(path), lambda _: fixed, num_frames, resize, sampling)


@apart_each
def stream_frames(
    path: str | os.PathLike[str],
    rate: float,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    resize: Resize | None = None,
) -> Iterator[tuple[float, torch.Tensor]]:
    """``(time_s, picture)`` at ``rate`` pictures a second, from one pass over the file; one picture in memory.

    Picture i is the one on show at the centre of the bin ``[start + i / rate, start + (i + 1) / rate)``, holes left
    out, for every bin whose centre is inside the clip (at least one bin): what ``read_frames`` gives for as many
    frames. ``time_s`` is that picture's own presentation time. picture: (3, height, width) uint8, as ``resize``
    made it; where pictures come more slowly than ``rate``, the same tensor is yielded again, so ``is`` finds repeats.

    Raises:
        InputError: a rate that is not positive; otherwise as ``read_frames``. VideoError: as ``read_frames``.
    """
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"rate is {rate}, expected a positive number of frames a second.")
    name = os.fspath(path)
    with open_video(name) as source:
        packets = read_packets(source)
        timeline = timeline_of(source, packets)
    limits().check("streamed_frames", int(rate), f"a rate of {rate:g} frames a second was asked for")

    def wanted(timeline: Timeline) -> tuple[list[int], np.ndarray]:
        start, end = timeline.clip(start_s, end_s, name)
        exact = Fraction(rate).limit_denominator(10**6)
        count = max(1, math.ceil(timeline.seen(start, end) * exact - Fraction(1, 2)))
        limits().check("streamed_frames", count, f"{count:,} frames were asked for, {rate:g} a second")
        ticks = timeline.centres(start, end, count, 1 / exact)
        return ticks, shown_at(timeline.ticks, ticks)

    return _at_rate(name, packets, timeline, wanted, resize)


def _at_rate(
    name: str,
    packets: Packets,
    timeline: Timeline,
    wanted: Callable[[Timeline], tuple[list[int], np.ndarray]],
    resize: Resize | None,
) -> Iterator[tuple[float, torch.Tensor]]:
    done = 0
    try:
        ticks, places = _promised(wanted, timeline)
        for low, high, picture, tick in _planned(name, packets, timeline, ticks, places, resize):
            for _ in range(low, high):
                done += 1
                yield float(timeline.seconds(np.asarray([tick]))[0]), picture
        return
    except DamageError:
        pass
    for measured in measured_ways(name, packets):
        _, places = wanted(measured.timeline)
        try:
            for low, high, picture, tick in _careful(name, packets, measured, places[done:], resize):
                for _ in range(low, high):
                    done += 1
                    yield float(measured.timeline.seconds(np.asarray([tick]))[0]), picture
            return
        except DamageError:
            continue


def _read(
    name: str,
    clips_of: Callable[[Timeline], list[tuple[float, float]]],
    num_frames: int,
    resize: Resize | None,
    sampling: Sampling,
) -> Iterator[Frames]:
    """Checks the call at once; reads when the first clip is asked for."""
    check_request(num_frames, sampling)
    with open_video(name) as source:
        packets = read_packets(source)
        timeline = timeline_of(source, packets)

    def choices(timeline: Timeline) -> list[Choice]:
        return [choose(timeline, num_frames, *clip, sampling, name) for clip in clips_of(timeline)]

    return _clips(name, packets, timeline, choices, resize, sampling)


def _clips(
    name: str,
    packets: Packets,
    timeline: Timeline,
    choices_of: Callable[[Timeline], list[Choice]],
    resize: Resize | None,
    sampling: Sampling,
) -> Iterator[Frames]:
    done = 0
    try:
        slots = _Slots(_promised(choices_of, timeline))
        whole = (
            sampling == "linspace"
        )  # its places are counted in pictures: only decoding them all counts them
        shown = _planned(name, packets, timeline, slots.ticks, slots.places, resize, everything=whole)
        for frames in slots.fill(shown, timeline):
            yield frames
            done += 1
        return
    except DamageError:
        pass
    for measured in measured_ways(name, packets):
        slots = _Slots(choices_of(measured.timeline)[done:])
        try:
            for frames in slots.fill(
                _careful(name, packets, measured, slots.places, resize), measured.timeline
            ):
                yield frames
                done += 1
            return
        except DamageError:
            continue


class _Slots:
    """The frames of many clips while they come in, in the order of their time."""

    def __init__(self, choices: list[Choice]) -> None:
        self.choices = choices
        ticks = np.asarray([tick for choice in choices for tick in choice.ticks], dtype=np.int64)
        places = np.concatenate([choice.indices for choice in choices]) if choices else ticks
        order = np.argsort(ticks, kind="stable")
        size = len(choices[0].ticks) if choices else 1
        self.clip, self.slot = order // size, order % size
        self.ticks, self.places = ticks[order].tolist(), places[order]

    def fill(self, shown: Iterator[Shown], timeline: Timeline) -> Iterator[Frames]:
        """Each clip as soon as it, and those before it, are full."""
        import torch

        open_clips: dict[int, tuple[torch.Tensor, np.ndarray]] = {}
        missing = [len(choice.ticks) for choice in self.choices]
        done = 0
        for low, high, picture, tick in shown:
            for clip, slot in zip(self.clip[low:high].tolist(), self.slot[low:high].tolist(), strict=True):
                if clip not in open_clips:
                    count = missing[clip]
                    pixels = torch.empty((count, *picture.shape), dtype=torch.uint8)
                    open_clips[clip] = pixels, np.zeros(count, dtype=np.int64)
                pixels, ticks = open_clips[clip]
                pixels[slot], ticks[slot] = picture, tick
                missing[clip] -= 1
            while done < len(missing) and not missing[done]:
                yield self._frames(done, *open_clips.pop(done), timeline)
                done += 1

    def _frames(self, clip: int, pixels: torch.Tensor, ticks: np.ndarray, timeline: Timeline) -> Frames:
        import torch

        stretch = self.choices[clip].stretch
        times = torch.from_numpy(timeline.seconds(ticks))
        return Frames(pixels, times, stretch.duration_s, stretch.start_s, stretch.holes)


def _planned(
    name: str,
    packets: Packets,
    timeline: Timeline,
    ticks: list[int],
    places: np.ndarray,
    resize: Resize | None,
    everything: bool = False,
) -> Iterator[Shown]:
    """The pictures on show at ``ticks`` (K,) ascending, those at ``places`` (K,) of the timeline.

    Raises:
        DamageError: the pictures are not those that the packets promise.
    """
    if not ticks:
        return
    expected = timeline.ticks[places]
    runs = [Run(None, 0, len(ticks))]
    if packets.seekable and not everything:
        runs = plan_runs(packets, expected)
    warn_of(name, timeline.problems)
    problems: list[str] = []
    shape: tuple[int, ...] | None = None
    with open_video(name, reduce=resize is not None) as source:
        for run in runs:
            for low, high, frame, tick in decode_run(source, packets, run, ticks, problems):
                if (expected[low:high] != tick).any():
                    raise DamageError
                picture = convert(source, frame, resize)
                shape = same_shape(source, picture, shape)
                yield low, high, picture, tick
    warn_of(name, [problem for problem in problems if problem not in timeline.problems])


def _promised(choose_from: Callable[[Timeline], T], timeline: Timeline) -> T:
    """What is chosen by the packets' times. Raises DamageError where they hold no such clip: measure first."""
    try:
        return choose_from(timeline)
    except InputError as error:
        raise DamageError from error


def _careful(
    name: str, packets: Packets, measured: Measured, places: np.ndarray, resize: Resize | None
) -> Iterator[Shown]:
    """The pictures at ``places`` (K,) ascending of the measured timeline.

    Raises:
        DamageError: they do not come again.
    """
    low = 0
    shape: tuple[int, ...] | None = None
    with open_video(name, threads=not measured.careful, reduce=resize is not None) as source:
        frames = (decode_carefully if measured.careful else decode_quickly)(source, packets.clock, [])
        for place, (_, frame) in enumerate(frames):
            high = int(np.searchsorted(places, place, side="right"))
            if high > low:
                picture = convert(source, frame, resize)
                shape = same_shape(source, picture, shape)
                yield low, high, picture, int(measured.timeline.ticks[place])
                low = high
            if low == len(places):
                break
    if low < len(places):
        raise DamageError
    if measured.careful:
        warn_of(name, measured.problems)
