"""Decoded pictures in display order: the quick way, the careful way past damage, and a count of them all."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np

from ..errors import VideoError
from .container import OpenFile, clockwise_turn, open_video
from .packets import Packets, Reclock, demux, is_left_out, stays
from .timeline import Timeline, timeline_of

Picture = tuple[int, av.VideoFrame]  # presentation tick, and the picture as stored


class DamageError(Exception):
    """The quick way met damage or times it cannot trust; the careful way has to be asked. Internal."""


def decode_quickly(
    source: OpenFile, clock: Reclock, problems: list[str], from_tick: int | None = None
) -> Iterator[Picture]:
    """Pictures in display order, on the ``clock``; after a seek, those shown before ``from_tick`` are passed over.

    Raises:
        DamageError: at the first sign of damage; with several threads its place is unknown.
    """
    for packet, broken in demux(source, problems, clock):
        if broken:
            raise DamageError
        if stays(packet):
            continue
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            raise DamageError from error
        for frame in frames:
            if frame.pts is not None and is_left_out(frame.pts):
                continue
            if from_tick is not None and frame.pts is not None and frame.pts < from_tick:
                continue  # leading pictures of an open group refer to what the seek skipped
            if frame.is_corrupt or frame.pts is None:
                raise DamageError
            yield frame.pts, frame


def decode_carefully(source: OpenFile, clock: Reclock, problems: list[str]) -> Iterator[Picture]:
    """Pictures in display order up to each damage, and again from the next key frame on.

    Between the two, pictures would be predicted from one that is missing: they are left out. ``problems``
    gets a line for each kind of damage. ``source`` is to be opened with ``threads=False``, which locates the
    damage.
    """
    damaged = flagged = timeless = 0
    waiting = False  # for a key frame
    for packet, broken in demux(source, problems, clock):
        if (waiting and not packet.is_keyframe) or stays(packet):
            continue
        frames = None if broken else _decode(source, packet)
        waiting = frames is None
        damaged += waiting
        for frame in frames or (_rest(source) if broken else []):
            if frame.pts is not None and is_left_out(frame.pts):
                continue
            flagged += frame.is_corrupt
            timeless += frame.pts is None
            if not frame.is_corrupt and frame.pts is not None:
                yield frame.pts, frame
        if waiting:
            source.stream.codec_context.flush_buffers()
    for count, what in (
        (damaged, "damaged packet(s): pictures from there to the next key frame, if any, are left out"),
        (flagged, "picture(s) decoded with errors are left out"),
        (timeless, "picture(s) without a time are left out"),
    ):
        if count:
            problems.append(f"{count} {what}")


def _decode(source: OpenFile, packet: av.Packet[Any]) -> list[av.VideoFrame] | None:
    """None where the packet is damaged."""
    try:
        return source.stream.codec_context.decode(packet if packet.size else None)
    except av.FFmpegError:
        return None


def _rest(source: OpenFile) -> list[av.VideoFrame]:
    """Pictures still inside the decoder before a packet that breaks off; they decoded well.

    Before a packet that reads well and does not decode they are not used: the damage may have begun in them.
    """
    try:
        return source.stream.codec_context.decode(None)
    except av.FFmpegError:
        return []


@dataclass(frozen=True)
class Measured:
    """What decoding everything shows: the true timeline, and how to come by the same pictures again."""

    timeline: Timeline
    careful: bool  # ``decode_carefully`` was needed
    problems: tuple[str, ...]
    width: int  # of the first picture, upright
    height: int
    rotation_deg: int  # clockwise, of the first picture


def measure(
    path: str,
    packets: Packets,
    *,
    careful: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Decodes every picture once; converts and keeps none. ``careful`` goes the careful way at once.

    ``progress`` is called with the pictures decoded and those that the packets promise.

    Raises:
        VideoError: not one picture decodes.
    """
    if not careful:
        try:
            with open_video(path) as source:
                return _measure(source, packets, False, progress)
        except DamageError:
            pass
    with open_video(path, threads=False) as source:
        return _measure(source, packets, True, progress)


def measured_ways(path: str, packets: Packets) -> Iterator[Measured]:
    """What to read by where packets promise wrongly; the second, if asked for, is measured the careful way.

    Where several threads decode, whether FFmpeg notices damage in a picture can differ from run to run: what was
    measured quickly may not come again. One thread decides alike every time.

    Raises:
        VideoError: not one picture decodes, or neither way gives what was measured: the file changed.
    """
    measured = measure(path, packets)
    yield measured
    if not measured.careful:
        yield measure(path, packets, careful=True)
    raise VideoError(f"{path!r} changed while it was read, expected a finished file: try again.")


def _measure(
    source: OpenFile, packets: Packets, careful: bool, progress: Callable[[int, int], None] | None
) -> Measured:
    problems: list[str] = []
    ticks = array("q")
    size, turn = source.square_size, 0
    for tick, frame in (decode_carefully if careful else decode_quickly)(source, packets.clock, problems):
        if not ticks:
            size, turn = source.upright_size(frame), clockwise_turn(frame)
        ticks.append(tick)
        if progress is not None:
            progress(len(ticks), len(packets.ticks))
    if not ticks:
        raise VideoError(
            f"{source.path!r} has no picture that decodes (0 frames), expected a video: it is damaged or "
            f"empty, copy or download it again."
        )
    shown = np.frombuffer(ticks, dtype=np.int64)
    if (np.diff(shown) < 0).any():
        # Display order is the decoder's; some containers (AVI with B-frames) mislabel it.
        problems.append("presentation times run backwards in display order: sorted")
    return Measured(timeline_of(source, packets, shown), careful, tuple(problems), *size, turn)
