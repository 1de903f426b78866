"""Pictures with times -> an H.264 mp4 that plays at exactly those times."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np

from .. import files
from ..errors import InputError, VideoError
from .colour import BT709, is_hd, stored

_CLOCK = 90_000  # ticks a second; holds the times of 24, 25, 30, 50 and 60 pictures a second exactly


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    times_s: Sequence[float],
    *,
    duration_s: float,
    crf: int = 18,
) -> None:
    """Writes an mp4 (H.264, yuv420p, header first) with the given presentation times, the same bytes for the
    same input.

    frames      (height, width, 3) uint8 RGB each, all of one even size, as many as ``times_s``; taken one by
    one
    times_s     ascending seconds from 0 on, kept to 1/90000 s
    duration_s  the last picture is shown until then
    crf         H.264 constant rate factor, 0 (lossless but for the chroma) to 51

    The file appears under its name only when it is complete.

    Raises:
        InputError: times that do not ascend or pass ``duration_s``, pictures that are too few, too many, or
        odd in size. WriteError: the file cannot be written. VideoError: FFmpeg cannot encode it.
    """
    ticks = [round(time * _CLOCK) for time in times_s]
    bounds = [*ticks, round(duration_s * _CLOCK)]
    if not ticks or ticks[0] < 0 or any(b <= a for a, b in pairwise(bounds)):
        raise InputError(
            f"times_s and duration_s ({duration_s} s) are not ascending, expected 0 <= time < next time < "
            f"duration, "
            f"at least 1/{_CLOCK} s apart."
        )
    with files.whole_file(path) as part:
        try:
            _encode(part, _checked(frames, len(ticks)), bounds, crf)
        except av.FFmpegError as error:
            if isinstance(error, OSError):  # of the disk
                raise
            raise VideoError(
                f"{str(path)!r} cannot be encoded ({error}): check PyAV's H.264 encoder."
            ) from error


def _checked(frames: Iterable[np.ndarray], expected: int) -> Iterator[np.ndarray]:
    shape: tuple[int, ...] | None = None
    count = 0
    for count, frame in enumerate(frames, start=1):  # count is read after the loop
        shape = shape or frame.shape
        even = frame.ndim == 3 and frame.shape[2] == 3 and not (frame.shape[0] % 2 or frame.shape[1] % 2)
        if not even or frame.dtype != np.uint8 or frame.shape != shape:
            raise InputError(
                f"picture {count} is {frame.shape} {frame.dtype}, expected (height, width, 3) uint8 of even "
                f"size, "
                f"the same for all."
            )
        if count > expected:
            break
        yield frame
    if count != expected:
        raise InputError(
            f"there are {'more than ' * (count > expected)}{min(count, expected)} pictures for {expected} "
            f"times, "
            f"expected one each."
        )


def _encode(part: Path, frames: Iterator[np.ndarray], bounds: list[int], crf: int) -> None:
    # Without the movie's own clock as fine as the pictures', the edit list would round and cut the last one.
    options = {"movflags": "faststart", "movie_timescale": str(_CLOCK), "fflags": "bitexact"}
    durations = {tick: after - tick for tick, after in pairwise(bounds)}
    with av.open("file:" + os.path.abspath(part), mode="w", format="mp4", options=options) as container:
        stream = None
        for tick, picture in zip(bounds, frames, strict=False):
            if stream is None:
                stream = _add_stream(
                    container, picture, Fraction(len(bounds) - 1, bounds[-1] - bounds[0]), crf
                )
            frame = stored(av.VideoFrame.from_ndarray(picture, format="rgb24"))
            frame.pts, frame.time_base = tick, Fraction(1, _CLOCK)
            _mux(container, stream.encode(frame), durations)
        if stream is not None:
            _mux(container, stream.encode(None), durations)


def _add_stream(
    container: av.container.OutputContainer, picture: np.ndarray, per_tick: Fraction, crf: int
) -> av.VideoStream:
    rate = (per_tick * _CLOCK).limit_denominator(1001)
    stream = container.add_stream("libx264", rate=max(rate, Fraction(1, 1000)))
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = Fraction(1, _CLOCK)
    stream.time_base = Fraction(1, _CLOCK)
    if is_hd(stream.width, stream.height):
        stream.codec_context.colorspace = BT709
    stream.codec_context.thread_count = 1  # several threads make other bytes
    # mp4 stores how long a picture is decoded, not shown; only without reordering are the two the same.
    stream.codec_context.max_b_frames = 0
    stream.options = {"crf": str(crf), "preset": "medium"}
    return stream


def _mux(
    container: av.container.OutputContainer, packets: list[av.Packet[Any]], durations: dict[int, int]
) -> None:
    for packet in packets:
        packet.duration = durations[packet.pts or 0]  # the encoder knows an average only
        container.mux(packet)
