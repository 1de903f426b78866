"""Frame probabilities and offsets of one query -> ranked moments in seconds, and saliency of clips."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from .. import windows
from ..errors import InputError, VideoExpertError
from ..types import Highlights, Hole, Moment, Moments, Stretch

Floats = NDArray[np.float64]


def decode_moments(
    indicator_prob: Tensor,
    offsets: Tensor,
    centres: Tensor,
    duration_s: float,
    start_s: float = 0.0,
    *,
    nms_iou: float = 0.7,
    top_k: int | None = None,
    moment_from: str = "offsets",
) -> list[Moment]:
    """``decode_many`` of one query: indicator_prob (N,), offsets (N, 2)."""
    return decode_many(
        indicator_prob[None],
        offsets[None],
        centres,
        [duration_s],
        [start_s],
        nms_iou=nms_iou,
        top_k=top_k,
        moment_from=moment_from,
    )[0]


def decode_many(
    indicator_prob: Tensor,
    offsets: Tensor,
    centres: Tensor,
    durations_s: Sequence[float],
    starts_s: Sequence[float] = (),
    *,
    nms_iou: float = 0.7,
    top_k: int | None = None,
    moment_from: str = "offsets",
) -> list[list[Moment]]:
    """Moments of Q queries, best first, clipped to ``[start, start + duration]`` of each; starts are 0 by default.

    indicator_prob (Q, N) in [0, 1]; offsets (Q, N, 2), distances to start and end, and centres (N,), both as
    fractions of the duration. ``offsets``: every frame proposes [t - left, t + right] with its probability as
    score, thinned by non-maximum suppression. ``run`` (not in the paper; for a boundary branch that is not
    yet trained): the stretches of frames around each peak, see ``runs``; they do not overlap.

    Raises InputError for an unknown ``moment_from`` or ``top_k`` below 1, VideoExpertError if a number is not
    finite.
    """
    if top_k is not None and top_k < 1:
        raise InputError(f"top_k is {top_k}, expected at least 1.")
    scores, distances, times = (as_array(values) for values in (indicator_prob, offsets, centres))
    if not (np.isfinite(scores).all() and np.isfinite(distances).all()):
        raise VideoExpertError(
            "the temporal head gave numbers that are not finite; check the model's weights and its precision."
        )
    if moment_from == "offsets":
        starts, ends = times - distances[..., 0], times + distances[..., 1]
    elif moment_from == "run":
        starts, ends, scores = _padded([runs(row, times) for row in scores])
    else:
        raise InputError(f"moment_from is {moment_from!r}, expected 'offsets' or 'run'.")
    length = np.asarray(durations_s, dtype=np.float64)[:, None]
    begin = np.asarray(starts_s, dtype=np.float64)[:, None] if starts_s else 0.0
    starts, ends = (begin + np.clip(edge, 0.0, 1.0) * length for edge in (starts, ends))
    kept = nms_many(starts, ends, scores, nms_iou, top_k)
    clipped = np.clip(scores, 0.0, 1.0)
    return [
        [Moment(*row) for row in zip(*(x[own].tolist() for x in (a, b, p)), strict=True)]
        for own, a, b, p in zip(kept, starts, ends, clipped, strict=True)
    ]


def _padded(found: Sequence[tuple[Floats, Floats, Floats]]) -> tuple[Floats, Floats, Floats]:
    """Starts, ends and scores of every query as (Q, most of them), scores -inf where a query has fewer."""
    most = max((len(scores) for _, _, scores in found), default=0)
    out = np.zeros((3, len(found), most))
    out[2] = -np.inf
    for row, values in enumerate(found):
        for target, own in zip(out, values, strict=True):
            target[row, : len(own)] = own
    return out[0], out[1], out[2]


def nms_many(
    starts: Floats, ends: Floats, scores: Floats, iou: float, top_k: int | None = None
) -> list[NDArray[np.int64]]:
    """``nms`` of Q queries at once, (Q, N) each; scores of -inf are left out. At most ``top_k`` a query."""
    left, spans = scores.copy(), np.stack([starts, ends], axis=-1)
    rows = np.arange(len(left))
    kept: list[list[int]] = [[] for _ in rows]
    for _ in range(left.shape[1] if top_k is None else min(top_k, left.shape[1])):
        best = left.argmax(axis=1)
        alive = left[rows, best] > -np.inf
        if not alive.any():
            break
        for row in np.flatnonzero(alive).tolist():
            kept[row].append(int(best[row]))
        left[windows.ious(spans, spans[rows, best][:, None]) > iou] = -np.inf
        left[rows, best] = -np.inf
    return [np.array(own, dtype=np.int64) for own in kept]


def nms(starts: ArrayLike, ends: ArrayLike, scores: ArrayLike, iou: float) -> NDArray[np.int64]:
    """Indices of the intervals kept by non-maximum suppression, best first.

    An interval goes if a better one that stays overlaps it by more than ``iou``. Of equal scores, the first
    given is the better.
    """
    a, b, c = (np.asarray(values, dtype=np.float64)[None] for values in (starts, ends, scores))
    return nms_many(a, b, c, iou)[0]


def runs(scores: Floats, times: Floats) -> tuple[Floats, Floats, Floats]:
    """Starts, ends (fractions) and peak scores of the stretches of frames (N,) around each peak, best first.

    From the highest frame not yet taken, the run grows both ways over free frames at or above half of the
    peak. Its edge is where the line from its last frame to the first one outside crosses that half, or the
    edge of the better run it meets, or the video's. Then again, until all frames are taken: the runs tile
    the video or leave gaps, and never overlap.
    """
    num_frames = len(scores)
    free = np.ones(num_frames, dtype=bool)
    edges = np.full(num_frames + 1, np.nan)  # edges[i] is between frames i-1 and i, set by the better run
    edges[0], edges[-1] = 0.0, 1.0
    found = []
    for peak in np.argsort(-scores, kind="stable"):
        if not free[peak]:
            continue
        half = scores[peak] / 2
        inside = free & (scores >= half)
        first = last = int(peak)
        while first > 0 and inside[first - 1]:
            first -= 1
        while last + 1 < num_frames and inside[last + 1]:
            last += 1
        free[first : last + 1] = False
        if np.isnan(edges[first]):
            edges[first] = crossing(scores, times, first, first - 1, half)
        if np.isnan(edges[last + 1]):
            edges[last + 1] = crossing(scores, times, last, last + 1, half)
        found.append((edges[first], edges[last + 1], scores[peak]))
    starts, ends, peaks = np.array(found, dtype=np.float64).reshape(-1, 3).T
    return starts, ends, peaks


def crossing(scores: Floats, times: Floats, inside: int, outside: int, level: float) -> float:
    """Time at which the line between two neighbouring frames meets ``level``, between their scores."""
    share = (scores[inside] - level) / (scores[inside] - scores[outside])
    return float(times[inside] + share * (times[outside] - times[inside]))


def saliency(
    indicator_prob: Tensor,
    duration_s: float,
    clip_s: float = 2.0,
    start_s: float = 0.0,
    holes: Sequence[Hole] = (),
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Start time in seconds and saliency in [0, 1] of each clip of ``clip_s`` seconds (the last may be less).

    Frame i of indicator_prob (N,) covers [i/N, (i+1)/N) of the duration; a clip gets the mean over the time
    it covers, so the mean over time is kept whatever N and ``clip_s``. ``holes`` (``Stretch``) count as 0, and the
    frames cover the rest. Raises InputError unless both lengths are positive.
    """
    if not (math.isfinite(clip_s) and clip_s > 0 and math.isfinite(duration_s) and duration_s > 0):
        raise InputError(f"clip_s is {clip_s} and duration_s {duration_s}, expected positive seconds.")
    prob = as_array(indicator_prob)
    # Lengths like 0.6 / 0.2 are a hair off a whole number: no clip of a hair's length for them.
    num_clips = max(math.ceil(duration_s / clip_s - 1e-6), 1)
    edges = np.minimum(np.arange(num_clips + 1) * clip_s, duration_s)
    edges[-1] = duration_s
    area = np.concatenate([[0.0], np.cumsum(prob)]) / len(prob)
    clip = Stretch(start_s, duration_s, tuple(holes))
    seen = np.asarray([clip.seen_at(start_s + edge) for edge in edges]) if holes else edges
    at_edges = np.interp(seen / clip.seen_s, np.linspace(0.0, 1.0, len(prob) + 1), area)
    scores = np.clip(np.diff(at_edges) / np.diff(edges / clip.seen_s), 0.0, 1.0)
    return tuple((start_s + edges[:-1]).tolist()), tuple(scores.tolist())


def highlights_of(moments: Moments, clip: Stretch, clip_s: float) -> Highlights:
    """An answer's curve over ``clip`` as the saliency of each of its clips of ``clip_s`` seconds, beside its moments.

    Raises InputError as ``saliency``.
    """
    times, scores = saliency(torch.tensor(moments.curve), clip.duration_s, clip_s, clip.start_s, clip.holes)
    return Highlights(
        moments.query,
        times,
        scores,
        moments.items,
        clip_s,
        moments.presence,
        moments.absent,
        told=moments.told,
        familiar=moments.familiar,
        unknown_words=moments.unknown_words,
        guess=moments.guess,
    )


def as_array(values: Tensor) -> Floats:
    """The tensor's numbers as float64 on the CPU."""
    return values.detach().to("cpu").double().numpy()
