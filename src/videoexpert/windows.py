"""Intervals of time: the only place that computes overlaps.

Plain numbers: ``shared_s`` and ``iou`` of two windows ``(start, end)``, without numpy or torch.
Arrays: a window is ``[start, end]`` in the last axis, shapes broadcast, numpy arrays and torch tensors alike where
the signature says ``Any``. ``hull_iou``, ``union_iou`` and ``iop`` compute what the official scorers compute, raw
values included; ``valid`` says which windows are windows at all, and ``clean`` turns raw overlaps into ones in
[0, 1]. ``ious`` is the array form of ``iou``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

CLIP_S = 2.0  # length of one saliency clip (QVHighlights): clip i covers [2i, 2i + 2) seconds


def clip_count(duration_s: float) -> int:
    """Number of saliency clips of CLIP_S seconds that cover the video; the last may be cut."""
    return max(1, math.ceil(duration_s / CLIP_S - 1e-9))


# --- two windows, plain numbers ---


def shared_s(a: Sequence[float], b: Sequence[float]) -> float:
    """Seconds that two windows share; 0 when they are apart or one is reversed."""
    return max(0.0, min(a[1], b[1]) - max(a[0], b[0]))


def iou(a: Sequence[float], b: Sequence[float]) -> float:
    """Intersection over union of two windows with start <= end, in [0, 1]; the same point twice counts as 1."""
    shared = shared_s(a, b)
    union = (a[1] - a[0]) + (b[1] - b[0]) - shared
    return shared / union if union > 0 else float(a[0] == b[0])


# --- arrays ---


def length(windows: Any) -> Any:
    """(..., 2) -> (...): end - start; negative when reversed."""
    return windows[..., 1] - windows[..., 0]


def intersection(a: Any, b: Any) -> Any:
    """Seconds shared by windows (..., 2); negative when they are apart or reversed."""
    return _lesser(a[..., 1], b[..., 1]) - _greater(a[..., 0], b[..., 0])


def hull(a: Any, b: Any) -> Any:
    """Length of the shortest interval around both windows (..., 2): ``max(ends) - min(starts)``."""
    return _greater(a[..., 1], b[..., 1]) - _lesser(a[..., 0], b[..., 0])


def valid(windows: Array) -> NDArray[np.bool_]:
    """(..., 2) -> (...): finite and not reversed."""
    import numpy as np

    return np.isfinite(windows).all(axis=-1) & (windows[..., 0] <= windows[..., 1])


def ious(a: Array, b: Array) -> Array:
    """``iou`` of windows (..., 2) with start <= end."""
    import numpy as np

    shared = np.clip(intersection(a, b), 0.0, None)
    union = length(a) + length(b) - shared
    same = (a[..., 0] == b[..., 0]).astype(np.float64)
    return np.where(union > 0, shared / np.where(union > 0, union, 1.0), same)


def hull_iou(predicted: Array, truth: Array) -> Array:
    """Intersection over the hull; equals the IoU wherever two windows overlap.

    Disjoint and reversed windows give 0, two equal points NaN (0/0).
    """
    import numpy as np

    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = np.maximum(intersection(predicted, truth), 0.0) / hull(predicted, truth)
    return found


def union_iou(predicted: Array, truth: Array) -> Array:
    """Intersection over ``|p| + |g| - intersection``, as the QVHighlights scorer has it; NaN where that is
    0/0."""
    import numpy as np

    shared = np.maximum(intersection(predicted, truth), 0.0)
    union = length(predicted) + length(truth) - shared
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Array = shared / union
    return found


def iop(predicted: Array, truth: Array) -> Array:
    """Intersection over the prediction's length (NExT-GQA); may be negative when the windows are apart.

    A point counts 1 inside the truth (ends included), else 0; a reversed prediction 0.
    """
    import numpy as np

    lengths = length(predicted)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = intersection(predicted, truth) / lengths
    inside = (predicted[..., 0] >= truth[..., 0]) & (predicted[..., 0] <= truth[..., 1])
    return np.where(lengths > 0, ratio, np.where((lengths == 0) & inside, 1.0, 0.0))


def clean(overlap: Array, predicted: Array, truth: Array) -> Array:
    """``overlap`` where both windows are valid and it is a number; 0 elsewhere. In [0, 1]."""
    import numpy as np

    usable = valid(predicted) & valid(truth) & np.isfinite(overlap)
    return np.clip(np.where(usable, overlap, 0.0), 0.0, 1.0)


def _lesser(a: Any, b: Any) -> Any:
    if hasattr(a, "minimum"):  # a torch tensor
        return a.minimum(b)
    import numpy as np

    return np.minimum(a, b)


def _greater(a: Any, b: Any) -> Any:
    if hasattr(a, "maximum"):
        return a.maximum(b)
    import numpy as np

    return np.maximum(a, b)
