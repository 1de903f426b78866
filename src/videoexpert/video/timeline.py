"""When each picture of a file is shown, read from its packets without decoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
import numpy as np

from ..errors import InputError
from ..types import Stretch
from .clock import holes
from .container import OpenFile
from .packets import Packets
from .sampling import centre_ticks

END_SLACK_S = (
    1.0  # an end this little past the last picture is cut to it: lists of videos round their lengths
)
_CUT_S = (
    1.0  # pictures that end this much, and twenty pictures, before their stated end: the file is cut short
)
_DEFAULT_RATE = Fraction(25)  # a lone picture of no stated length is shown for 1/25 s, FFmpeg's own default


_CLOCK = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)")


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
    elif (
        declared is not None
        and declared > last == packets.ticks.max()
        and not _is_cut(declared, last, ticks, base)
    ):
        end = declared
    elif len(ticks) > 1:
        end = last + max(1, int(np.median(np.diff(ticks))))
    else:
        rate = source.stream.guessed_rate or source.stream.average_rate or _DEFAULT_RATE
        end = last + max(1, round(1 / (rate * base)))
    zero = min(packets.zero, Fraction(int(ticks[0])))
    empty = holes(ticks, _lasting(packets, ticks), zero, float(1 / base))
    problems = [*_problems(packets, zero, base, empty), *packets.unread]
    stated = _stated_end(source) if packets.clock.sound else None
    if stated is not None and _is_cut(stated, end, ticks, base):
        said, found = (float((tick - zero) * base) for tick in (stated, end))
        problems.append(
            f"the header says {said:.1f} s, the pictures end at {found:.1f} s: the file may be cut short"
        )
    return Timeline(ticks, end, base, zero, tuple(empty), tuple(problems))


def _is_cut(stated: int, end: int, ticks: np.ndarray, base: Fraction) -> bool:
    step = float(np.median(np.diff(ticks))) if len(ticks) > 1 else 0.0
    return stated - end > max(_CUT_S / float(base), 20 * step)


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


def _stated_end(source: OpenFile) -> int | None:
    """Tick before which the pictures of a whole file do not end, as the header or Matroska's statistics say."""
    said = _CLOCK.match(source.stream.metadata.get("DURATION", ""))
    if said is not None:
        hours, minutes, seconds = said.groups()
        return int((int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)) / source.time_base)
    declared = _declared_end(source)
    if declared is None or source.stream.duration:
        return declared
    # some containers count it from the beginning, some from 0
    return declared - max(0, int(Fraction(source.container.start_time or 0, av.time_base) / source.time_base))


def _declared_end(source: OpenFile) -> int | None:
    """Tick at which the header says the picture stream ends, None where it says nothing about it alone."""
    stream, container = source.stream, source.container
    if stream.duration:
        return (stream.start_time or 0) + stream.duration
    if container.duration and len(container.streams) == 1:
        start = container.start_time or 0
        return int(Fraction(start + container.duration, av.time_base) / source.time_base)
    return None
