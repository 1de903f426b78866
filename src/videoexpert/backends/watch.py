"""Standing queries over a video that is still coming in: sliding windows, and moments as they close.

The windows lie on one grid of bins, N to a window: bin i is ``[i * W/N, (i+1) * W/N)``, and a window is N bins in a
row. Of the video, only the pictures of one window are kept. Where it ends, the last window ends with it and
begins earlier, as in a finished file; answers of windows are put together as there (engine/merge.py). So watching gives
what the finished file gives for the same windows.
"""

from __future__ import annotations

import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import torch

from ..engine import Opened
from ..engine.merge import Merger, Part
from ..errors import InputError, ModelWarning
from ..export.text import not_understood
from ..runtime import read_ahead
from ..types import Frames, Moment, Moments, worth_showing
from ..video.feeds import Feed, check_feed, name_of
from ..video.live import Shown, live_pictures
from .base import check_queries, unfamiliar
from .long import BEST
from .windowing import AUTO, OVERLAP, Window

IDLE_S = 10.0


@dataclass(frozen=True)
class Sighting:
    """A moment of a standing query, reported once no later frame can change it.

    presence    calibrated probability that a window shows what is asked, the highest of those that saw the moment
    seen_until  second up to which the video was looked at by then
    """

    query: str
    moment: Moment
    presence: float
    seen_until: float


@dataclass(frozen=True)
class WatchPlan:
    """How a video that comes in is looked at.

    num_frames  N bins in a window
    step        bins from one window's start to the next one's
    bin_s       seconds of a bin
    above       a moment is reported if the presence in a window that saw it reaches this
    keep        and continues through windows whose presence reaches this
    top_k       moments of a window that take part, a query; None: all, those far below the best too
    """

    num_frames: int
    step: int
    bin_s: Fraction
    above: float
    keep: float
    top_k: int | None


def plan(
    window: Window,
    overlap: float | None,
    trained_s: float | None,
    num_frames: int,
    above: float,
    keep: float | None,
    top_k: int | None,
) -> WatchPlan:
    """Checks the options of ``watch``; ``overlap`` becomes a whole number of bins."""
    seconds = trained_s if window == AUTO else window
    if isinstance(seconds, str) or seconds is None or not 0 < seconds < float("inf"):
        why = "the model does not say the length that it was trained on" if window == AUTO else ""
        raise InputError(
            f"window is {window!r}, expected seconds above 0{f': {why}' if why else ' or auto'}."
        )
    if num_frames < 1:
        raise InputError(f"the number of frames is {num_frames}, expected at least 1.")
    shared = OVERLAP * seconds if overlap is None else overlap
    if not 0 <= shared < seconds:
        raise InputError(f"overlap is {shared:g}, expected from 0 to below the window of {seconds:g} s.")
    low = above / 2 if keep is None else keep
    if not 0 <= low <= above <= 1:
        raise InputError(f"keep is {low:g} and above {above:g}, expected 0 <= keep <= above <= 1.")
    bin_s = Fraction(seconds).limit_denominator(10**6) / num_frames
    step = max(1, round((seconds - shared) / float(bin_s)))
    return WatchPlan(num_frames, step, bin_s, above, low, top_k)


def watch(
    expert: Any,
    feed: Feed,
    queries: Sequence[str],
    *,
    window: Window = AUTO,
    overlap: float | None = None,
    num_frames: int | None = None,
    above: float | None = None,
    keep: float | None = None,
    top_k: int | None = BEST,
    network: bool = False,
    idle_s: float = IDLE_S,
    ended: Callable[[], bool] = lambda: False,
    progress: Callable[[float], None] | None = None,
) -> Iterator[Sighting]:
    """The moments of each query in a video that is still coming in, each as soon as nothing that comes can change it.

    feed        a file that is being written, "-" for standard input, an open binary file or pipe, or, with
                ``network``, an http, https or rtsp address
    window      seconds looked at in one go, ``overlap`` of them again in the next; as in ``open_long``
    above       presence (default: the model's threshold of "not in this video") at which a moment is reported. It lasts
                over windows whose presence is at least ``keep`` (default: half of it), so that one near the threshold
                does not cut an event
    idle_s      a file that has not grown for this long is finished, as is one for which ``ended`` returns True
    progress    is called with the second up to which the video was looked at

    Memory is that of one window. Ctrl-C (KeyboardInterrupt) first gives what is open, then goes on its way.

    Raises InputError for wrong options, an empty query, or an address without ``network``; VideoError for a feed that
    is not a video. Warns with a ModelWarning of a video unlike those that the model was trained on.
    """
    asked = list(queries)
    check_queries(asked)
    if not asked:
        raise InputError("there is no query, expected at least one sentence to watch for.")
    config = expert.config
    count = config.num_frames if num_frames is None else num_frames
    least = config.absent_below if above is None else above
    how = plan(window, overlap, config.trained_seconds, count, least, keep, top_k)
    check_feed(feed, network)
    for query in asked:
        if unknown := expert.words.unknown(query):
            warnings.warn(f"{query!r}: {not_understood(unknown)}.", ModelWarning, stacklevel=3)
    stopped = threading.Event()
    pictures = live_pictures(
        feed,
        1 / how.bin_s,
        resize=expert.model.vision.preprocessor.resize,
        still_s=float(how.bin_s) * how.num_frames,
        idle_s=idle_s,
        ended=ended,
        stopped=stopped,
    )
    ahead = read_ahead(pictures, how.num_frames, stopped)
    return _Watch(expert, name_of(feed), asked, how).sightings(ahead, progress)


@dataclass(frozen=True)
class LiveWindow:
    """A window of what came in. ``first``, ``last``: nothing comes before it, or after."""

    frames: Frames
    first: bool
    last: bool


def windows(pictures: Iterator[Shown], how: WatchPlan) -> Iterator[LiveWindow]:
    """Windows of N bins in a row, ``step`` apart; the last before an end, or a hole, ends there."""
    kept: deque[Shown] = deque(maxlen=how.num_frames)
    waiting: Frames | None = None  # a full window: the next picture shows whether it is the last
    fresh, told = 0, 0  # bins that no window has shown; windows since the beginning or a hole

    def rest() -> Iterator[LiveWindow]:
        if waiting is not None:
            yield LiveWindow(waiting, told == 0, True)
        elif fresh:
            yield LiveWindow(_frames(kept, how), told == 0, True)

    for shown in pictures:
        if kept and shown[0] != kept[-1][0] + 1:
            yield from rest()
            kept.clear()
            waiting, fresh, told = None, 0, 0
        if waiting is not None:
            yield LiveWindow(waiting, told == 0, False)
            waiting, told = None, told + 1
        kept.append(shown)
        fresh += 1
        if fresh == (how.step if told else how.num_frames):
            waiting, fresh = _frames(kept, how), 0
    yield from rest()


def _frames(kept: deque[Shown], how: WatchPlan) -> Frames:
    return Frames(
        torch.stack([picture for _, _, picture in kept]),
        torch.tensor([seconds for _, seconds, _ in kept], dtype=torch.float64),
        float(len(kept) * how.bin_s),
        float(kept[0][0] * how.bin_s),
    )


class _Watch:
    """Standing queries, and the open moments of each."""

    def __init__(self, expert: Any, name: str, queries: Sequence[str], how: WatchPlan) -> None:
        self.expert, self.name, self.queries, self.how = expert, name, list(queries), how
        step = float(how.bin_s)
        self.mergers = [Merger(step, nms_iou=expert.config.nms_iou) for _ in queries]
        self.seen_until = 0.0
        self._warned = False

    def sightings(
        self, pictures: Iterator[Shown], progress: Callable[[float], None] | None
    ) -> Iterator[Sighting]:
        try:
            for part in windows(pictures, self.how):
                yield from self._look(part)
                if progress is not None:
                    progress(self.seen_until)
        except KeyboardInterrupt:
            end = self.seen_until
            for query, merger in zip(self.queries, self.mergers, strict=True):
                yield from self._told(query, merger.closed((end, end), [], first=False, last=True))
            raise

    def _look(self, part: LiveWindow) -> Iterator[Sighting]:
        expert, span = self.expert, part.frames.stretch
        video = Opened(expert.model.encode_video(part.frames, expert.batch_size))
        (found,) = expert.ground_opened([video], [self.queries], self.how.top_k)
        expert.engine.forget([video])
        self._warn(video)
        self.seen_until = span.end_s
        for query, merger, moments in zip(self.queries, self.mergers, found, strict=True):
            closed = merger.closed(
                (span.start_s, span.end_s),
                self._taking_part(moments),
                first=part.first,
                last=part.last,
                presence=moments.presence,
            )
            yield from self._told(query, closed)

    def _taking_part(self, moments: Moments) -> tuple[Moment, ...]:
        if moments.presence < self.how.keep or not moments.items:
            return ()
        return moments.items if self.how.top_k is None else worth_showing(moments.items)

    def _told(self, query: str, closed: Sequence[Part]) -> Iterator[Sighting]:
        for part in closed:
            if part.presence >= self.how.above:
                yield Sighting(query, part.moment, part.presence, self.seen_until)

    def _warn(self, video: Opened) -> None:
        if not self._warned and not self.expert.knows(video):
            self._warned = True
            warnings.warn(unfamiliar(self.name, self.expert.name), ModelWarning, stacklevel=4)
