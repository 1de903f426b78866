"""Progress on stderr: a bar on a terminal, a line every half minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import TYPE_CHECKING

from ..escapes import printable

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 2.0  # work that is done sooner shows no bar
EVERY_S = 30.0  # between two lines without a terminal


class Waiting:
    """A bar on stderr, on a terminal and once the work has lasted two seconds; elsewhere a line every half minute.

    ``total`` steps, or None if unknown; ``counted`` if ``reach`` will set it.
    """

    def __init__(self, what: str, total: int | None = None, *, counted: bool = False) -> None:
        self._bar: Progress | None = None
        self._timer: Timer | None = None
        self._what, self._done, self._total = what, 0, total
        self._told = time.monotonic()
        self._first: tuple[float, int] | None = None  # when how many steps were first done
        if not sys.stderr.isatty():
            return
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = [TextColumn("{task.description}"), BarColumn()]
        if total is not None or counted:
            columns += [MofNCompleteColumn(), TimeRemainingColumn()]
        # stdout is not the bar's: it may be a pipe
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True, redirect_stdout=False)
        self._task = self._bar.add_task(what, total=total)
        self._timer = Timer(PATIENCE_S, self._bar.start)
        self._timer.daemon = True

    def __enter__(self) -> Waiting:
        if self._timer is not None:
            self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Removes the bar for good; a second call does nothing."""
        if self._timer is not None and self._bar is not None:
            self._timer.cancel()
            self._timer.join()
            if self._bar.live.is_started:
                self._bar.stop()

    def advance(self, steps: int = 1) -> None:
        """That many steps are done."""
        if self._bar is not None:
            self._bar.advance(self._task, steps)
        else:
            self._tell(self._done + steps, self._total)

    def reach(self, done: int, total: int) -> None:
        """``done`` of ``total`` steps are done."""
        if self._bar is not None:
            self._bar.update(self._task, completed=done, total=total)
        else:
            self._tell(done, total)

    def say(self, what: str) -> None:
        """What the bar says beside it."""
        self._what = what
        if self._bar is not None:
            self._bar.update(self._task, description=what)

    def _tell(self, done: int, total: int | None) -> None:
        """A line for whoever reads it later: in a log, or in a pipe.

        The time left is told by the steps after the first ones, which loading and opening come before.
        """
        self._done, self._total = done, total
        now = time.monotonic()
        if not done:
            return
        first, before = self._first = self._first or (now, done)
        if now - self._told < EVERY_S:
            return
        self._told = now
        of = "" if total is None else f" of {total}"
        left = ""
        if total is not None and done > before:
            left = f", {_minutes((now - first) / (done - before) * (total - done))} left"
        print(printable(f"{self._what}: {done}{of}{left}"), file=sys.stderr, flush=True)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The bar is off the screen while something else is printed."""
        shown = self._bar is not None and self._bar.live.is_started
        if shown and self._bar is not None:
            self._bar.stop()
        yield
        if shown and self._bar is not None:
            self._bar.start()


class Speed:
    """Tells beside a bar how much video is done, and how many times faster than it plays."""

    def __init__(self, waiting: Waiting, what: str) -> None:
        self._waiting, self._what, self._began = waiting, what, time.monotonic()

    def reach(self, done: int, total: int, seconds: float) -> None:
        """``done`` of ``total`` videos, ``seconds`` of video in all."""
        self._waiting.reach(done, total)
        self._waiting.say(f"{self._what} {self.told(seconds)}")

    def told(self, seconds: float) -> str:
        """How much of it, and how fast."""
        return hours(seconds, self._began)


def hours(seconds: float, began: float) -> str:
    """``1.25 h of video, 38x real time``, since ``began`` on the monotonic clock."""
    times = seconds / max(time.monotonic() - began, 1e-9)
    return f"{seconds / 3600:.2f} h of video, {times:.0f}x real time"


def _minutes(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
