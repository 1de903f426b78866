"""Videos whose every picture carries its own number, written with PyAV; a plain reader to compare with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest

BLOCK, COLUMNS, ROWS = 16, 5, 2  # picture number in binary, one bit a block: 80 x 32 pixels


def numbered_picture(number: int, scale: int = 1) -> np.ndarray:
    bits = [(number >> bit) & 1 for bit in range(COLUMNS * ROWS)]
    small = np.asarray(bits, dtype=np.uint8).reshape(ROWS, COLUMNS) * 200 + 25
    grey = np.kron(small, np.ones((BLOCK * scale, BLOCK * scale), dtype=np.uint8))
    return np.repeat(grey[:, :, None], 3, axis=2)


def read_number(picture: np.ndarray) -> int:
    """picture (3, height, width) or (height, width, 3)."""
    grey = np.asarray(picture).astype(float)
    grey = grey.mean(axis=0 if grey.shape[0] == 3 else 2)
    height, width = grey.shape
    blocks = grey.reshape(ROWS, height // ROWS, COLUMNS, width // COLUMNS).mean(axis=(1, 3))
    return int(sum(1 << bit for bit, value in enumerate(blocks.ravel()) if value > 125))


def make_video(
    path: Path,
    ticks: Sequence[int],
    *,
    clock: int = 1000,
    codec: str = "libx264",
    gop: int = 12,
    b_frames: int = 2,
    options: dict[str, str] | None = None,
    pictures: Callable[[int], np.ndarray] = numbered_picture,
    sample_aspect: Fraction | None = None,
) -> Path:
    """Picture i is shown from ``ticks[i] / clock`` seconds on, the last one for as long as the one before."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = pictures(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        stream.time_base = context.time_base = Fraction(1, clock)
        context.gop_size, context.max_b_frames = gop, b_frames
        if sample_aspect is not None:
            context.sample_aspect_ratio = sample_aspect
        stream.options = options or {}
        add_pictures(container, stream, ticks, clock, pictures)
    return path


def add_pictures(container, stream, ticks, clock, pictures):
    for i, tick in enumerate(ticks):
        frame = av.VideoFrame.from_ndarray(pictures(i), format="rgb24")
        frame.pts, frame.time_base = int(tick), Fraction(1, clock)
        mux(container, stream.encode(frame), ticks)
    mux(container, stream.encode(None), ticks)


def mux(container, packets, ticks):
    gaps = [b - a for a, b in pairwise(ticks)]
    durations = dict(zip(ticks, [*gaps, *(gaps[-1:] or [40])], strict=True))
    for packet in packets:
        packet.duration = durations.get(packet.pts, 0)  # encoders know an average only
        container.mux(packet)


def plain_times(path: Path) -> np.ndarray:
    """All times on the players' clock, in display order, by the plainest loop there is."""
    with av.open(str(path)) as container:
        stream = container.streams.best("video")
        assert stream is not None
        stream.thread_type = "AUTO"
        ticks = np.asarray(sorted(frame.pts for frame in container.decode(stream)))
        zero = Fraction(container.start_time, av.time_base) / stream.time_base
        nearest = (
            round(zero) if abs(zero - round(zero)) * stream.time_base < 2e-6 else zero
        )  # FFmpeg rounds it
        return (ticks - float(nearest)) * float(stream.time_base)


def plain_pictures(path: Path, wanted: Sequence[int]) -> dict[int, av.VideoFrame]:
    """The pictures with these numbers in display order."""
    with av.open(str(path)) as container:
        decoded = islice(container.decode(container.streams.best("video")), max(wanted) + 1)
        return {i: frame for i, frame in enumerate(decoded) if i in wanted}


def on_show(times: np.ndarray, moment: float) -> int:
    """Index of the last picture that came on at or before ``moment``, give or take a microsecond."""
    return max([i for i, time in enumerate(times) if time <= moment + 1e-6], default=0)


@pytest.fixture(scope="session")
def media():  # type: ignore[no-untyped-def]
    """This file's helpers (test modules are imported by path and cannot import one another)."""
    import types

    names = (numbered_picture, read_number, make_video, add_pictures, plain_times, plain_pictures, on_show)
    return types.SimpleNamespace(**{function.__name__: function for function in names})
