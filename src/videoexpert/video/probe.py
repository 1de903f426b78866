"""What is in a video file and whether its times are sound: what ``videoexpert doctor VIDEO`` prints."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import av
import numpy as np

from ..types import Hole
from .colour import TRANSFERS
from .container import OpenFile, open_video
from .decode import Sampling, check_request, choose
from .media import EVEN_S
from .packets import read_packets
from .pictures import Measured, measure
from .sandbox import run_safely
from .timeline import Timeline


@dataclass(frozen=True)
class VideoInfo:
    """A video file, measured by decoding it. ``read_frames`` sees the same size, duration and times.

    width, height           upright, in square pixels
    dynamic_range           SDR, or PQ or HLG, which are tone-mapped
    rotation_deg            clockwise turn that was applied to the stored picture: 0, 90, 180 or 270
    sample_aspect_ratio     width over height of a stored pixel; 1.0 where not stated
    duration_s              from the players' zero, where the file begins, to the end of the last picture
    declared_duration_s     what the container's header says, sound included; None if nothing
    header_frames           what the header says; 0 if nothing
    start_offset_s          the first picture's time on the container's own clock
    holes                   ``(from, to)`` in seconds: long stretches without a picture
    picture_times_s         (T,) seconds on the players' clock
    problems                one phrase for each thing that is unsound
    """

    path: str
    container: str
    codec: str
    pixel_format: str
    dynamic_range: str
    width: int
    height: int
    rotation_deg: int
    sample_aspect_ratio: float
    duration_s: float
    declared_duration_s: float | None
    frame_count: int
    header_frames: int
    average_fps: float
    variable_frame_rate: bool
    start_offset_s: float
    holes: tuple[Hole, ...]
    has_audio: bool
    streams: tuple[str, ...]
    problems: tuple[str, ...]
    timeline: Timeline = field(repr=False, compare=False)

    @property
    def picture_times_s(self) -> np.ndarray:
        return self.timeline.seconds(self.timeline.ticks)

    def frame_times(
        self,
        num_frames: int = 100,
        *,
        start_s: float | None = None,
        end_s: float | None = None,
        sampling: Sampling = "centre",
    ) -> np.ndarray:
        """(N,) seconds: the times of the frames ``read_frames`` would give.

        Raises:
            InputError: the clip is not inside the video, or so many frames are looked at in no pass.
        """
        check_request(num_frames, sampling)
        choice = choose(self.timeline, num_frames, start_s, end_s, sampling, self.path)
        return self.timeline.seconds(self.timeline.ticks[choice.indices])


def probe(path: str | os.PathLike[str], progress: Callable[[int, int], None] | None = None) -> VideoInfo:
    """Decodes a video once and reports what it holds; ``progress`` as in ``measure``.

    Raises:
        VideoError: not one readable local video file, or no picture in it decodes.
    """
    name = os.fspath(path)
    with open_video(name) as source:
        packets = read_packets(source)
        measured = measure(name, packets, progress=progress)
        return _info(source, measured)


def _info(source: OpenFile, measured: Measured) -> VideoInfo:
    container, stream, timeline = source.container, source.stream, measured.timeline
    times = timeline.seconds(timeline.ticks)
    gaps = np.diff(times)
    whole = timeline.part(Fraction(0), timeline.duration_s)
    duration_s = whole.duration_s
    declared_s = container.duration / av.time_base if container.duration else None
    return VideoInfo(
        path=source.path,
        container=container.format.name,
        codec=stream.codec_context.name,
        pixel_format=stream.pix_fmt or "unknown",
        dynamic_range=TRANSFERS.get(source.transfer, "SDR"),
        width=measured.width,
        height=measured.height,
        rotation_deg=measured.rotation_deg,
        sample_aspect_ratio=float(source.sample_aspect_ratio),
        duration_s=duration_s,
        declared_duration_s=declared_s,
        frame_count=len(times),
        header_frames=stream.frames,
        average_fps=len(times) / whole.seen_s,
        variable_frame_rate=len(gaps) > 0 and float(gaps.max() - gaps.min()) > EVEN_S,
        start_offset_s=float(int(timeline.ticks[0]) * timeline.time_base),
        holes=whole.holes,
        has_audio=bool(container.streams.audio),
        streams=tuple(_describe(s) for s in container.streams),
        problems=tuple(
            dict.fromkeys(
                [
                    *timeline.problems,
                    *measured.problems,
                    *_header_problems(source, len(times), duration_s, declared_s),
                ]
            )
        ),
        timeline=timeline,
    )


def _describe(stream: av.stream.Stream) -> str:
    context = getattr(stream, "codec_context", None)
    return f"{stream.type}:{context.name if context is not None else 'unknown'}"


def _header_problems(source: OpenFile, frames: int, duration_s: float, declared_s: float | None) -> list[str]:
    found = []
    stream = source.stream
    if stream.frames and stream.frames != frames:
        found.append(f"the header promises {stream.frames} pictures, {frames} can be used")
    if declared_s is None:
        found.append("the header states no duration: measured")
    elif declared_s < duration_s - EVEN_S and not source.container.streams.audio:
        found.append(f"the header states {declared_s:.3f} s, the pictures last {duration_s:.3f} s")
    ratio = stream.sample_aspect_ratio
    if ratio and ratio != source.sample_aspect_ratio:
        found.append(f"the sample aspect ratio {ratio} is senseless: square pixels taken")
    return found


@dataclass(frozen=True)
class Look:
    """What a child found: the video decodes from end to end. Seconds and pixels, as in VideoInfo."""

    duration_s: float
    width: int
    height: int
    frame_count: int


def probe_safely(path: str | os.PathLike[str], *, timeout_s: float = 600.0, name: str | None = None) -> Look:
    """Decodes a video once, as ``run_safely`` does."""
    return run_safely(_look, path, timeout_s=timeout_s, name=name)


def _look(path: str) -> Look:
    info = probe(path)
    return Look(info.duration_s, info.width, info.height, info.frame_count)
