"""QVHighlights: moment retrieval (R1, mAP, by length) and highlight detection (HL-mAP, HIT@1).

Letters: Q queries, K predicted windows kept (10), G true windows, T IoU thresholds, C clips of 2 s, A
annotators, E saliency levels. Everything is one pass over padded arrays; only the rank K is a loop,
because a window that is matched is taken. Source: Lei et al. 2021 (QVHighlights) and the rules of its
evaluation program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .. import windows as intervals
from ..annotations.records import MISMATCH, Record
from ..errors import DataError
from .matching import annotated_windows, match
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, saliency_list
from .unusable import Unusable, last_second, unusable_windows

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
WINDOWS_KEPT = 10
# (suffix, longer than, up to) in seconds; a query is in a split with those of its windows that fit
LENGTHS = (("/short", 0, 10), ("/middle", 10, 30), ("/long", 30, 150))
LEVELS = (("", 4), ("/good", 3), ("/fair", 2))  # the field reports Very Good without a suffix
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Ground truth of Q queries, padded.

    windows     (Q, G, 2) seconds; NaN where padded (``n_windows`` (Q,) are real)
    saliency    (Q, C, A) annotators' scores 0 to 4; 0 for unmarked clips
    n_clips     (Q,) clips in the video
    last        (Q,) when the video, and all that is annotated of it, has ended
    scored      (Q,) whether its saliency scores belong to its windows
    notes       what was left out of the file
    """

    ids: tuple[str, ...]
    windows: Floats
    n_windows: NDArray[np.int64]
    saliency: NDArray[np.int8]
    n_clips: NDArray[np.int64]
    last: Floats
    scored: NDArray[np.bool_]
    notes: tuple[str, ...] = ()


def truth_of(records: Sequence[Record]) -> Truth:
    """Padded arrays of at least one annotated query."""
    windows, n_windows = annotated_windows(records)
    durations = np.array([record.duration_s for record in records], np.float64)
    n_clips = (durations / intervals.CLIP_S).astype(np.int64)
    saliency, beyond = _padded_saliency(records, n_clips)
    notes = (f"{beyond} annotated clips lie past the end of their video and are left out.",) if beyond else ()
    scored = np.array([record.kind != MISMATCH for record in records])
    ids = tuple(record.id for record in records)
    last = np.array([last_second(record) for record in records])
    return Truth(ids, windows, n_windows, saliency, n_clips, last, scored, notes)


def _padded_saliency(records: Sequence[Record], n_clips: NDArray[np.int64]) -> tuple[NDArray[np.int8], int]:
    """(Q, C, A) scores and the number of clips left out because they start after the end of their video."""
    paired = [len(record.clip_ids) == len(record.marks or ()) for record in records]
    clips = [record.clip_ids if fits else () for record, fits in zip(records, paired, strict=True)]
    marks = [record.marks or () if fits else () for record, fits in zip(records, paired, strict=True)]
    flat_clips = np.array([clip for listed in clips for clip in listed], np.int64)
    listed_marks = [mark for listed in marks for mark in listed]
    annotators = max(map(len, listed_marks), default=1)
    if min(map(len, listed_marks), default=1) < annotators:  # who did not see a clip gives 0
        listed_marks = [[*mark, *[0] * (annotators - len(mark))] for mark in listed_marks]
    flat_marks = np.array(listed_marks)
    row = np.repeat(np.arange(len(clips)), [len(listed) for listed in clips])
    inside = (flat_clips >= 0) & (flat_clips < n_clips[row])
    saliency = np.zeros((len(clips), max(1, n_clips.max()), annotators), np.int8)
    saliency[row[inside], flat_clips[inside]] = flat_marks[inside] if len(flat_marks) else 0
    return saliency, int((~inside).sum())


def pooled_windows(
    rows: Sequence[Sequence[Prediction]], rules: Rules
) -> tuple[Floats, NDArray[np.int64], Floats]:
    """Windows of each query, best first: (Q, K, 2) NaN-padded, their count (Q,), and the R1 window (Q, 2).

    Official: the first ten of each row in file order, then by score; R1 is the first of the last row in
    file order. Corrected: by score, then the best ten; R1 is the best. Windows without scores keep their
    order.
    """
    kept: list[list[list[float]]] = []
    top = np.full((len(rows), 2), np.nan)
    for index, group in enumerate(rows):
        pool: list[list[float]] = []
        for prediction in group:
            listed = prediction.windows or []
            pool += listed[:WINDOWS_KEPT] if rules.official else listed
        ordered = sorted(pool, key=_descending_score)
        kept.append(ordered if rules.official else ordered[:WINDOWS_KEPT])
        first = (group[-1].windows or []) if rules.official and group else ordered
        if first:
            top[index] = first[0][:2]
    counts = np.array([len(pool) for pool in kept], np.int64)
    windows = np.full((len(rows), max(1, counts.max(initial=0)), 2), np.nan)
    for index, pool in enumerate(kept):
        if pool:
            windows[index, : len(pool)] = [window[:2] for window in pool]
    return windows, counts, top


def _descending_score(window: Sequence[float]) -> float:
    """Sort key: best first; a window without a score, and one whose score is NaN, ranks last among its
    row's."""
    return -window[2] if len(window) == 3 and window[2] == window[2] else np.inf


def retrieval_values(
    windows: Floats, counts: NDArray[np.int64], top: Floats, truth_windows: Floats, rules: Rules
) -> tuple[Floats, Floats]:
    """(Q, T) R1 hits and (Q, T) average precisions against ``truth_windows`` (Q, G, 2), NaN where padded."""
    real = np.isfinite(truth_windows[..., 0]) & np.isfinite(truth_windows[..., 1])  # (Q, G)
    shape = (len(windows), windows.shape[1], truth_windows.shape[1])
    predicted, truth = windows[:, :, None, :], truth_windows[:, None, :, :]
    overlap = intervals.union_iou(predicted, truth)
    if rules.official:
        overlap = np.where(np.isnan(overlap), np.inf, overlap)  # the scorer counts a NaN overlap as a hit
    else:
        overlap = intervals.clean(overlap, predicted, truth)
    present = np.arange(shape[1]) < counts[:, None]
    overlap = np.where(present[:, :, None] & real[:, None, :], overlap, -np.inf)
    precision = average_precision(overlap, real.sum(-1))

    top_overlap = intervals.union_iou(top[:, None], truth_windows)
    chosen_by = np.where(real, np.where(np.isnan(top_overlap), np.inf, top_overlap), -np.inf)
    if not rules.official:
        chosen_by = np.where(real, intervals.clean(top_overlap, top[:, None], truth_windows), -np.inf)
    chosen = truth_windows[np.arange(shape[0]), chosen_by.argmax(1)]
    paired = intervals.hull_iou(top, chosen)  # 0/0 is 0 here, unlike above
    paired = np.nan_to_num(paired, nan=0.0) if rules.official else intervals.clean(paired, top, chosen)
    hits = paired[:, None] >= np.asarray(THRESHOLDS)
    return hits.astype(np.float64), precision


def average_precision(overlap: Floats, n_truth: NDArray[np.int64]) -> Floats:
    """(Q, K, G) overlaps of ranked windows -> (Q, T) area under the interpolated precision-recall curve.

    Each window, best rank first, takes the free true window it overlaps most (of equals the later one), if
    that reaches the threshold; a second hit on a taken window is a false positive. -inf marks padding.
    """
    queries, ranks, truths = overlap.shape
    thresholds = np.asarray(THRESHOLDS)
    hits = np.zeros((queries, ranks, len(thresholds)))
    backwards = overlap[:, :, ::-1]  # argmax then finds the later of equal overlaps
    taken = np.zeros((queries, len(thresholds), truths), bool)
    for rank in range(ranks):
        reachable = backwards[:, rank, None, :] >= thresholds[:, None]
        candidate = np.where(reachable & ~taken, backwards[:, rank, None, :], -np.inf)
        best = candidate.argmax(-1)  # (Q, T)
        hit = np.take_along_axis(candidate, best[..., None], -1)[..., 0] > -np.inf
        hits[:, rank] = hit
        query, threshold = np.nonzero(hit)
        taken[query, threshold, best[query, threshold]] = True
    precision = hits.cumsum(1) / np.arange(1, ranks + 1)[:, None]
    interpolated = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    return (hits * interpolated).sum(1) / np.maximum(n_truth, 1)[:, None]


def highlight_values(
    saliency: Sequence[Sequence[float] | None], truth: Truth, rules: Rules
) -> tuple[Floats, Floats]:
    """(Q, E) average precision, mean over annotators, and (Q, E) HIT@1; 0 for a query without a list."""
    queries, clips, _ = truth.saliency.shape
    scores = np.zeros((queries, clips))
    top = np.full(queries, clips)  # past every clip: a miss
    for index, listed in enumerate(saliency):
        if not listed:
            continue
        given, length = saliency_list(listed, truth.ids[index]), int(truth.n_clips[index])
        known = given[:length]
        # The official scorer pads with 0, above negative scores; a clip without a score ranks below all
        # others here.
        padding = 0.0 if rules.official else known.min(initial=0.0) - 1.0
        scores[index, :length] = padding
        scores[index, : len(known)] = known
        # Official: the maximum is looked for before the list is cut, so it can be past the last clip.
        top[index] = given.argmax() if rules.official else known.argmax() if length else clips
    listed_any = np.array([bool(listed) for listed in saliency])
    levels = np.asarray([level for _, level in LEVELS])
    positive = truth.saliency[..., None] >= levels  # (Q, C, A, E)
    precision = ranked_precision(scores, positive, truth.n_clips).mean(1)
    within = top < truth.n_clips
    marked = positive[np.arange(queries), np.where(within, top, 0)].any(1)  # (Q, E)
    hits = (marked & within[:, None]).astype(np.float64)
    return np.where(listed_any[:, None], precision, 0.0), hits


def ranked_precision(scores: Floats, positive: NDArray[np.bool_], n_clips: NDArray[np.int64]) -> Floats:
    """(Q, C) scores and (Q, C, A, E) labels -> (Q, A, E) average precision over distinct score values.

    Clips of one score are one step. The precision at a step is the best at it or any lower score; the
    result is the plain mean over the steps that find a positive clip (not weighted by how many), 0 where
    none is positive.
    """
    queries, clips = scores.shape
    exists = np.arange(clips) < n_clips[:, None]
    order = np.argsort(np.where(exists, -scores, np.inf), axis=1, kind="stable")
    ranked = np.take_along_axis(scores, order, 1)
    ends = np.ones((queries, clips), bool)
    ends[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    last = np.maximum(n_clips - 1, 0)
    ends[np.arange(queries), last] = True
    ends &= exists
    rows = np.arange(queries)[:, None]
    found = (positive[rows, order] & exists[:, :, None, None]).cumsum(1, dtype=np.int16)  # (Q, C, A, E)
    at_end = ends[:, :, None, None]
    precision = np.where(at_end, found / np.arange(1, clips + 1)[:, None, None], 0.0)
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # found at the step before: the running maximum of what earlier steps had found
    steps = np.maximum.accumulate(np.where(at_end, found, 0), axis=1)
    before = np.zeros_like(steps)
    before[:, 1:] = steps[:, :-1]
    rising = at_end & (found > before)
    count = rising.sum(1)
    return (precision * rising).sum(1) / np.maximum(count, 1)


def score_predictions(predictions: Sequence[Prediction], records: Sequence[Record], rules: Rules) -> Scored:
    """All metrics of the benchmark. Of two rows on one query the last counts; the official scorer pools
    their windows
    for mAP and takes the last for the rest."""
    if any(prediction.id is None and prediction.query is None for prediction in predictions):
        raise DataError("a prediction row has no qid (or id), which QVHighlights predictions are matched by.")
    matched = match(predictions, records, rules)
    truth = truth_of(matched.records)
    groups = [matched.rows.get(identifier, []) for identifier in truth.ids]
    coverage = coverage_of(truth.ids, matched.rows.keys(), rules, matched.extra)
    # The official scorer looks at the keys of the first row only.
    looked_at = predictions[:1] if rules.official else predictions
    with_windows = not predictions or any(row.windows is not None for row in looked_at)
    with_saliency = not predictions or any(row.saliency is not None for row in looked_at)
    if not (with_windows or with_saliency):
        raise DataError("the predictions hold neither windows nor saliency scores; see docs/predictions.md.")
    values: dict[str, Floats] = {}
    notes = list(truth.notes)
    unusable: list[Unusable] = []
    if with_windows:
        retrieval, unusable = _retrieval(groups, truth, rules)
        values.update(retrieval)
    else:
        notes.append("No predicted windows: moment retrieval is not scored.")
    if with_saliency:
        values.update(_highlights(groups, truth, rules))
    else:
        notes.append("No saliency scores: highlight detection is not scored.")
    absent = np.array([not group for group in groups])
    for name, column in values.items():
        values[name] = np.where(absent & ~np.isnan(column), rules.absent_value, column)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    notes += [*(entry.sentence(rules) for entry in unusable), *repeated_note(matched.repeated)]
    return Scored(values, coverage, tuple(notes))


def _retrieval(
    groups: Sequence[Sequence[Prediction]], truth: Truth, rules: Rules
) -> tuple[dict[str, Floats], list[Unusable]]:
    windows, counts, top = pooled_windows(groups, rules)
    predicted = np.array([bool(group) for group in groups])
    latest = float(np.nanmax(truth.windows, initial=0.0))
    unusable = unusable_windows(truth.ids, windows, counts, truth.last, latest, predicted=predicted)
    length = truth.windows[..., 1] - truth.windows[..., 0]  # (Q, G)
    real = np.arange(truth.windows.shape[1]) < truth.n_windows[:, None]
    values = {}
    for suffix, over, up_to in (("", -np.inf, np.inf), *LENGTHS):
        fits = real & (length > over) & (length <= up_to) if suffix else real
        members = fits.any(1)
        column = np.full((len(groups), 2, len(THRESHOLDS)), np.nan)
        if members.any():
            chosen = np.where(fits[..., None], truth.windows, np.nan)[members]
            hits, precision = retrieval_values(windows[members], counts[members], top[members], chosen, rules)
            column[members] = np.stack([hits, precision], 1)
        for index, threshold in enumerate(THRESHOLDS):
            values[f"R1@{threshold}{suffix}"] = column[:, 0, index]
            values[f"mAP@{threshold}{suffix}"] = column[:, 1, index]
        values[f"mAP{suffix}"] = column[:, 1].mean(-1)
    return values, unusable


def _highlights(groups: Sequence[Sequence[Prediction]], truth: Truth, rules: Rules) -> dict[str, Floats]:
    saliency = [group[-1].saliency if group else None for group in groups]
    precision, hits = highlight_values(saliency, truth, rules)
    # scores that fit no windows were not asked for; who gives some anyway is scored
    counts = truth.scored | np.array([listed is not None for listed in saliency])
    values = {}
    for index, (suffix, _) in enumerate(LEVELS):
        values[f"HL-mAP{suffix}"] = np.where(counts, precision[:, index], np.nan)
        values[f"HIT@1{suffix}"] = np.where(counts, hits[:, index], np.nan)
    return values
