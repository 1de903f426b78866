"""Does a system look at the video, or guess from language? Measures on its best windows (paper Fig. 2).

Letters: Q queries, G cells a side. A window is (start, end) as fractions of the video. What is predicted is
compared with what is annotated for the same queries, and never judged by a threshold.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ... import windows as intervals

DISTANCE_CELLS = 10  # a side of the histogram that distributions of windows are compared on
INFORMATION_CELLS = 4  # quarters: finer cells leave too few queries in each to tell information from chance
PERMUTATIONS = 200
SAME = 1e-9  # bits: a difference that is rounding
SEED = 0
EDGE = 0.005  # of the video: a time less than this past its edge counts as on it, in whole percents
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def measure(predicted: Floats, annotated: Sequence[Floats], videos: Ints, seed: int = SEED) -> dict[str, Any]:
    """Every measure of one system under one condition; None where it is not defined.

    predicted   (Q, 2) the best window of each query; a row that is not finite: none was given
    annotated   Q arrays (K, 2), the true windows of each query; several share the query's weight
    videos      (Q,) number of the video that each query is about

    ``answered`` is the number of queries with a window, ``outside`` that of windows wholly outside their video.
    Over the others: ``repeated``, ``most_frequent``, ``distinct`` as in ``repetition``; ``distance`` of the
    predicted from the annotated windows of these queries, total variation in [0, 1]; ``moment_bits`` and
    ``video_bits``, see ``moment_information``, ``video_information``. Windows are cut at the video's edge.
    """
    given = np.asarray(np.isfinite(predicted).all(axis=1))
    kept = given & ~wholly_outside(predicted)
    windows = within(predicted[kept])
    truth = [within(one) for one, counts in zip(annotated, kept, strict=True) if counts]
    return {
        "answered": int(given.sum()),
        "outside": int((given & ~kept).sum()),
        **repetition(windows, videos[kept]),
        "distance": distance(windows, truth),
        "moment_bits": moment_information(windows, truth, seed),
        "video_bits": video_information(windows, videos[kept], seed),
    }


def wholly_outside(windows: Floats) -> NDArray[np.bool_]:
    """(Q,) whether a window and its video have no moment in common: cut at the edge it would be a point there."""
    low, high = windows.min(axis=1), windows.max(axis=1)
    return np.asarray(((low >= 1) & (high > 1 + EDGE)) | ((high <= 0) & (low < -EDGE)))


def partly_outside(windows: Floats) -> NDArray[np.bool_]:
    """(Q,) whether a window has a part in its video and another past the edge."""
    past = (windows.min(axis=1) < -EDGE) | (windows.max(axis=1) > 1 + EDGE)
    return np.asarray(past & ~wholly_outside(windows))


def within(windows: Floats) -> Floats:
    """The windows cut at the edges of the video, without those wholly outside."""
    return np.clip(windows[~wholly_outside(windows)], 0.0, 1.0)


def percents(windows: Floats) -> Ints:
    """(Q, 2) fractions -> whole percents of the duration: what counts as the same window."""
    return np.rint(np.clip(windows, 0.0, 1.0) * 100).astype(np.int64)


def repetition(windows: Floats, videos: Ints) -> dict[str, Any]:
    """How often one window, in whole percents, is given again.

    repeated       share of queries whose window was also given for a query about another video
    most_frequent  ``{"share", "window"}`` of the window given most often; of equals the earliest
    distinct       number of different windows
    """
    if not len(windows):
        return {"repeated": None, "most_frequent": None, "distinct": 0}
    kinds, which, counts = np.unique(percents(windows), axis=0, return_inverse=True, return_counts=True)
    which = which.reshape(-1)
    seen_in = np.bincount(np.unique(np.stack([which, videos], axis=1), axis=0)[:, 0])
    top = int(counts.argmax())
    return {
        "repeated": float((seen_in[which] > 1).mean()),
        "most_frequent": {"share": float(counts[top] / len(windows)), "window": kinds[top].tolist()},
        "distinct": len(kinds),
    }


def cells(windows: Floats, side: int) -> Ints:
    """(K, 2) fractions -> (K,) number of the cell in a ``side`` x ``side`` grid over start and end."""
    place = np.minimum((windows * side).astype(np.int64), side - 1)
    return place[:, 0] * side + place[:, 1]


def shares(annotated: Sequence[Floats], side: int) -> Floats:
    """(Q, side * side) each query's weight of 1 over the cells of its windows; 0 where it has none."""
    found = np.zeros((len(annotated), side * side))
    for row, windows in zip(found, annotated, strict=True):
        if len(windows):
            row[:] = np.bincount(cells(windows, side), minlength=side * side) / len(windows)
    return found


def distance(windows: Floats, annotated: Sequence[Floats], side: int = DISTANCE_CELLS) -> float | None:
    """Total variation between the distributions of predicted and of annotated windows over the cells.

    Half the sum of absolute differences: 0 equal, 1 without a common cell. Queries without an annotated
    window are left out.
    """
    truth = shares(annotated, side)
    known = truth.sum(axis=1) > 0
    if not known.any():
        return None
    given = np.bincount(cells(windows[known], side), minlength=side * side) / known.sum()
    return min(float(np.abs(given - truth[known].mean(axis=0)).sum() / 2), 1.0)  # rounding may pass 1


def chance_distance(
    annotated: Sequence[Floats], seed: int = SEED, side: int = DISTANCE_CELLS
) -> float | None:
    """The distance that chance alone gives: of the annotated windows from as many drawn from them anew.

    Mean over ``PERMUTATIONS`` draws of queries with replacement.
    """
    truth = shares(annotated, side)
    truth = truth[truth.sum(axis=1) > 0]
    if not len(truth):
        return None
    rng = np.random.default_rng(seed)
    drawn = [truth[rng.integers(0, len(truth), len(truth))].mean(axis=0) for _ in range(PERMUTATIONS)]
    return float(np.abs(np.array(drawn) - truth.mean(axis=0)).sum(axis=1).mean() / 2)


def bits(joint: Floats) -> float:
    """Mutual information in bits of the rows and columns of a table of counts (any positive scale)."""
    p = joint / joint.sum()
    return _entropy(p.sum(axis=0)) + _entropy(p.sum(axis=1)) - _entropy(p.ravel())


def _entropy(p: Floats) -> float:
    p = p[p > 0]
    return float(-(p * np.log2(p)).sum())


def moment_information(
    windows: Floats, annotated: Sequence[Floats], seed: int = SEED
) -> dict[str, float] | None:
    """How much a predicted window reveals about the annotated one, beyond chance; see ``_beyond_chance``.

    A system that ignores both the video and the words gives about 0 bits whatever it repeats; words alone can
    reveal much. Windows count by the quarters of their start and end. None where the queries' annotated
    windows are all alike, so that nothing could be revealed.
    """
    truth = shares(annotated, INFORMATION_CELLS)
    known = truth.sum(axis=1) > 0
    found, truth = cells(windows[known], INFORMATION_CELLS), truth[known]
    if (truth == truth[:1]).all():
        return None
    one_hot = np.eye(INFORMATION_CELLS**2)[found]
    return _beyond_chance(lambda order: bits(one_hot[order].T @ truth), found, seed)


def video_information(windows: Floats, videos: Ints, seed: int = SEED) -> dict[str, float] | None:
    """How much one answer about a video reveals about another answer on the same video, beyond chance.

    Answers on one video can depend on each other only through the video, and through what its sentences have
    in common. Read off pairs, because videos have few queries: the plain mutual information of window and
    video is biased so strongly there that correct answers can fall below chance (docs/log.md). Each query
    weighs the same however many its video has. None where fewer than two videos have two answers: nothing
    separates videos then.
    """
    side = INFORMATION_CELLS**2
    found, which = cells(windows, INFORMATION_CELLS), np.unique(videos, return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(which)
    if (sizes > 1).sum() < 2:
        return None

    def paired(order: Ints) -> float:
        table = np.bincount(which * side + found[order], minlength=len(sizes) * side)
        counts = table.reshape(len(sizes), side)[sizes > 1].astype(np.float64)
        weighted = counts / (sizes[sizes > 1, None] - 1)
        return bits(weighted.T @ counts - np.diag(weighted.sum(axis=0)))  # a query is not paired with itself

    return _beyond_chance(paired, found, seed)


def _beyond_chance(statistic: Callable[[Ints], float], found: Ints, seed: int) -> dict[str, float] | None:
    """``{"bits", "sd"}``: a statistic less its mean over random orders of the queries, and their spread.

    Few queries in many cells seem to share information by chance. As much is found after the answers have
    been shuffled among the queries, and is subtracted; what remains may be a little below 0. One and the
    same answer to all (cell numbers ``found``) reveals exactly nothing; None where answers differ and yet
    every order gives the same, as where each has a cell of its own: chance cannot be separated then.
    """
    if (found == found[:1]).all():
        return {"bits": 0.0, "sd": 0.0}
    rng = np.random.default_rng(seed)
    chance = np.array([statistic(rng.permutation(len(found))) for _ in range(PERMUTATIONS)])
    own = statistic(np.arange(len(found)))
    if np.abs(chance - own).max() < SAME:
        return None
    return {"bits": float(own - chance.mean()), "sd": float(chance.std())}


def overlap(windows: Floats, others: Floats) -> float | None:
    """Mean IoU of two answers to the same queries, (Q, 2) each, where both give a window; 1 where none moved.

    The same point twice counts 1, a window that ends before it starts 0. None where no query has both.
    """
    both = np.isfinite(windows).all(axis=1) & np.isfinite(others).all(axis=1)
    if not both.any():
        return None
    a, b = windows[both], others[both]
    iou = intervals.clean(intervals.hull_iou(a, b), a, b)
    return float(np.where((a == b).all(axis=1), 1.0, iou).mean())
