"""Percentile bootstrap over items: how far a score would move with another draw of test queries."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
SEED = 0
_CELLS = 2_000_000  # resamples x items drawn at once; bounds the memory on large splits


def bootstrap_intervals(
    values: dict[str, NDArray[np.float64]],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
    level: float = 0.95,
) -> dict[str, list[float] | None]:
    """Interval ``[low, high]`` in percent of each metric's mean.

    Items (queries, questions) are drawn with replacement, the same draw for all metrics; a NaN value
    leaves that metric's mean in every draw. mAP is a mean of per-query average precisions and is resampled
    like the others. None for a metric that no item enters. The same seed and items give the same intervals.
    """
    names = list(values)
    if not names:
        return {}
    table = np.stack([values[name] for name in names], axis=1)  # (items, metrics)
    known = ~np.isnan(table)
    complete = bool(known.all())
    filled = np.where(known, table, 0.0)
    items = len(table)
    if items == 0:
        return dict.fromkeys(names)
    rng = np.random.default_rng(seed)
    chunk = max(1, _CELLS // items)
    means = []
    for first in range(0, resamples, chunk):
        count = min(chunk, resamples - first)
        drawn = rng.integers(0, items, size=(count, items))
        weights = np.empty((count, items))
        for row, picked in zip(weights, drawn, strict=True):
            row[:] = np.bincount(picked, minlength=items)
        with np.errstate(invalid="ignore"):
            means.append((weights @ filled) / (items if complete else weights @ known.astype(np.float64)))
    drawn_means = np.concatenate(means) * 100
    tail = (1 - level) / 2
    result: dict[str, list[float] | None] = {}
    for column, name in enumerate(names):
        sample = drawn_means[:, column]
        sample = sample[~np.isnan(sample)]
        sample.sort()
        result[name] = [_quantile(sample, tail), _quantile(sample, 1 - tail)] if len(sample) else None
    return result


def _quantile(ordered: NDArray[np.float64], q: float) -> float:
    """``np.quantile``'s linear one, bit for bit; that of NumPy first imports half of NumPy, longer than scoring."""
    place = q * (len(ordered) - 1)
    below = int(place)
    low, high = float(ordered[below]), float(ordered[min(below + 1, len(ordered) - 1)])
    share = place - below
    return low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share)
