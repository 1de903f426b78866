"""The packets of a file's picture stream, listed without decoding and put on one clock."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from ..errors import VideoError
from .clock import Break, Layout, lay_out
from .container import OpenFile
from .diagnosis import begins_again

_JOINT = 4  # packets ahead of a break whose counters it may have touched
_LEFT_OUT = -(1 << 60)  # time of pictures that are left out: far below any clock


@dataclass(frozen=True)
class Packets:
    """The picture stream's packets in file order, not decoded; those with insane times are left out.

    ticks       (P,) presentation time on one clock, or decoding time where the container knows no other
    dts         (P,) decoding time, on the file's own clock
    durations   (P,) ticks, 0 where unknown
    keys        (P,) True where decoding can start
    seekable    packets have presentation times and begin with a key frame: a picture is found by its time
    zero        tick of the players' zero: where the file begins, sound included
    unread      one phrase for each reason why a rest of the file is not read
    """

    ticks: np.ndarray
    dts: np.ndarray
    durations: np.ndarray
    keys: np.ndarray
    seekable: bool
    zero: Fraction
    clock: Reclock
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reclock:
    """Puts packets on one clock while they are read again.

    numbers     (G,) running number, in the file, of the packet with which each part begins
    offsets     (G,) ticks to add there
    left_out    ``(pts, dts)``, in the file, of the packets whose times are insane
    joints      running numbers of packets at a break: where streams were joined, their counters break too, and
                FFmpeg calls sound packets corrupt
    breaks      where the file's own clock breaks
    """

    numbers: tuple[int, ...] = (0,)
    offsets: tuple[int, ...] = (0,)
    left_out: frozenset[tuple[int | None, int | None]] = frozenset()
    joints: frozenset[int] = frozenset()
    breaks: tuple[Break, ...] = ()

    @property
    def one_clock(self) -> bool:
        return len(self.numbers) == 1

    @property
    def sound(self) -> bool:
        """Whether the file's own clock is used as it is; what its headers say of lengths is then worth reading."""
        return self.one_clock and not self.left_out


def read_packets(source: OpenFile) -> Packets:
    """Lists the packets of the picture stream. Reads the file once and decodes nothing.

    Raises:
        VideoError: no packet, or none with a time.
    """
    found = _list_packets(source)
    ticks, dts, durations, numbers = found.columns()
    keys, broken = (np.frombuffer(values, dtype=bool) for values in (found.keys, found.broken))
    second = float(1 / source.time_base)
    stated = dts if found.all_dts else None
    layout = lay_out(ticks, stated, durations, keys, second, source.clock_may_jump)
    clock = _reclock(layout, ticks, dts, numbers)
    kept = ~layout.left_out & ~(broken & ~np.isin(numbers, list(clock.joints)))
    if not kept.any():
        raise VideoError(
            f"{source.path!r} holds no picture with a time (0 frames), expected a video: copy or download it "
            f"again, or convert it to mp4."
        )
    laid = (ticks + layout.offset_of(len(ticks)))[kept]
    # A recording cut out of a stream may begin with pictures that do not decode: only decoding shows it.
    seekable = found.all_pts and bool(keys[kept][0]) and laid.min() == laid[0] and clock.one_clock
    zero = source.zero(pictures_too=not layout.left_out[0])
    first = Fraction(int(laid.min()))
    return Packets(
        laid,
        dts[kept],
        durations[kept],
        keys[kept],
        seekable,
        first if zero is None else min(zero, first),
        clock,
        _unread(source, found),
    )


class _Listed:
    """Columns of the packets while they are read: 42 bytes a packet."""

    def __init__(self) -> None:
        self.ticks, self.dts, self.durations, self.numbers = (array("q") for _ in range(4))
        self.keys, self.broken = array("b"), array("b")
        self.all_pts = self.all_dts = True
        self.reached = 0  # byte behind the last picture
        self.broke_off: list[str] = []

    def prolong(self, tick: int | None, duration: int) -> None:
        """Notes a packet without bytes: the picture before it stays (Theora, AVI), or the file ends (no time)."""
        if tick is not None and self.ticks and tick > self.ticks[-1]:
            self.durations[-1] = max(self.durations[-1], tick + duration - self.ticks[-1])

    def columns(self) -> tuple[np.ndarray, ...]:
        return tuple(
            np.frombuffer(values, dtype=np.int64)
            for values in (self.ticks, self.dts, self.durations, self.numbers)
        )


def _list_packets(source: OpenFile) -> _Listed:
    found = _Listed()
    for number, (packet, broken) in enumerate(demux(source, found.broke_off)):
        if packet.is_discard:  # cut away by an edit list: never shown
            continue
        tick = packet.dts if packet.pts is None else packet.pts
        if not packet.size:
            found.prolong(tick, packet.duration or 0)
            continue
        found.reached = max(found.reached, (packet.pos or 0) + packet.size)
        if tick is None:
            found.all_pts = False
            continue
        found.all_pts = found.all_pts and packet.pts is not None
        found.all_dts = found.all_dts and packet.dts is not None
        found.ticks.append(tick)
        found.dts.append(tick if packet.dts is None else packet.dts)
        found.durations.append(packet.duration or 0)
        found.keys.append(packet.is_keyframe)
        found.broken.append(broken)
        found.numbers.append(number)
    return found


def _unread(source: OpenFile, found: _Listed) -> tuple[str, ...]:
    if begins_again(source.path, found.reached):
        return ("another recording begins where this one ends, and is not read: cut the file apart",)
    return tuple(found.broke_off)


def _reclock(layout: Layout, ticks: np.ndarray, dts: np.ndarray, numbers: np.ndarray) -> Reclock:
    first = [0, *(int(numbers[place]) for place in layout.first[1:])]
    return Reclock(
        tuple(first),
        tuple(layout.offsets.tolist()),
        frozenset((int(ticks[i]), int(dts[i])) for i in np.flatnonzero(layout.left_out)),
        frozenset(number - back for number in first[1:] for back in range(_JOINT + 1)),
        layout.breaks,
    )


def last_key(packets: Packets, tick: float | Fraction) -> int | None:
    """Place of the packet with which decoding for a picture at ``tick`` can start; None where there is none."""
    keys = np.flatnonzero(packets.keys & (packets.ticks <= float(tick)))
    return int(keys[np.argmax(packets.ticks[keys])]) if len(keys) else None


def demux(
    source: OpenFile, problems: list[str], clock: Reclock | None = None
) -> Iterator[tuple[av.Packet[Any], bool]]:
    """Packets of the picture stream, the flush packet last; a file that breaks off ends where it does.

    With each, whether it is broken off. With a ``clock`` the times are put on it, which needs reading from the
    beginning where it has several parts.
    """
    packets = source.container.demux(source.stream)
    number, part = 0, 0
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.FFmpegError as error:
            problems.append(f"the file breaks off ({error.strerror})")
            return
        broken = packet.is_corrupt
        if clock is not None:
            while part + 1 < len(clock.numbers) and number >= clock.numbers[part + 1]:
                part += 1
            _put(packet, clock, clock.offsets[part])
            broken = broken and number not in clock.joints
        number += 1
        yield packet, broken


def _put(packet: av.Packet[Any], clock: Reclock, offset: int) -> None:
    pts, dts = packet.pts, packet.dts
    tick = dts if pts is None else pts
    if tick is None:
        return
    if clock.left_out and (tick, tick if dts is None else dts) in clock.left_out:
        packet.pts = _LEFT_OUT
    elif offset:
        packet.pts = None if pts is None else pts + offset
        packet.dts = None if dts is None else dts + offset


def is_left_out(tick: int) -> bool:
    """Whether a picture's time is that of those which are left out."""
    return tick < _LEFT_OUT // 2


def stays(packet: av.Packet[Any]) -> bool:
    """Whether a packet has a time and no bytes: the picture before it stays. Decoders take it for the end."""
    return not packet.size and (packet.pts is not None or packet.dts is not None)
