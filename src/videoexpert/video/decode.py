"""A video file -> Frames: N pictures spread over its time, each with its own presentation time.

First the packets are listed without decoding; they show when every picture is on screen and where decoding can
start. Then the chosen pictures are decoded, seeking over long stretches without any. What comes out is
checked against the plan. Only where they differ (damage, wrong headers, mislabelled times) everything is
decoded once to measure the true times and once more to fetch the pictures. Kept in memory: N pictures as
resized, one as decoded, and a few numbers for each packet.
"""

from __future__ import annotations

import os
import warnings
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import av
import numpy as np

from ..errors import InputError, VideoError, VideoWarning
from ..limits import limits
from ..types import Frames, Stretch
from .container import OpenFile, open_video
from .packets import Packets, read_packets
from .pictures import DamageError, Measured, decode_carefully, decode_quickly, measured_ways
from .runs import Run, decode_run, plan_runs
from .sampling import linspace_indices, shown_at
from .sandbox import apart
from .timeline import Timeline, timeline_of

if TYPE_CHECKING:
    import torch

Sampling = Literal["centre", "linspace"]
Resize = Callable[[np.ndarray], "torch.Tensor"]


@dataclass(frozen=True)
class _Request:
    path: str
    num_frames: int
    start_s: float | None
    end_s: float | None
    sampling: Sampling

    @property
    def whole(self) -> bool:
        return self.start_s is None and self.end_s is None


@dataclass(frozen=True)
class Choice:
    """Which pictures of a timeline are the N bins of a clip.

    stretch     the clip
    ticks       (N,) ascending: each bin gets the picture on show then
    indices     (N,) those pictures' places in the timeline
    """

    stretch: Stretch
    ticks: list[int]
    indices: np.ndarray


def choose(
    timeline: Timeline,
    num_frames: int,
    start_s: float | None,
    end_s: float | None,
    sampling: Sampling,
    name: str,
) -> Choice:
    """The one rule for the N pictures of ``[start_s, end_s)``; used for reading and for reporting.

    Raises:
        InputError: the clip is not inside the video.
    """
    start, end = timeline.clip(start_s, end_s, name)
    stretch = timeline.part(start, end)
    if sampling == "centre":
        ticks = timeline.centres(start, end, num_frames)
        return Choice(stretch, ticks, shown_at(timeline.ticks, ticks))
    # Of the pictures that begin inside the clip, as the released code samples; the one on show if none does.
    first, until = (timeline.zero + edge / timeline.time_base for edge in (start, end))
    low, high = (int(np.searchsorted(timeline.ticks, -(-t // 1))) for t in (first, until))
    if low == high:
        low = max(low, 1) - 1
        high = low + 1
    indices = low + linspace_indices(high - low, num_frames)
    return Choice(stretch, timeline.ticks[indices].tolist(), indices)


@apart
def read_frames(
    path: str | os.PathLike[str],
    num_frames: int = 100,
    *,
    start_s: float | None = None,
    end_s: float | None = None,
    resize: Resize | None = None,
    sampling: Sampling = "centre",
) -> Frames:
    """Reads N upright frames of a video or of its clip ``[start_s, end_s)``.

    Times are seconds on the players' clock, from the container's timestamps: 0 is where the file begins, sound
    included (docs/clocks.md). The whole video runs from there to the end of the last picture; sound may outlast
    it. Parts of a file whose own clock starts again are laid end to end, pictures with insane times are left out,
    and long stretches without a picture are ``holes``, over which no frames are spread.

    ``sampling="centre"``: frame i is the picture on show at the centre of bin i (it may have come on before,
    in a clip even before ``start_s``); a video of fewer pictures repeats them. ``"linspace"``: pictures
    number ``linspace(0, T - 1, N)`` of the T in the clip, as the released code does. Rotation, mirroring and
    sample aspect ratio are applied.

    ``resize`` maps an upright (height, width, 3) uint8 RGB picture to a (3, h, w) uint8 tensor as soon as it
    is decoded; None keeps the native upright size.

    Raises:
        VideoError: not one readable local video file, or no picture in it decodes.
        InputError: ``num_frames`` below 1, or a clip outside the video.

    Warns:
        VideoWarning: parts of the file are damaged and left out, or its clock is not sound.
    """
    check_request(num_frames, sampling)
    request = _Request(os.fspath(path), num_frames, start_s, end_s, sampling)
    with open_video(request.path) as source:
        packets = read_packets(source)
        planned = timeline_of(source, packets)
    for runs in _plans(request, packets, planned):
        try:
            return _read_planned(request, packets, planned, runs, resize)
        except DamageError:
            continue
    return _read_measured(request, packets, resize)


def check_request(num_frames: int, sampling: str) -> None:
    """Raises InputError for a number of frames or a way of sampling that there is not."""
    if num_frames < 1:
        raise InputError(f"num_frames is {num_frames}, expected at least 1.")
    limits().check("frames", num_frames, f"num_frames is {num_frames:,}")
    if sampling not in ("centre", "linspace"):
        raise InputError(f"sampling is {sampling!r}, expected 'centre' or 'linspace'.")


def convert(source: OpenFile, frame: av.VideoFrame, resize: Resize | None) -> torch.Tensor:
    """(3, h, w) uint8: the upright picture, as ``resize`` makes it. Raises InputError for a wrong ``resize``."""
    import torch

    picture = source.upright(frame)
    small = torch.from_numpy(picture).permute(2, 0, 1) if resize is None else resize(picture)
    if small.ndim != 3 or small.shape[0] != 3 or small.dtype != torch.uint8:
        raise InputError(
            f"resize gave {tuple(small.shape)} {small.dtype}, expected (3, height, width) torch.uint8."
        )
    return small


def same_shape(source: OpenFile, picture: torch.Tensor, shape: tuple[int, ...] | None) -> tuple[int, ...]:
    """The picture's shape; raises VideoError where the pictures before had another."""
    if shape is not None and picture.shape != shape:
        raise VideoError(
            f"{source.path!r} changes its picture's shape on the way ({tuple(shape)}, then "
            f"{tuple(picture.shape)}), expected one shape: pass a resize to a fixed size."
        )
    return tuple(picture.shape)


class _Bins:
    """The N frames while they come in."""

    def __init__(self, num_frames: int, resize: Resize | None) -> None:
        self.resize = resize
        self.pixels: torch.Tensor | None = None
        self.ticks = np.zeros(num_frames, dtype=np.int64)

    def put(self, low: int, high: int, source: OpenFile, frame: av.VideoFrame, tick: int) -> None:
        """Bins ``[low, high)`` show ``frame``: converted once, at once."""
        import torch

        small = convert(source, frame, self.resize)
        if self.pixels is None:
            self.pixels = torch.empty((len(self.ticks), *small.shape), dtype=torch.uint8)
        same_shape(source, small, tuple(self.pixels.shape[1:]))
        self.pixels[low:high] = small
        self.ticks[low:high] = tick

    def frames(self, timeline: Timeline, choice: Choice) -> Frames:
        import torch

        assert self.pixels is not None
        times = torch.from_numpy(timeline.seconds(self.ticks))
        clip = choice.stretch
        return Frames(self.pixels, times, clip.duration_s, clip.start_s, clip.holes)


def _plans(request: _Request, packets: Packets, planned: Timeline) -> list[list[Run]]:
    """Ways to read what the packets promise, cheapest first; none if they promise no such clip."""
    everything = [Run(None, 0, request.num_frames)]
    try:
        choice = _choose(request, planned)
    except InputError:  # the measured length decides
        return []
    # The released preset's places are counted in pictures: only decoding them all counts them.
    if not packets.seekable or request.sampling == "linspace":
        return [everything]
    runs = plan_runs(packets, planned.ticks[choice.indices])
    return [everything] if runs == everything else [runs, everything]


def _choose(request: _Request, timeline: Timeline) -> Choice:
    return choose(
        timeline, request.num_frames, request.start_s, request.end_s, request.sampling, request.path
    )


def _read_planned(
    request: _Request, packets: Packets, planned: Timeline, runs: list[Run], resize: Resize | None
) -> Frames:
    """Decodes the runs.

    Raises:
        DamageError: the pictures are not those planned.
    """
    choice = _choose(request, planned)
    bins = _Bins(request.num_frames, resize)
    problems: list[str] = []
    with open_video(request.path, reduce=resize is not None) as source:
        met: array[int] | None = None
        for run in runs:
            if request.whole and run is runs[-1]:
                met = array("q")
            for low, high, frame, tick in decode_run(source, packets, run, choice.ticks, problems, met):
                bins.put(low, high, source, frame, tick)
        timeline = planned
        if request.whole and runs[0].key is None and len(runs) == 1:
            timeline = timeline_of(source, packets, np.asarray(met))
            choice = _choose(request, timeline)
        elif met and met[-1] != planned.ticks[-1]:
            raise DamageError  # the end is not where the packets say
    if not np.array_equal(bins.ticks, timeline.ticks[choice.indices]):
        raise DamageError
    warn_of(request.path, (*timeline.problems, *problems))
    return bins.frames(timeline, choice)


def _read_measured(request: _Request, packets: Packets, resize: Resize | None) -> Frames:
    """Two decodes: one to learn the true times, one to fetch the chosen pictures by place."""
    ways = measured_ways(request.path, packets)
    while True:
        measured = next(ways)
        choice = _choose(request, measured.timeline)
        bins = _Bins(request.num_frames, resize)
        try:
            with open_video(request.path, threads=not measured.careful, reduce=resize is not None) as source:
                _fetch(source, packets, measured, choice, bins)
        except DamageError:
            continue
        problems = measured.problems if measured.careful else ()
        warn_of(request.path, (*measured.timeline.problems, *problems))
        return bins.frames(measured.timeline, choice)


def _fetch(source: OpenFile, packets: Packets, measured: Measured, choice: Choice, bins: _Bins) -> None:
    """Raises DamageError where the pictures measured do not come again."""
    frames = (decode_carefully if measured.careful else decode_quickly)(source, packets.clock, [])
    low = 0
    for place, (_, frame) in enumerate(frames):
        high = int(np.searchsorted(choice.indices, place, side="right"))
        if high > low:
            bins.put(low, high, source, frame, int(measured.timeline.ticks[place]))
            low = high
        if low == len(bins.ticks):
            return
    raise DamageError


def warn_of(path: str, problems: Sequence[str]) -> None:
    """One VideoWarning that names all problems, if there is one."""
    if problems:
        warnings.warn(f"{path!r}: {'; '.join(dict.fromkeys(problems))}.", VideoWarning, stacklevel=4)
