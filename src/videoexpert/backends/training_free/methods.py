"""Three ways from frame features and a query's curve to ranked windows, none of them trained (docs/real-videos.md).

tag        Temporally coherent clusters give the boundaries (TAG, arXiv:2508.07925).
tfvtg      Sliding windows, whose start moves to where the curve began to rise (TFVTG, arXiv:2408.16219).
watershed  The curve is flooded from its peaks down; every island is a window (the QVHighlights baseline).

All rank windows by their contrast with the rest, settle their edges and thin out by non-maximum suppression. The
papers' vote of the survivors is left out: windows that hold several events win it (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .signal import (
    Floats,
    Windows,
    box_cox,
    contrast,
    moving_average,
    moving_median,
    overlaps,
    rescale,
    settle,
    standing_out,
    stretches,
)

NMS_IOU = 0.3
SMOOTH = 3  # frames; noise in single frames makes short windows score high
CANDIDATES = 200  # windows that go into the suppression: the best by contrast
GRID = 100  # tfvtg: edges of sliding windows
RISE = 0.1  # tfvtg: of the curve's standard deviation; smaller steps do not count as a rise
MOST_EDGES = 400  # tag: boundaries whose pairs are tried
LEVELS = 20  # watershed: water levels
SHORT_S, FEW, MANY = 60.0, 9, 25  # tag: videos up to this long get FEW clusters, longer ones MANY
TIME_WEIGHT = 1.0  # tag: of t/T beside a feature of unit length
COHERENCE = 7  # tag: frames over which distances to the centres are averaged
PRIOR = 0.7  # tag: longest window, as a share of the video
LEAST_RANGE = 0.5  # tag: of Box-Cox values, in their standard deviations before the rescaling


@dataclass(frozen=True)
class Found:
    """Ranked windows in frames (W, 2), and the contrast of each against the original curve (W,)."""

    windows: Windows
    contrast: Floats


Features = NDArray[np.floating[Any]]  # (K, C) unit rows
Method = Callable[[Features, Floats, float], Found]


def tfvtg(features: Features, curve: Floats, duration_s: float) -> Found:
    """Sliding windows; a start inside or right behind a rise moves to where the rise begins. Features are not used."""
    count = len(curve)
    smooth = moving_average(curve, SMOOTH)
    edges = np.unique(np.linspace(0, count, min(GRID, count) + 1).round().astype(np.int64))
    return _ranked(curve, _starts_of_rises(curve, _best(smooth, _pairs(edges, count))), -(-count // GRID))


def _starts_of_rises(curve: Floats, windows: Windows) -> Windows:
    calm = moving_median(curve, SMOOTH)
    rising = np.diff(calm, prepend=calm[:1]) > RISE * calm.std()
    moved = windows.copy()
    for row, (first, end) in enumerate(windows):
        start = int(first)
        if start + 1 < end and not rising[start] and rising[start + 1]:
            start += 1  # the frame before a rise
        while start > 0 and rising[start] and rising[start - 1]:
            start -= 1
        moved[row, 0] = start
    return moved


def watershed(features: Features, curve: Floats, duration_s: float) -> Found:
    """The islands of every water level between the curve's lowest and highest value. Features are not used."""
    smooth = moving_average(curve, SMOOTH)
    low, high = float(smooth.min()), float(smooth.max())
    levels = np.linspace(high, low, LEVELS + 2)[1:-1] if high > low else np.array([high])
    islands = np.unique(np.concatenate([stretches(smooth >= level) for level in levels]), axis=0)
    return _ranked(curve, _best(smooth, islands), SMOOTH // 2)


def tag(features: Features, curve: Floats, duration_s: float) -> Found:
    """Windows between the boundaries of temporally coherent clusters, scored on the Box-Cox curve.

    features (K, C) unit rows
    """
    count = len(curve)
    clusters = coherent_clusters(features, FEW if duration_s <= SHORT_S else MANY)
    edges = _strongest(np.flatnonzero(np.diff(clusters, prepend=-1, append=-1)), features)
    scores = rescale(box_cox(curve), LEAST_RANGE)
    windows = _pairs(edges.astype(np.int64), max(1, round(PRIOR * count)))
    if not len(windows):
        windows = np.array([[0, count]])
    return _ranked(curve, _best(scores, windows), COHERENCE // 2, scores)


def coherent_clusters(
    features: Features, clusters: int, rounds: int = 50, seed: int = 0
) -> NDArray[np.int64]:
    """(K,) cluster of each frame: k-means on smoothed features with time as one more dimension.

    A frame goes to the centre that is nearest on the mean over the frames around it. First centres are drawn far
    from one another (k-means++) with a fixed seed.
    """
    count = len(features)
    time = TIME_WEIGHT * np.linspace(0, 1, count)[:, None]
    points = np.concatenate([moving_average(features, SMOOTH), time], axis=1)
    centres = _first_centres(points, min(clusters, count), np.random.default_rng(seed))
    labels = np.full(count, -1)
    for _ in range(rounds):
        distance = (points**2).sum(1)[:, None] - 2 * points @ centres.T + (centres**2).sum(1)[None]
        nearest = moving_average(distance, COHERENCE).argmin(1)
        if (nearest == labels).all():
            break
        labels = nearest
        for number in np.unique(labels):
            centres[number] = points[labels == number].mean(0)
    return labels


def _first_centres(points: Floats, clusters: int, rng: np.random.Generator) -> Floats:
    chosen = [0]
    distance = ((points - points[0]) ** 2).sum(1)
    while len(chosen) < clusters and distance.sum() > 0:
        chosen.append(int(rng.choice(len(points), p=distance / distance.sum())))
        distance = np.minimum(distance, ((points - points[chosen[-1]]) ** 2).sum(1))
    return points[chosen].copy()


def _strongest(edges: NDArray[np.int64], features: Features) -> NDArray[np.int64]:
    """At most MOST_EDGES edges, the outermost among them: those where the smoothed features change most."""
    if len(edges) <= MOST_EDGES:
        return edges
    smooth = moving_average(features, COHERENCE)
    inner = edges[1:-1]
    change = np.linalg.norm(
        smooth[np.minimum(inner + 2, len(smooth) - 1)] - smooth[np.maximum(inner - 3, 0)], axis=1
    )
    kept = inner[np.sort(np.argsort(-change, kind="stable")[: MOST_EDGES - 2])]
    return np.concatenate([edges[:1], kept, edges[-1:]])


def _pairs(edges: Windows, longest: int) -> Windows:
    """All windows between two edges, up to ``longest`` frames."""
    first, end = np.triu_indices(len(edges), 1)
    windows = np.stack([edges[first], edges[end]], axis=1)
    return windows[windows[:, 1] - windows[:, 0] <= longest]


def _best(curve: Floats, windows: Windows) -> Windows:
    """The windows of highest contrast, best first."""
    return windows[np.argsort(-standing_out(curve, windows), kind="stable")[:CANDIDATES]]


def _ranked(curve: Floats, windows: Windows, reach: int, scores: Floats | None = None) -> Found:
    """Edges settled, windows ranked, and those that a better one overlaps left out."""
    scores = curve if scores is None else scores
    windows = np.unique(settle(scores, windows, reach), axis=0)
    windows = windows[np.argsort(-standing_out(scores, windows), kind="stable")]
    kept = windows[_suppressed(windows)]
    return Found(kept, contrast(curve, kept))


def _suppressed(windows: Windows) -> list[int]:
    """Places of the windows (best first) that no better one overlaps by more than NMS_IOU."""
    kept: list[int] = []
    for place in range(len(windows)):
        if not kept or overlaps(windows[place : place + 1], windows[kept]).max() <= NMS_IOU:
            kept.append(place)
    return kept


METHODS: dict[str, Method] = {"tag": tag, "tfvtg": tfvtg, "watershed": watershed}
