"""Parts of a video as files of their own: copied from a key frame on, or encoded anew exactly as asked."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from .. import files
from .container import OpenFile, open_video
from .encode import Span, encode_spans
from .packets import Packets, last_key, read_packets
from .pictures import DamageError
from .runs import seek_to
from .timeline import timeline_of

# Containers that take back what came out of them; everything else goes into Matroska, which holds all codecs.
_SAME = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".webm": "webm"}
_MATROSKA = (".mkv", "matroska")
_SOUND_LATE_S = 2  # sound may be in the file this much behind the pictures it belongs to


@dataclass(frozen=True)
class WrittenClip:
    """A file that was written.

    start_s, end_s   what it covers, on the clock of the video it was cut from
    exact            encoded anew: it holds what was asked for. False: copied, from the key frame before on
    """

    path: Path
    start_s: float
    end_s: float
    exact: bool


def cut(
    video: str | os.PathLike[str],
    start_s: float,
    end_s: float,
    out: str | os.PathLike[str],
    *,
    exact: bool = False,
) -> WrittenClip:
    """Writes ``[start_s, end_s)`` of a video as a file, sound included; ``out`` gets the ending of its container.

    Without ``exact`` nothing is decoded: the file begins at the last key frame before the start, and may end a few
    pictures late. Files that cannot be copied so (damaged or broken clocks, animations) are encoded all the same.
    The file appears under its name only when it is complete.

    Raises:
        VideoError: not one readable local video file. InputError: a part outside the video. WriteError: the file
        cannot be written.
    """
    name = os.fspath(video)
    with open_video(name) as source:
        packets = read_packets(source)
        timeline = timeline_of(source, packets)
        start, end = timeline.clip(start_s, end_s, name)
        kind = None if exact else _copy_to(source, packets)
    base = Path(out)
    if kind is not None:
        target = base.with_name(base.name + kind[0])
        copied = _copy(name, packets, start, end, target, kind[1])
        if copied is not None:
            return copied
    target = base.with_name(base.name + ".mp4")
    encode_spans([Span(name, float(start), float(end))], target)
    return WrittenClip(target, float(start), float(end), True)


def _copy_to(source: OpenFile, packets: Packets) -> tuple[str, str] | None:
    """Ending and name of the container to copy into; None where packets cannot be copied."""
    # AVI has no presentation times to copy, and animations no container but their own
    if not packets.seekable or source.container.format.name in ("avi", "gif", "apng"):
        return None
    ending = Path(source.path).suffix.lower()
    own = _SAME.get(ending)
    if own is None or own.split(",")[0] not in source.container.format.name:
        return _MATROSKA
    return ending, own


def _copy(
    name: str, packets: Packets, start: Fraction, end: Fraction, target: Path, container: str
) -> WrittenClip | None:
    """The clip; None where the container refuses its streams, or the file cannot be entered at the key frame."""
    with open_video(name) as source, files.whole_file(target) as part:
        base = source.time_base
        chosen = _choose(packets, start / base + packets.zero, end / base + packets.zero)
        try:
            last = _write(source, packets, chosen, part, container)
        except (DamageError, av.FFmpegError, ValueError) as error:
            if isinstance(error, OSError) and not isinstance(error, av.error.InvalidDataError):
                raise
            return None
        begins = float((chosen.key_tick - packets.zero) * base)
        return WrittenClip(target, begins, float((last - packets.zero) * base), False)


@dataclass(frozen=True)
class _Chosen:
    """Packets ``[first, last]`` of the picture stream, in file order, and the tick of the first, a key frame."""

    first: int
    last: int
    key_tick: int


def _choose(packets: Packets, start: Fraction, end: Fraction) -> _Chosen:
    """From the last key frame at or before the start to the last packet of a picture before the end (ticks)."""
    first = last_key(packets, start) or 0
    shown = np.flatnonzero(packets.ticks < float(end))
    return _Chosen(first, max(first, int(shown.max())), int(packets.ticks[first]))


def _write(source: OpenFile, packets: Packets, chosen: _Chosen, part: Path, container: str) -> int:
    """Copies the packets with times from 0 on; returns the tick at which the last picture ends."""
    seek_to(source, packets, chosen.first)
    audio = source.container.streams.best("audio")
    streams = [source.stream, *([audio] if audio is not None else [])]
    wanted = set(zip(_column(packets.ticks, chosen), _column(packets.dts, chosen), strict=True))
    ends = int(packets.ticks[chosen.first])
    with av.open("file:" + os.path.abspath(part), mode="w", format=container) as target:
        made = {s.index: target.add_stream_from_template(s, opaque=True) for s in streams}
        until = Fraction(int(packets.ticks[chosen.first : chosen.last + 1].max()) + 1) * source.time_base
        zero = chosen.key_tick * source.time_base
        for packet in source.container.demux(streams):
            if packet.pts is None or packet.dts is None:
                continue
            at = packet.pts * Fraction(packet.time_base or 1)
            if not wanted and at > until + _SOUND_LATE_S:
                break
            if packet.stream_index == source.stream.index:
                key = (packet.pts, packet.dts)
                if key not in wanted:
                    continue
                wanted.discard(key)
                if packet.pts < chosen.key_tick:
                    continue  # leading pictures of an open group refer to what is not copied
                ends = max(ends, packet.pts + (packet.duration or 0))
            elif not zero <= at < until:
                continue
            _shift(packet, zero)
            packet.stream = made[packet.stream_index]
            target.mux(packet)
    if wanted:
        raise DamageError  # the file does not give what it promised
    return ends


def _column(values: np.ndarray, chosen: _Chosen) -> Iterator[int]:
    return (int(value) for value in values[chosen.first : chosen.last + 1])


def _shift(packet: av.Packet[Any], zero: Fraction) -> None:
    ticks = round(zero / Fraction(packet.time_base or 1))
    packet.pts = None if packet.pts is None else packet.pts - ticks
    packet.dts = None if packet.dts is None else packet.dts - ticks
