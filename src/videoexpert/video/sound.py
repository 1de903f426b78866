"""The sound of a part of a video, exact to the sample, silent where there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np

from .container import open_video
from .packets import read_packets

HERTZ = 48_000
_BEFORE_S = 1  # decoding begins this much earlier: codecs need a run-up
_GAP_S = Fraction(1, 20)  # a jump in the sound's own times; below, its samples are taken to follow each other
_BLOCK = HERTZ  # samples of silence at once


def has_sound(path: str | os.PathLike[str]) -> bool:
    """Whether the video has a sound stream. Raises VideoError for a file that is not a video."""
    with open_video(path) as source:
        return bool(source.container.streams.audio)


def sound(path: str | os.PathLike[str], start_s: float, end_s: float) -> Iterator[np.ndarray]:
    """Blocks of (2, n) float32 at 48 kHz, stereo, which together last ``end_s - start_s`` seconds to the sample.

    Seconds count on the players' clock, like those of pictures. A video without sound, or whose clock breaks, gives
    silence. Raises VideoError for a file that is not a video.
    """
    start = Fraction(start_s).limit_denominator(10**9)
    total = round((Fraction(end_s).limit_denominator(10**9) - start) * HERTZ)
    sent = 0
    for place, samples in _placed(path, start):
        if place >= total:
            break
        samples = samples[:, max(0, sent - place) : max(0, total - place)]
        place = max(place, sent)
        yield from _silence(min(place, total) - sent)
        if samples.shape[1]:
            yield samples
        sent = place + samples.shape[1]
    yield from _silence(total - sent)


def _silence(samples: int) -> Iterator[np.ndarray]:
    while samples > 0:
        yield np.zeros((2, min(samples, _BLOCK)), dtype=np.float32)
        samples -= _BLOCK


def _placed(path: str | os.PathLike[str], start: Fraction) -> Iterator[tuple[int, np.ndarray]]:
    """(place, samples): decoded sound and the sample of the part with which it begins, ascending."""
    with open_video(path) as source:
        stream = source.container.streams.best("audio")
        if not isinstance(stream, av.AudioStream):
            return
        packets = read_packets(source)
        if not packets.clock.one_clock:
            return
        zero, base = packets.zero * source.time_base, Fraction(stream.time_base or Fraction(1, HERTZ))
    with open_video(path) as source:
        stream = source.container.streams.best("audio")
        assert isinstance(stream, av.AudioStream)
        begin = zero + max(start - _BEFORE_S, Fraction(0))
        source.container.seek(int(begin / base), stream=stream)
        yield from _resampled(source.container, stream, start + zero)


def _resampled(
    container: av.container.InputContainer, stream: av.AudioStream, origin: Fraction
) -> Iterator[tuple[int, np.ndarray]]:
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=HERTZ)
    place: int | None = None  # of the next sample
    due: Fraction | None = None  # when the next sound should come, by its own clock
    for frame in _decoded(container, stream):
        if frame.pts is None or frame.time_base is None:
            continue
        at = frame.pts * Fraction(frame.time_base)
        if due is None or abs(at - due) > _GAP_S:
            place = round((at - origin) * HERTZ)
        due = at + Fraction(frame.samples, frame.sample_rate)
        for made in resampler.resample(frame):
            assert place is not None
            samples = made.to_ndarray()
            if place + samples.shape[1] > 0:
                yield max(place, 0), samples[:, max(0, -place) :]
            place += samples.shape[1]


def _decoded(container: av.container.InputContainer, stream: av.AudioStream) -> Iterator[av.AudioFrame]:
    """Decoded sound up to the first damage, after which is silence."""
    try:
        yield from container.decode(stream)
    except av.FFmpegError:
        return
