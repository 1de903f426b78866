"""Answers of overlapping windows put together: one event seen in two windows is one moment.

A window that ends within an event cuts it. So two moments of neighbouring windows are one where they agree on the
seconds that both windows show; what only one of them shows is then told by that one. What is left overlapping is
thinned by non-maximum suppression. Windows come in the order of time, and a moment is final as soon as no later
window can reach it: memory does not grow with the video.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..grounding.decoding import nms
from ..types import Hole, Moment, Stretch
from ..windows import iou

AGREE = 0.5  # IoU on the seconds that both windows show

Window = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """A moment while windows come in.

    seen_until  where the last window that showed it ends
    presence    the highest of the windows that showed it
    """

    moment: Moment
    cut_start: bool
    cut_end: bool
    seen_until: float
    presence: float = 1.0


class Merger:
    """Moments of one query, window by window.

    nms_iou     of moments that overlap by more, the better stays; None: all stay
    step_s      seconds a frame covers: an edge this near to the window's is taken as cut
    least       moments with a lower score are not looked at
    alike       whether two moments may be one event at all (captions: the same sentence)
    """

    def __init__(
        self,
        step_s: float,
        *,
        nms_iou: float | None = 0.7,
        least: float = 0.0,
        alike: Callable[[Moment, Moment], bool] = lambda a, b: True,
    ) -> None:
        self.step_s, self.nms_iou, self.least, self.alike = step_s, nms_iou, least, alike
        self._open: list[Part] = []
        self._until = -math.inf  # where the window before ends

    def add(self, window: Window, moments: Sequence[Moment], *, first: bool, last: bool) -> list[Moment]:
        """Takes the moments of the next window and gives those that no later window can change.

        ``first`` and ``last``: nothing of the video comes before the window, or after it.
        """
        return [part.moment for part in self.closed(window, moments, first=first, last=last)]

    def closed(
        self, window: Window, moments: Sequence[Moment], *, first: bool, last: bool, presence: float = 1.0
    ) -> list[Part]:
        """``add`` for a window in which the query is present with that probability."""
        start, end = window
        new = [
            Part(
                moment,
                cut_start=not first and moment.start <= start + self.step_s,
                cut_end=not last and moment.end >= end - self.step_s,
                seen_until=end,
                presence=presence,
            )
            for moment in sorted(moments, key=lambda m: -m.score)
            if moment.score >= self.least
        ]
        taken: set[int] = set()
        for part in new:
            partner = self._partner(part, start, taken)
            if partner is None:
                self._open.append(part)
                continue
            taken.add(partner)
            self._open[partner] = joined(self._open[partner], part, start)
        self._until = end
        self._thin()
        # later windows begin after this one does, the last of a video included
        final = [part for part in self._open if last or part.moment.end < start]
        self._open = [part for part in self._open if part not in final]
        return sorted(final, key=lambda part: (part.moment.start, part.moment.end))

    def _partner(self, new: Part, start: float, taken: set[int]) -> int | None:
        """The best open moment that is the same event; each is joined once a window."""
        best: int | None = None
        for i, old in enumerate(self._open):
            if i in taken or old.seen_until == new.seen_until or not self.alike(old.moment, new.moment):
                continue
            if old.seen_until <= start and old.seen_until < self._until:
                continue  # a window between the two did not show it
            if not same_event(old, new, start):
                continue
            if best is None or old.moment.score > self._open[best].moment.score:
                best = i
        return best

    def _thin(self) -> None:
        if self.nms_iou is None or not self._open:
            return
        rows = [(part.moment.start, part.moment.end, part.moment.score) for part in self._open]
        starts, ends, scores = np.array(rows).T
        kept = sorted(nms(starts, ends, scores, self.nms_iou).tolist())
        self._open = [self._open[i] for i in kept]


def same_event(old: Part, new: Part, start: float) -> bool:
    """Whether a moment of an earlier window and one of the window from ``start`` on are one event."""
    a, b = old.moment, new.moment
    if old.seen_until <= start:  # the windows only touch
        return old.cut_end and new.cut_start
    shown = [
        (max(m.start, start), min(m.end, old.seen_until))
        for m in (a, b)
        if m.end >= start and m.start <= old.seen_until
    ]
    return len(shown) == 2 and iou(*shown) >= AGREE


def joined(old: Part, new: Part, start: float) -> Part:
    """One moment of two; ``start``: where the window of ``new`` begins.

    What one window alone shows is told by that window; an edge that both show by the one that does not end there,
    else by the better moment.
    """
    better = new if new.moment.score > old.moment.score else old
    at_start = old if old.moment.start < start or new.cut_start else better
    at_end = new if new.moment.end > old.seen_until or old.cut_end else better
    edges = at_start.moment.start, at_end.moment.end
    if edges[0] > edges[1]:  # they disagree: the better one is right
        at_start = at_end = better
        edges = better.moment.start, better.moment.end
    return Part(
        replace(better.moment, start=edges[0], end=edges[1]),
        cut_start=at_start.cut_start,
        cut_end=at_end.cut_end,
        seen_until=max(old.seen_until, new.seen_until),
        presence=max(old.presence, new.presence),
    )


class CurveMerger:
    """Saliency of windows on one time axis: bins of ``step_s`` seconds, each the mean over the windows that show it."""

    def __init__(self, start_s: float, end_s: float, step_s: float) -> None:
        count = max(1, math.ceil((end_s - start_s) / step_s - 1e-6))
        self.edges = np.linspace(start_s, end_s, count + 1)
        self._sum, self._weight = np.zeros(count), np.zeros(count)

    def add(self, window: Window, curve: Sequence[float], holes: Sequence[Hole] = ()) -> None:
        """Adds a window's curve (N,), whose frames divide the window evenly but for its ``holes``."""
        start, end = window
        clip = Stretch(start, end - start, tuple(holes))
        own = np.linspace(0.0, clip.seen_s, len(curve) + 1)
        area = np.concatenate([[0.0], np.cumsum(curve)]) * clip.seen_s / len(curve)
        inside = np.clip(self.edges, start, end)
        seen = np.asarray([clip.seen_at(edge) for edge in inside]) if holes else inside - start
        self._sum += np.diff(np.interp(seen, own, area))
        self._weight += np.diff(seen)

    def curve(self) -> tuple[float, ...]:
        """The mean of each bin, 0 where no window was."""
        shown = self._weight > 0
        mean = np.where(shown, self._sum / np.where(shown, self._weight, 1.0), 0.0)
        return tuple(np.clip(mean, 0.0, 1.0).tolist())
