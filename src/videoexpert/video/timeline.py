"""When each picture of a file is shown, read from its packets without decoding."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np

from ..errors import InputError, VideoError
from ..types import Stretch
from .clock import Break, Layout, holes, lay_out
from .container import OpenFile
from .sampling import centre_ticks

END_SLACK_S = (
    1.0  # an end this little past the last picture is cut to it: lists of videos round their lengths
)
_DEFAULT_RATE = Fraction(25)  # a lone picture of no stated length is shown for 1/25 s, FFmpeg's own default
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
    """

    ticks: np.ndarray
    dts: np.ndarray
    durations: np.ndarray
    keys: np.ndarray
    seekable: bool
    zero: Fraction
    clock: Reclock


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


@dataclass(frozen=True)
class Timeline:
    """Presentation times of all T pictures.

    ticks       (T,) int64, ascending, on the file's clock, its parts laid end to end
    end         tick at which the last picture stops being shown
    zero        tick of the players' zero, not above ``ticks[0]``
    holes       ``[from, to)`` in ticks: stretches without a picture
    problems    one phrase for each way in which the file's own times are not sound
    """

    ticks: np.ndarray
    end: int
    time_base: Fraction
    zero: Fraction
    holes: tuple[tuple[int, int], ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def duration_s(self) -> Fraction:
        """From the players' zero to the end of the last picture."""
        return (self.end - self.zero) * self.time_base

    def part(self, start: Fraction, end: Fraction) -> Stretch:
        """``[start, end)``, exact seconds, with its holes."""
        inside = tuple((float(low), float(high)) for low, high in self._holes_in(start, end))
        return Stretch(float(start), float(end - start), inside)

    def seen(self, start: Fraction, end: Fraction) -> Fraction:
        """Exact seconds of ``[start, end)`` that hold pictures."""
        return end - start - sum(high - low for low, high in self._holes_in(start, end))

    def centres(
        self, start: Fraction, end: Fraction, num_frames: int, bin_s: Fraction | None = None
    ) -> list[int]:
        """(N,) ticks ascending: the centres of N bins of what ``[start, end)``, exact seconds, shows.

        They are equal and fill it, or ``bin_s`` seconds each from ``start`` on.
        """
        length = self.seen(start, end) if bin_s is None else num_frames * bin_s
        ticks = [(self._tick(low), self._tick(high)) for low, high in self._holes_in(start, end)]
        return centre_ticks(num_frames, self._tick(start), length / self.time_base, ticks)

    def _tick(self, seconds: Fraction) -> Fraction:
        return self.zero + seconds / self.time_base

    def _holes_in(self, start: Fraction, end: Fraction) -> list[tuple[Fraction, Fraction]]:
        """In exact seconds, cut to ``[start, end)``; none where it holds nothing else."""
        inside = []
        for hole in self.holes:
            low, high = (min(max((edge - self.zero) * self.time_base, start), end) for edge in hole)
            if high > low:
                inside.append((low, high))
        return inside if sum(high - low for low, high in inside) < end - start else []

    def seconds(self, ticks: np.ndarray) -> np.ndarray:
        """Ticks as float64 seconds on the players' clock."""
        base, whole = self.time_base, self.zero // 1  # exact where the zero is a tick of this stream
        since = (ticks - whole) * base.numerator / base.denominator
        return since - float((self.zero - whole) * base) if self.zero != whole else since

    def clip(self, start_s: float | None, end_s: float | None, name: str) -> tuple[Fraction, Fraction]:
        """(start, end) in exact seconds, of the whole video where None.

        An end up to ``END_SLACK_S`` past the video's is cut to it.

        Raises:
            InputError: a clip that is empty or not inside the video; the message says the video's length.
        """
        length = self.duration_s
        start = Fraction(0) if start_s is None else _exact(start_s, "start")
        end = length if end_s is None else _exact(end_s, "end")
        asked = f"[{float(start):g}, {float(end):g}] s of {name!r} was asked for"
        if start < 0 or start >= length or end > length + Fraction(END_SLACK_S):
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
    )


class _Listed:
    """Columns of the packets while they are read: 42 bytes a packet."""

    def __init__(self) -> None:
        self.ticks, self.dts, self.durations, self.numbers = (array("q") for _ in range(4))
        self.keys, self.broken = array("b"), array("b")
        self.all_pts = self.all_dts = True

    def columns(self) -> tuple[np.ndarray, ...]:
        return tuple(
            np.frombuffer(values, dtype=np.int64)
            for values in (self.ticks, self.dts, self.durations, self.numbers)
        )


def _list_packets(source: OpenFile) -> _Listed:
    found = _Listed()
    for number, (packet, broken) in enumerate(demux(source, [])):
        if packet.is_discard:  # cut away by an edit list: never shown
            continue
        if not packet.size and packet.pts is None:  # FFmpeg's flush packet at the end
            continue
        tick = packet.dts if packet.pts is None else packet.pts
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


def timeline_of(source: OpenFile, packets: Packets, shown: np.ndarray | None = None) -> Timeline:
    """Timeline of the ``shown`` ticks (those of decoded pictures), by default of every packet.

    The last picture is shown for as long as its packet says, cut where the stream's own declared end is
    before that (edit lists). Where the packet says nothing: to the stream's declared end, else, for a file
    with no other stream, to the container's, else for the median gap between pictures. The container's
    duration is not asked otherwise: sound often outlasts the pictures, and headers of live recordings are
    wrong.
    """
    ticks = np.unique(packets.ticks) if shown is None else np.sort(shown)
    last, base = int(ticks[-1]), source.time_base
    duration = int(packets.durations[packets.ticks == last].max(initial=0))
    declared = _declared_end(source) if packets.clock.sound else None
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
    zero = min(packets.zero, Fraction(int(ticks[0])))
    empty = holes(ticks, _lasting(packets, ticks), zero, float(1 / base))
    return Timeline(ticks, end, base, zero, tuple(empty), tuple(_problems(packets, zero, base, empty)))


def _lasting(packets: Packets, ticks: np.ndarray) -> np.ndarray:
    """(T,) what the packets say of how long each picture is shown, 0 where nothing."""
    order = np.argsort(packets.ticks, kind="stable")
    places = np.searchsorted(packets.ticks[order], ticks, side="right") - 1
    return packets.durations[order][np.maximum(places, 0)]


def _problems(
    packets: Packets, zero: Fraction, base: Fraction, empty: list[tuple[int, int]]
) -> Iterator[str]:
    def at(tick: int) -> str:
        return f"{float((tick - zero) * base):.1f} s"

    count = len(packets.clock.left_out)
    if count:
        yield f"{count} of {count + len(packets.ticks)} pictures have times far from their neighbours': left out"
    again = [b for b in packets.clock.breaks if b.jump < 0]
    ahead = [b for b in packets.clock.breaks if b.jump >= 0]
    if again:
        yield f"the file's clock starts again at {_some([at(b.at) for b in again])}: its parts are laid end to end"
    if ahead:
        jumps = [f"{float(b.jump * base):.1f} s at {at(b.at)}" for b in ahead]
        yield f"the file's clock jumps ahead by {_some(jumps)}: its parts are laid end to end"
    inner = [(low, high) for low, high in empty if low > zero]
    if inner:
        said = [f"{float((high - low) * base):.1f} s after {at(low)}" for low, high in inner]
        yield f"there is no picture for {_some(said)}: frames are spread over the rest"


def _some(phrases: list[str]) -> str:
    more = f" and {len(phrases) - 3} more" if len(phrases) > 3 else ""
    return ", ".join(phrases[:3]) + more


def _declared_end(source: OpenFile) -> int | None:
    """Tick at which the header says the picture stream ends, None where it says nothing about it alone."""
    stream, container = source.stream, source.container
    if stream.duration:
        return (stream.start_time or 0) + stream.duration
    if container.duration and len(container.streams) == 1:
        start = container.start_time or 0
        return int(Fraction(start + container.duration, av.time_base) / source.time_base)
    return None


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
