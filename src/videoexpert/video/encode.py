"""Spans of videos, one after the other, encoded as one H.264 mp4 with sound, exact to the picture and the sample."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import Any

import av
import numpy as np

from .. import files
from ..errors import VideoError
from .container import OpenFile, open_video
from .packets import Packets, last_key, read_packets
from .pictures import DamageError, Measured, decode_carefully, decode_quickly, measured_ways
from .runs import seek_to
from .sound import HERTZ, has_sound, sound
from .timeline import Timeline, timeline_of

_CLOCK = 90_000  # ticks a second; holds the times of 24, 25, 30, 50 and 60 pictures a second exactly
_CRF = 18  # no loss that people see
_BT709 = 1  # in FFmpeg's lists of colour spaces, primaries and transfers
_LIMITED = 1  # and of ranges
_AHEAD_S = Fraction(1, 2)  # sound is written this much before the pictures it belongs to


@dataclass(frozen=True)
class Span:
    """``[start_s, end_s)`` of a video, on its clock."""

    video: str
    start_s: float
    end_s: float


def encode_spans(spans: Sequence[Span], out: str | os.PathLike[str]) -> None:
    """Writes the spans one after the other as an mp4; all get the size of the first, with black at the sides.

    Pictures keep their own times, upright and in square pixels. Where one of the videos has sound, the others are
    silent. The file appears under its name only when it is complete.

    Raises:
        VideoError: not one readable local video file, or FFmpeg cannot encode it. InputError: a span outside its
        video. WriteError: the file cannot be written.
    """
    with files.whole_file(out) as part:
        try:
            with av.open(
                "file:" + os.path.abspath(part), mode="w", format="mp4", options=_OPTIONS
            ) as container:
                writer = _Writer(container, any(has_sound(span.video) for span in spans))
                for span in spans:
                    writer.add(span)
                writer.close()
        except av.FFmpegError as error:
            if isinstance(error, OSError):  # of the disk
                raise
            raise VideoError(
                f"{os.fspath(out)!r} cannot be encoded ({error}): check PyAV's H.264 and AAC encoders."
            ) from error


_OPTIONS = {"movflags": "faststart", "movie_timescale": str(_CLOCK)}


def pictures(span: Span) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Every picture on show in the span: seconds from its start, and (height, width, 3) uint8 RGB, upright.

    The first is the one on show at the start, at 0. Raises what ``encode_spans`` raises.
    """
    with open_video(span.video) as source:
        packets = read_packets(source)
        timeline = timeline_of(source, packets)
    given = 0
    try:
        for found in _shown(span, timeline, _in_order(_from_key(span, packets, timeline))):
            yield found
            given += 1
        return
    except DamageError:  # what was yielded is kept; the rest at its measured times
        pass
    for measured in measured_ways(span.video, packets):
        try:
            rest = _shown(span, measured.timeline, _measured(span, packets, measured))
            for found in islice(rest, given, None):
                yield found
                given += 1
            return
        except DamageError:
            continue


def _shown(
    span: Span, timeline: Timeline, found: Iterable[tuple[int, OpenFile, av.VideoFrame]]
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Of pictures in order, with their ticks, those of the span."""
    start, end = timeline.clip(span.start_s, span.end_s, span.video)
    first, last = (timeline.zero + t / timeline.time_base for t in (start, end))
    held: tuple[int, OpenFile, av.VideoFrame] | None = None
    for place in found:
        if place[0] >= last:
            break
        if held is not None and place[0] > first:
            yield max(held[0] - first, Fraction(0)) * timeline.time_base, held[1].upright(held[2])
        held = place
    if held is not None:
        yield max(held[0] - first, Fraction(0)) * timeline.time_base, held[1].upright(held[2])


def _from_key(
    span: Span, packets: Packets, timeline: Timeline
) -> Iterator[tuple[int, OpenFile, av.VideoFrame]]:
    """Pictures from the last key frame before the span on, by their own ticks. Raises DamageError."""
    start, _ = timeline.clip(span.start_s, span.end_s, span.video)
    key = last_key(packets, timeline.zero + start / timeline.time_base) if packets.seekable else None
    with open_video(span.video) as source:
        if key is not None:
            seek_to(source, packets, key)
        key_tick = None if key is None else int(packets.ticks[key])
        for tick, frame in decode_quickly(source, packets.clock, [], key_tick):
            yield tick, source, frame


def _in_order(
    found: Iterable[tuple[int, OpenFile, av.VideoFrame]],
) -> Iterator[tuple[int, OpenFile, av.VideoFrame]]:
    """Raises DamageError where times run backwards."""
    reached = None
    for place in found:
        if reached is not None and place[0] < reached:
            raise DamageError
        reached = place[0]
        yield place


def _measured(
    span: Span, packets: Packets, measured: Measured
) -> Iterator[tuple[int, OpenFile, av.VideoFrame]]:
    """All pictures, at the measured ticks."""
    decode = decode_carefully if measured.careful else decode_quickly
    with open_video(span.video, threads=not measured.careful) as source:
        for tick, (_, frame) in zip(measured.timeline.ticks, decode(source, packets.clock, []), strict=False):
            yield int(tick), source, frame


class _Writer:
    """The output file while spans are added."""

    def __init__(self, container: av.container.OutputContainer, audible: bool) -> None:
        self.container = container
        self.video: av.VideoStream | None = None
        self.audio = self._add_audio() if audible else None
        self.fifo = av.AudioFifo()
        self.began = Fraction(0)  # seconds of the file before the span that is written
        self.samples = 0
        self.durations: dict[int, int] = {}

    def add(self, span: Span) -> None:
        """One more span."""
        length = Fraction(span.end_s).limit_denominator(10**9) - Fraction(span.start_s).limit_denominator(
            10**9
        )
        heard = sound(span.video, span.start_s, span.end_s) if self.audio is not None else iter(())
        pending: tuple[Fraction, np.ndarray] | None = None
        for time, picture in pictures(span):
            if pending is not None:  # the pictures' stream has to be there before any sound is written
                self._put(*pending, until=time)
                self._hear(heard, self.began + time + _AHEAD_S)
            pending = (time, picture)
        if pending is not None:
            self._put(*pending, until=length)
        self._hear(heard, None)
        self.began += length

    def close(self) -> None:
        """What the encoders still hold."""
        if self.video is not None:
            self._mux_pictures(self.video.encode(None))
        if self.audio is not None:
            self._encode_sound(flush=True)
            self.container.mux(self.audio.encode(None))

    def _put(self, time: Fraction, picture: np.ndarray, until: Fraction) -> None:
        if self.video is None:
            self.video = self._add_video(picture)
        picture = _fitted(picture, self.video.width, self.video.height)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace=_BT709)
        frame.pts, frame.time_base = round((self.began + time) * _CLOCK), Fraction(1, _CLOCK)
        end = round((self.began + until) * _CLOCK)
        if end <= frame.pts:  # shown for less than a tick
            return
        self.durations[frame.pts] = end - frame.pts
        self._mux_pictures(self.video.encode(frame))

    def _mux_pictures(self, packets: list[av.Packet[Any]]) -> None:
        for packet in packets:
            packet.duration = self.durations.pop(packet.pts or 0)  # the encoder knows an average only
            self.container.mux(packet)

    def _hear(self, heard: Iterator[np.ndarray], until: Fraction | None) -> None:
        """Sound up to a second of the file; all of the span's where None."""
        while self.audio is not None and (until is None or self.samples < until * HERTZ):
            samples = next(heard, None)
            if samples is None:
                return
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = HERTZ, self.samples, Fraction(1, HERTZ)
            self.samples += samples.shape[1]
            self.fifo.write(frame)
            self._encode_sound()

    def _encode_sound(self, flush: bool = False) -> None:
        assert self.audio is not None
        size = self.audio.codec_context.frame_size or 1024
        while (frame := self.fifo.read(size, partial=flush)) is not None:
            self.container.mux(self.audio.encode(frame))

    def _add_video(self, picture: np.ndarray) -> av.VideoStream:
        stream = self.container.add_stream("libx264", rate=30)
        height, width = (max(2, side // 2 * 2) for side in picture.shape[:2])
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        context = stream.codec_context
        context.time_base = stream.time_base = Fraction(1, _CLOCK)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED
        # mp4 stores how long a picture is decoded, not shown; only without reordering are the two the same.
        context.max_b_frames = 0
        stream.options = {"crf": str(_CRF), "preset": "veryfast"}
        return stream

    def _add_audio(self) -> av.AudioStream:
        stream = self.container.add_stream("aac", rate=HERTZ)
        stream.layout, stream.format = "stereo", "fltp"
        return stream


def _fitted(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """The picture at another size, its shape kept, with black where it does not reach."""
    tall, wide = picture.shape[:2]
    if (tall // 2 * 2, wide // 2 * 2) == (height, width):
        return np.ascontiguousarray(picture[:height, :width])
    scale = min(width / wide, height / tall)
    inner = (min(width, max(1, round(wide * scale))), min(height, max(1, round(tall * scale))))
    small = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(*inner).to_ndarray()
    out = np.zeros((height, width, 3), dtype=np.uint8)
    top, left = (height - inner[1]) // 2, (width - inner[0]) // 2
    out[top : top + inner[1], left : left + inner[0]] = small
    return out
