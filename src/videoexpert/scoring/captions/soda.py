"""SODA: how well a list of captioned segments tells the story of a video, in order.

Written from the definition in Fujita et al., "SODA: Story Oriented Dense Video Captioning Evaluation
Framework", ECCV 2020: the similarity of a predicted and a reference event is their temporal IoU times their
METEOR; the best one-to-one assignment that keeps the order of both lists is found by dynamic programming;
its sum over the number of predictions is the precision, over the number of reference events the recall.

Letters of this file: P predicted events, G reference events of one video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ... import windows

#: Added to the union by every dense-captioning scorer in use: an IoU of exactly 0.5 lands just below 0.5.
UNION_EPSILON = 1e-8

Span = tuple[float, float]


@dataclass(frozen=True)
class SodaScore:
    """Precision, recall and F1 of one video, each in [0, 1]."""

    precision: float
    recall: float
    f1: float


def iou_matrix(predicted: Sequence[Span], reference: Sequence[Span]) -> NDArray[np.float64]:
    """Temporal IoU of every pair of segments, (P, G); spans are (start, end) in seconds.

    ``I / (min(hull, sum of lengths) + 1e-8)``. A reversed or zero-length segment has IoU 0 with anything.
    """
    p_P2 = np.asarray(predicted, dtype=np.float64).reshape(-1, 1, 2)
    g_G2 = np.asarray(reference, dtype=np.float64).reshape(1, -1, 2)
    intersection_PG = np.maximum(0.0, windows.intersection(p_P2, g_G2))
    lengths = windows.length(p_P2) + windows.length(g_G2)
    union_PG = np.minimum(windows.hull(p_P2, g_G2), lengths) + UNION_EPSILON
    iou_PG: NDArray[np.float64] = np.divide(
        intersection_PG, union_PG, out=np.zeros_like(intersection_PG), where=intersection_PG > 0
    )
    return iou_PG


def best_ordered_sum(similarity_PG: NDArray[np.float64]) -> float:
    """Largest sum of similarities over one-to-one assignments that keep the order of rows and of columns.

    ``best(i, j) = max(best(i-1, j), best(i, j-1), best(i-1, j-1) + s(i, j))``; 0 for an empty matrix.
    Raises ValueError if ``similarity_PG`` is not a matrix.
    """
    if similarity_PG.ndim != 2:
        raise ValueError(f"similarity must be (P, G), got shape {similarity_PG.shape}")
    columns = similarity_PG.shape[1]
    best = [0.0] * (columns + 1)
    for row in similarity_PG.tolist():
        previous, best = best, [0.0] * (columns + 1)
        for j, similarity in enumerate(row):
            best[j + 1] = max(previous[j + 1], best[j], previous[j] + similarity)
    return best[-1]


def soda(similarity_PG: NDArray[np.float64]) -> SodaScore:
    """SODA of one video from the similarities (P, G) of its events in story order; all 0 if one is empty."""
    predicted, referenced = similarity_PG.shape
    if not (predicted and referenced):
        return SodaScore(0.0, 0.0, 0.0)
    total = best_ordered_sum(similarity_PG)
    precision, recall = total / predicted, total / referenced
    return SodaScore(precision, recall, f1_score(precision, recall))


def f1_score(precision: float, recall: float) -> float:
    """Harmonic mean; 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
