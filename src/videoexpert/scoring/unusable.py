"""Predictions that cannot count: counted and named by the same code in every scorer, never silently wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..annotations.records import Record
from .outcome import NAMED, Rules

Floats = NDArray[np.float64]
_FAR = 10  # times the latest annotated second: where a video may end that no one measured
_MS = 1000


@dataclass(frozen=True)
class Unusable:
    """Some predictions and why they cannot count.

    what, reason  subject and predicate of a sentence: "predicted windows", "end before they start"
    count, of     how many of how many
    ids           of the items that they belong to, in the order of the annotations
    """

    what: str
    reason: str
    count: int
    of: int
    ids: tuple[str, ...]

    def sentence(self, rules: Rules) -> str:
        """For people, with examples."""
        named = ", ".join(self.ids[:NAMED]) + (", ..." if len(self.ids) > NAMED else "")
        counted = "the official scorer takes them as they are" if rules.official else "they count as wrong"
        return f"{self.count} of {self.of} {self.what} {self.reason}; {counted}: {named}"

    def to_json(self) -> dict[str, Any]:
        """For programs: one entry of ``coverage["unusable"]``."""
        return {
            "what": self.what,
            "reason": self.reason,
            "count": self.count,
            "of": self.of,
            "ids": list(self.ids),
        }


def unusable_windows(
    ids: Sequence[str],
    windows: Floats,
    counts: NDArray[np.int64],
    last: Floats,
    latest: float,
    *,
    predicted: NDArray[np.bool_] | None = None,
    points: bool = False,
) -> list[Unusable]:
    """What is wrong with predicted windows.

    windows    (Q, K, 2) seconds; of query q the first ``counts[q]`` are predictions
    last       (Q,) the second at which each video, and all its annotations, have ended; NaN if unknown
    latest     the latest second of any annotated window
    predicted  (Q,) which queries have a prediction; of these, ones without a window are counted. None: not asked
    points     a window of no length can count (NExT-GQA's IoP)
    """
    there = np.arange(windows.shape[1]) < counts[:, None]
    start, end = windows[..., 0], windows[..., 1]
    no_number = there & ~np.isfinite(windows).all(-1)
    good = there & ~no_number
    backwards = good & (start > end)
    empty = good & (start == end) & (not points)
    ends = np.where(np.isnan(last), _FAR * latest, last)[:, None]
    outside = good & ~backwards & ~empty & ((start >= ends) | (end <= 0))
    good &= ~backwards & ~empty
    late = "lie outside their videos"
    thousands = (start >= 2 * ends) & (start / _MS < ends) & (end - start >= _MS / 10)
    if 0 < good.sum() <= outside.sum() * 2 and thousands[outside].all():
        late = "lie after the end of their videos (milliseconds, where seconds are expected?)"
    small = good & (start >= 0) & (end <= 1)
    fractions = small if good.any() and latest > 2 and small.sum() == good.sum() else np.zeros_like(good)
    total = int(there.sum())
    found = [
        _entry("predicted windows", reason, mask, total, ids)
        for reason, mask in (
            ("have a start or end that is not a number", no_number),
            ("end before they start", backwards),
            ("have no length", empty),
            (late, outside),
            ("lie between 0 and 1 (fractions of the duration, where seconds are expected?)", fractions),
        )
    ]
    if predicted is not None:
        none = (predicted & (counts == 0))[:, None]
        found.insert(0, _entry("predictions", "hold no window", none, int(predicted.sum()), ids))
    return [entry for entry in found if entry.count]


def last_second(record: Record) -> float:
    """When a video, and all that is annotated of it, has ended; NaN where its duration is not known."""
    if record.duration_s is None:
        return float("nan")
    return max([record.duration_s, *(end for _, end in record.windows)])


def unusable_items(what: str, reason: str, faulty: Sequence[str], total: int) -> list[Unusable]:
    """An entry for items that are known by their ids; nothing where there are none."""
    return [Unusable(what, reason, len(faulty), total, tuple(faulty))] if faulty else []


def _entry(what: str, reason: str, mask: NDArray[np.bool_], total: int, ids: Sequence[str]) -> Unusable:
    rows = np.flatnonzero(mask.any(-1))
    return Unusable(what, reason, int(mask.sum()), total, tuple(ids[row] for row in rows.tolist()))
