"""Pictures at a rate from a video that is still coming in, read once, with one picture in memory.

Times are those of the container, on the players' clock, as for a finished file (docs/clocks.md). What a whole file
would tell beforehand is decided as it comes: a clock that starts again, or jumps where its format lets it, goes on
without a gap; pictures whose times run backwards are left out; what a damaged stretch hides, until the next key
frame, is not shown.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import torch

from ..errors import VideoError
from .clock import JUMP_S
from .container import OpenFile
from .decode import Resize, convert, same_shape, warn_of
from .feeds import Feed, open_feed
from .packets import Reclock
from .pictures import decode_carefully

RESTART_S = 0.5  # times that fall by more begin a new clock; by less, a picture is out of order
LATE_S = 0.5  # a video whose first picture begins later begins with it
HOLE_S = 60.0  # a picture on show for longer, and for longer than ``still_s``, leaves a hole

# number of the bin it belongs to, its own time in seconds, (3, h, w) uint8
Shown = tuple[int, float, torch.Tensor]


def live_pictures(
    feed: Feed,
    rate: Fraction,
    *,
    resize: Resize,
    still_s: float,
    idle_s: float,
    ended: Callable[[], bool],
    stopped: threading.Event,
) -> Iterator[Shown]:
    """The picture on show at the centre of each bin ``[i / rate, (i + 1) / rate)``, for ascending i, as it is known.

    A number that is not one above the last follows a hole. The same picture may fill several bins. The rest as
    ``open_feed``.

    Raises VideoError as ``open_feed``, or where no picture decodes. Warns with a VideoWarning, at the end, of what
    was left out.
    """
    problems: list[str] = []
    with open_feed(feed, idle_s=idle_s, ended=ended, stopped=stopped) as source:
        clock, bins, look = _Clock(source, problems), _Bins(source, rate, still_s), _Look(source, resize)
        last: av.VideoFrame | None = None
        for tick, frame in decode_carefully(source, Reclock(), problems):
            at = clock.place(tick)
            if at is None:
                continue
            if last is not None:
                yield from look.at(last, bins.until(at), bins.seconds)
            bins.show(at)
            last, clock.lasts = frame, int(frame.duration or 0)
        if last is not None:
            yield from look.at(last, bins.until(clock.end), bins.seconds)
        elif not stopped.is_set():
            raise VideoError(
                f"{source.path!r} has no picture that decodes, expected a video: it is damaged or empty."
            )
    warn_of(source.path, problems)


class _Look:
    """Pictures as they are looked at."""

    def __init__(self, source: OpenFile, resize: Resize) -> None:
        self.source, self.resize = source, resize
        self._shape: tuple[int, ...] | None = None

    def at(self, frame: av.VideoFrame, numbers: range, seconds: float) -> Iterator[Shown]:
        """A picture for the bins that it fills, converted once; not at all if there are none."""
        if not numbers:
            return
        picture = convert(self.source, frame, self.resize)
        self._shape = same_shape(self.source, picture, self._shape)
        for number in numbers:
            yield number, seconds, picture


class _Clock:
    """Ticks of pictures in display order, on one clock that ascends."""

    def __init__(self, source: OpenFile, problems: list[str]) -> None:
        self.second = float(1 / source.time_base)
        self.may_jump, self.problems = source.clock_may_jump, problems
        self.offset, self.lasts = 0, 0
        self._last: int | None = None
        self._step = 1

    def place(self, tick: int) -> int | None:
        """Where a picture's ``tick`` is on the clock; None for one that is out of order."""
        at = tick + self.offset
        if self._last is None:
            self._last = at
            return at
        move = at - self._last
        jumps = self.may_jump and move > max(JUMP_S * self.second, 20 * self._step)
        if move < -RESTART_S * self.second or jumps:
            what = "jumps ahead" if jumps else "starts again"
            self.problems.append(
                f"the clock {what} by {abs(move) / self.second:.1f} s: it is laid end to end"
            )
            self.offset += self.end - at
            at = self.end
        elif move <= 0:
            return None
        else:
            self._step = move
        self._last = at
        return at

    @property
    def end(self) -> int:
        """Tick at which the last picture stops being shown."""
        assert self._last is not None
        return self._last + (self.lasts or self._step)


class _Bins:
    """Which bins a picture fills."""

    def __init__(self, source: OpenFile, rate: Fraction, still_s: float) -> None:
        self.source, self.rate = source, rate
        self.still = max(still_s, HOLE_S) / source.time_base
        self._zero: Fraction | None = None
        self._next, self._at = 0, 0

    def show(self, at: int) -> None:
        """A picture comes on at tick ``at``."""
        if self._zero is None:
            zero = self.source.zero()
            self._zero = Fraction(at) if zero is None else min(zero, Fraction(at))
            if at - self._zero > LATE_S / self.source.time_base:
                self._next = self._first_from(at)
        self._at = at

    def until(self, at: int) -> range:
        """Bins whose centres come before tick ``at`` and that are not shown yet."""
        lasting = (
            at if at - self._at <= self.still else self._at + round(1 / (self.rate * self.source.time_base))
        )
        found = range(self._next, max(self._next, self._first_from(lasting)))
        self._next = max(found.stop, self._first_from(at))
        return found

    def _first_from(self, at: int) -> int:
        """The first bin whose centre, rounded down to a tick, is not before ``at``."""
        assert self._zero is not None
        # floor(zero + (i + 1/2) / (rate * base)) >= at, with an integer at, is the same without the floor
        return max(0, -(-((at - self._zero) * self.source.time_base * self.rate - Fraction(1, 2)) // 1))

    @property
    def seconds(self) -> float:
        """Time of the picture on show."""
        assert self._zero is not None
        return float((self._at - self._zero) * self.source.time_base)
