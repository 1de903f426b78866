"""Overlap of time windows, vectorised. A window is ``[start, end]`` in the last axis; shapes broadcast.

``hull_iou``, ``union_iou`` and ``iop`` compute what the official scorers compute, raw values included;
``valid`` says which windows are windows at all, and ``clean`` turns raw overlaps into ones in [0, 1].
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def valid(windows: Array) -> NDArray[np.bool_]:
    """(..., 2) -> (...): finite and not reversed."""
    return np.isfinite(windows).all(axis=-1) & (windows[..., 0] <= windows[..., 1])


def intersection(a: Array, b: Array) -> Array:
    """Seconds shared by two windows; negative when they are apart or reversed."""
    return np.minimum(a[..., 1], b[..., 1]) - np.maximum(a[..., 0], b[..., 0])


def hull_iou(predicted: Array, truth: Array) -> Array:
    """Intersection over the hull ``max(ends) - min(starts)``; equals the IoU wherever two windows overlap.

    Disjoint and reversed windows give 0, two equal points NaN (0/0).
    """
    hull = np.maximum(predicted[..., 1], truth[..., 1]) - np.minimum(predicted[..., 0], truth[..., 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.maximum(intersection(predicted, truth), 0.0) / hull


def union_iou(predicted: Array, truth: Array) -> Array:
    """Intersection over ``|p| + |g| - intersection``, as the QVHighlights scorer has it; NaN where that is
    0/0."""
    shared = np.maximum(intersection(predicted, truth), 0.0)
    union = (predicted[..., 1] - predicted[..., 0]) + (truth[..., 1] - truth[..., 0]) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        return shared / union


def iop(predicted: Array, truth: Array) -> Array:
    """Intersection over the prediction's length (NExT-GQA); may be negative when the windows are apart.

    A point counts 1 inside the truth (ends included), else 0; a reversed prediction 0.
    """
    length = predicted[..., 1] - predicted[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = intersection(predicted, truth) / length
    inside = (predicted[..., 0] >= truth[..., 0]) & (predicted[..., 0] <= truth[..., 1])
    return np.where(length > 0, ratio, np.where((length == 0) & inside, 1.0, 0.0))


def clean(overlap: Array, predicted: Array, truth: Array) -> Array:
    """``overlap`` where both windows are valid and it is a number; 0 elsewhere. In [0, 1]."""
    usable = valid(predicted) & valid(truth) & np.isfinite(overlap)
    return np.clip(np.where(usable, overlap, 0.0), 0.0, 1.0)
