"""Curves over frames: smoothing, Box-Cox, and the contrast of windows. Pure numpy; deterministic.

K frames; a window is ``[first, end)`` in frames. ``Floats`` are (K,) float64 unless said otherwise.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Windows = NDArray[np.int64]  # (W, 2): first, end
LENGTH_POWER = 0.3
POWERS = (0.0, 5.0)


def moving_average(values: NDArray[np.floating[Any]], width: int) -> Floats:
    """(K, ...) mean over ``width`` (odd) frames around each; fewer at the edges."""
    half = width // 2
    if half == 0 or len(values) == 0:
        return values.astype(np.float64)
    places = np.arange(len(values))
    first, end = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    total = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0, dtype=np.float64)])
    count = (end - first).reshape(-1, *[1] * (values.ndim - 1))
    return np.asarray((total[end] - total[first]) / count)


def moving_median(values: Floats, width: int) -> Floats:
    """(K,) median over ``width`` (odd) frames, edges repeated: single outliers go, steps stay where they are."""
    half = width // 2
    padded = np.pad(values, half, mode="edge")
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=-1))


def contrast(curve: Floats, windows: Windows) -> Floats:
    """(W,) mean inside each window less the mean outside it; 0 for a window that is the whole curve."""
    total = np.concatenate([[0.0], np.cumsum(curve)])
    first, end = windows[:, 0], windows[:, 1]
    inside, length, rest = total[end] - total[first], end - first, len(curve) - (end - first)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = inside / length - (total[-1] - inside) / rest
    return np.where((length > 0) & (rest > 0), found, 0.0)


def box_cox(values: Floats) -> Floats:
    """The power transform under which the values are most nearly normal; its power by maximum likelihood in [0, 5].

    Values are first put on [1, 2], about the ratio that cosines of a good match and a bad one have. A power below 0
    would squeeze the peak itself. Constant values become zeros.
    """
    low, high = float(values.min()), float(values.max())
    if high - low < 1e-12:
        return np.zeros(len(values))
    positive = (values - low) / (high - low) + 1.0
    logs = np.log(positive)
    lower, upper = POWERS
    best = 0.0
    for _ in range(4):  # each round looks ten times closer
        powers = np.linspace(lower, upper, 41)
        best = float(powers[int(np.argmax([_likelihood(positive, logs, power) for power in powers]))])
        step = (upper - lower) / 40
        lower, upper = max(POWERS[0], best - step), min(POWERS[1], best + step)
    return _power(positive, logs, best)


def _power(positive: Floats, logs: Floats, power: float) -> Floats:
    return logs if abs(power) < 1e-9 else np.asarray((positive**power - 1) / power)


def _likelihood(positive: Floats, logs: Floats, power: float) -> float:
    variance = float(_power(positive, logs, power).var())
    if variance <= 0:
        return -np.inf
    return float((power - 1) * logs.sum() - len(logs) / 2 * np.log(variance))


def rescale(values: Floats, least_range: float) -> Floats:
    """To [0, 1]; values that span less than ``least_range`` keep to a part of it, so that flat stays nearly flat."""
    spread = max(float(values.max() - values.min()), least_range)
    return np.asarray((values - values.min()) / spread)


def standing_out(curve: Floats, windows: Windows) -> Floats:
    """(W,) what windows are ranked by: contrast, with two changes to the papers' (benchmarks/training_free.py).

    Very short windows and nearly whole videos count less: in noise the plain difference prefers two frames at a peak
    to the event. And what lies outside counts no higher than half way between the curve's ends: another such event
    elsewhere is not held against a window, which would favour one that holds both.
    """
    calm = np.minimum(curve, (curve.min() + curve.max()) / 2)
    inside, outside = np.concatenate([[0.0], np.cumsum(curve)]), np.concatenate([[0.0], np.cumsum(calm)])
    first, end = windows[:, 0], windows[:, 1]
    length, rest = end - first, len(curve) - (end - first)
    share = length / len(curve)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (inside[end] - inside[first]) / length - (outside[-1] - outside[end] + outside[first]) / rest
    return np.where((length > 0) & (rest > 0), found * (share * (1 - share)) ** LENGTH_POWER, 0.0)


def settle(curve: Floats, windows: Windows, reach: int) -> Windows:
    """Each edge moved, within ``reach`` frames, to where the window's contrast is highest; ties go to the nearest."""
    steps = np.array(sorted(range(-reach, reach + 1), key=lambda s: (abs(s), s)))
    found = windows.copy()
    for edge in (0, 1, 0, 1):
        tried = np.repeat(found[:, None], len(steps), axis=1)
        tried[..., edge] = windows[:, edge, None] + steps
        allowed = (tried[..., 0] >= 0) & (tried[..., 1] <= len(curve)) & (tried[..., 0] < tried[..., 1])
        tried = np.where(allowed[..., None], tried, found[:, None])
        gains = standing_out(curve, tried.reshape(-1, 2)).reshape(len(found), len(steps))
        best = np.argmax(gains > gains.max(1, keepdims=True) - 1e-12, axis=1)
        found = tried[np.arange(len(found)), best]
    return found


def stretches(mask: NDArray[np.bool_]) -> Windows:
    """(W, 2) runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2).astype(np.int64)


def overlaps(a: Windows, b: Windows) -> Floats:
    """(A, B) intersection over union of windows."""
    shared = np.minimum(a[:, None, 1], b[None, :, 1]) - np.maximum(a[:, None, 0], b[None, :, 0])
    shared = np.maximum(shared, 0)
    union = (a[:, 1] - a[:, 0])[:, None] + (b[:, 1] - b[:, 0])[None] - shared
    return np.asarray(shared / np.maximum(union, 1))
