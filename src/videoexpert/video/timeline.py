"""When each picture of a file is shown, read from its packets without decoding."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from ..errors import InputError, VideoError
from .container import Source

_END_SLACK_S = Fraction(1, 100)  # an end given this little past the last picture is rounding, not a mistake
_DEFAULT_RATE = Fraction(25)  # a lone picture of no stated length is shown for 1/25 s, FFmpeg's own default


@dataclass(frozen=True)
class Packets:
    """The picture stream's packets in file order, not decoded.

    ticks       (P,) presentation time, or decoding time where the container knows no other
    dts         (P,) decoding time
    durations   (P,) ticks, 0 where unknown
    keys        (P,) True where decoding can start
    """

    ticks: np.ndarray
    dts: np.ndarray
    durations: np.ndarray
    keys: np.ndarray
    seekable: (
        bool  # packets have presentation times and begin with a key frame: a picture is found by its time
    )


@dataclass(frozen=True)
class Timeline:
    """Presentation times of all T pictures.

    ticks       (T,) int64, ascending, on the container's clock
    end         tick at which the last picture stops being shown
    """

    ticks: np.ndarray
    end: int
    time_base: Fraction

    @property
    def duration_s(self) -> Fraction:
        """Span of the pictures: from the first one's presentation to the end of the last one's."""
        return (self.end - int(self.ticks[0])) * self.time_base

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks as float64 seconds from the first picture on."""
        base = self.time_base
        return (ticks - self.ticks[0]) * base.numerator / base.denominator

    def clip(self, start_s: float | None, end_s: float | None, name: str) -> tuple[Fraction, Fraction]:
        """(start, end) in exact seconds, of the whole video where None.

        Raises:
            InputError: a clip that is empty or not inside the video; the message says the video's length.
        """
        length = self.duration_s
        start = Fraction(0) if start_s is None else _exact(start_s, "start")
        end = length if end_s is None else _exact(end_s, "end")
        asked = f"[{float(start):g}, {float(end):g}] s of {name!r} was asked for"
        if start < 0 or start >= length or end > length + _END_SLACK_S:
            raise InputError(
                f"{asked}, expected a clip within its {float(length):.2f} s: change start or end."
            )
        if end <= start:
            raise InputError(
                f"{asked}, expected the end after the start (the video is {float(length):.2f} s long)."
            )
        return start, min(end, length)


def _exact(seconds: float, name: str) -> Fraction:
    try:
        return Fraction(seconds).limit_denominator(10**9)  # 2.3 means 23/10, not its nearest double
    except (ValueError, OverflowError) as error:  # nan, inf
        raise InputError(f"{name} is {seconds} s, expected a finite number of seconds.") from error


def read_packets(source: Source) -> Packets:
    """Lists the packets of the picture stream. Reads the file once and decodes nothing.

    Raises:
        VideoError: no packet, or none with a time.
    """
    ticks, dts, durations, keys = array("q"), array("q"), array("q"), array("b")  # 25 bytes a packet
    seekable = True
    for packet in demux(source, []):
        if packet.is_discard or packet.is_corrupt:  # cut away by an edit list, or broken off: never shown
            continue
        if not packet.size and packet.pts is None:  # FFmpeg's flush packet at the end
            continue
        tick = packet.dts if packet.pts is None else packet.pts
        if tick is None:
            seekable = False
            continue
        seekable = seekable and packet.pts is not None
        ticks.append(tick)
        dts.append(tick if packet.dts is None else packet.dts)
        durations.append(packet.duration or 0)
        keys.append(packet.is_keyframe)
    if not ticks:
        raise VideoError(
            f"{source.path!r} holds no picture with a time (0 frames), expected a video: copy or download it "
            f"again, or convert it to mp4."
        )
    # A recording cut out of a stream may begin with pictures that do not decode: then only decoding tells.
    seekable = seekable and bool(keys[0]) and min(ticks) == ticks[0]
    return Packets(
        np.frombuffer(ticks, dtype=np.int64),
        np.frombuffer(dts, dtype=np.int64),
        np.frombuffer(durations, dtype=np.int64),
        np.frombuffer(keys, dtype=bool),
        seekable,
    )


def timeline_of(source: Source, packets: Packets, shown: np.ndarray | None = None) -> Timeline:
    """Timeline of the ``shown`` ticks (those of decoded pictures), by default of every packet.

    The last picture is shown for as long as its packet says, cut where the stream's own declared end lies
    before that (edit lists). Where the packet says nothing: to the stream's declared end, else, for a file
    with no other stream, to the container's, else for the median gap between pictures. The container's
    duration is not asked otherwise: sound often outlasts the pictures, and headers of live recordings are
    wrong.
    """
    ticks = np.unique(packets.ticks) if shown is None else np.sort(shown)
    last, base = int(ticks[-1]), source.time_base
    duration = int(packets.durations[packets.ticks == last].max(initial=0))
    declared = _declared_end(source)
    if duration > 0:
        end = last + duration
        if declared is not None and last < declared < end:
            end = declared
    elif declared is not None and declared > last and last == packets.ticks.max():
        end = declared
    elif len(ticks) > 1:
        end = last + max(1, int(np.median(np.diff(ticks))))
    else:
        rate = source.stream.guessed_rate or source.stream.average_rate or _DEFAULT_RATE
        end = last + max(1, round(1 / (rate * base)))
    return Timeline(ticks, end, base)


def _declared_end(source: Source) -> int | None:
    """Tick at which the header says the picture stream ends, None where it says nothing about it alone."""
    stream, container = source.stream, source.container
    if stream.duration:
        return (stream.start_time or 0) + stream.duration
    if container.duration and len(container.streams) == 1:
        start = container.start_time or 0
        return int(Fraction(start + container.duration, av.time_base) / source.time_base)
    return None


def demux(source: Source, problems: list[str]) -> Iterator[av.Packet]:
    """Packets of the picture stream, the flush packet last; a file that breaks off ends where it does."""
    packets = source.container.demux(source.stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            problems.append(f"the file breaks off ({error.strerror})")
            return
        yield packet
