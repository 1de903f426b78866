"""QVHighlights: moment retrieval (R1, mAP, by length) and highlight detection (HL-mAP, HIT@1).

Letters: Q queries, K predicted windows kept (10), G true windows, T IoU thresholds, C clips of 2 s, A
annotators, E saliency levels. Everything is one pass over padded arrays; only the rank K is a loop,
because a window that is matched is taken. Source: Lei et al. 2021 (QVHighlights) and the rules of its
evaluation program.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import windows as intervals
from ..errors import DataError
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, read_predictions, read_rows

THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
WINDOWS_KEPT = 10
CLIP_S = 2
# (suffix, longer than, up to) in seconds; a query is in a split with those of its windows that fit
LENGTHS = (("/short", 0, 10), ("/middle", 10, 30), ("/long", 30, 150))
LEVELS = (("", 4), ("/good", 3), ("/fair", 2))  # the field reports Very Good without a suffix
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Truth:
    """Ground truth of Q queries, padded.

    windows     (Q, G, 2) seconds; NaN where padded (``n_windows`` (Q,) are real)
    saliency    (Q, C, A) annotators' scores 0 to 4; 0 for clips nobody marked
    n_clips     (Q,) clips in the video
    notes       what was left out of the file
    """

    ids: tuple[str, ...]
    windows: Floats
    n_windows: NDArray[np.int64]
    saliency: NDArray[np.int8]
    n_clips: NDArray[np.int64]
    notes: tuple[str, ...] = ()


def read_truth(path: Path) -> Truth:
    """``highlight_{train,val}_release.jsonl``, plain or gzip. Raises DataError for files without labels."""
    return truth_of(read_rows(path), str(path))


def truth_of(rows: Sequence[dict[str, Any]], where: str) -> Truth:
    """Padded arrays of annotation rows ``qid, duration, relevant_windows, relevant_clip_ids,
    saliency_scores``."""
    if not rows:
        raise DataError(f"{where} holds no query, expected QVHighlights annotations.")
    for row in rows:
        lacking = {"qid", "duration", "relevant_windows"} - row.keys()
        if lacking:
            raise DataError(
                f"{where} has a row without {', '.join(sorted(lacking))}; expected a labelled split "
                "(train or val), the test split is scored by the benchmark's server."
            )
    ids = tuple(str(row["qid"]) for row in rows)
    if len(set(ids)) != len(ids):
        raise DataError(f"{where} names a qid twice, expected one row for each query.")
    try:
        windows, n_windows = _padded_windows(rows)
        n_clips = np.array([int(row["duration"] / CLIP_S) for row in rows])
        clips = [row.get("relevant_clip_ids") or [] for row in rows]
        marks = [row.get("saliency_scores") or [] for row in rows]
        saliency, beyond = _padded_saliency(clips, marks, n_clips)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{where} has a record that cannot be read ({error}); expected QVHighlights rows."
        ) from None
    notes = (f"{beyond} annotated clips lie past the end of their video and are left out.",) if beyond else ()
    return Truth(ids, windows, n_windows, saliency, n_clips, notes)


def _padded_windows(rows: Sequence[dict[str, Any]]) -> tuple[Floats, NDArray[np.int64]]:
    counts = np.array([len(row["relevant_windows"]) for row in rows], np.int64)
    windows = np.full((len(rows), max(1, counts.max()), 2), np.nan)
    real = np.arange(windows.shape[1]) < counts[:, None]
    listed = [window for row in rows for window in row["relevant_windows"]]
    windows[real] = np.array(listed, np.float64).reshape(-1, 2)
    return windows, counts


def _padded_saliency(
    clips: Sequence[Sequence[int]], marks: Sequence[Sequence[Sequence[int]]], n_clips: NDArray[np.int64]
) -> tuple[NDArray[np.int8], int]:
    """(Q, C, A) scores and the number of clips left out because they lie past the end of their video."""
    counts = [len(listed) for listed in clips]
    if counts != [len(listed) for listed in marks]:
        raise ValueError("relevant_clip_ids and saliency_scores differ in length")
    flat_clips = np.array([clip for listed in clips for clip in listed], np.int64)
    flat_marks = np.array([mark for listed in marks for mark in listed])  # ValueError where annotators differ
    row = np.repeat(np.arange(len(clips)), counts)
    inside = (flat_clips >= 0) & (flat_clips < n_clips[row])
    annotators = flat_marks.shape[1] if len(flat_marks) else 1
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
        given, length = _saliency_list(listed, truth.ids[index]), int(truth.n_clips[index])
        known = given[:length]
        # The official scorer pads with 0, above negative scores; a clip without a score ranks below all
        # others here.
        padding = 0.0 if rules.official else known.min(initial=0.0) - 1.0
        scores[index, :length] = padding
        scores[index, : len(known)] = known
        # Official: the maximum is looked for before the list is cut, so it can lie past the last clip.
        top[index] = given.argmax() if rules.official else known.argmax() if length else clips
    listed_any = np.array([bool(listed) for listed in saliency])
    levels = np.asarray([level for _, level in LEVELS])
    positive = truth.saliency[..., None] >= levels  # (Q, C, A, E)
    precision = ranked_precision(scores, positive, truth.n_clips).mean(1)
    within = top < truth.n_clips
    marked = positive[np.arange(queries), np.where(within, top, 0)].any(1)  # (Q, E)
    hits = (marked & within[:, None]).astype(np.float64)
    return np.where(listed_any[:, None], precision, 0.0), hits


def _saliency_list(listed: Sequence[float], identifier: str) -> Floats:
    try:
        given = np.asarray(listed, np.float64)
    except (TypeError, ValueError):
        given = np.array([np.nan])
    if given.ndim != 1 or not np.isfinite(given).all():
        raise DataError(
            f"qid {identifier} has saliency scores that are not finite numbers; expected one each clip."
        )
    return given


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


def score_predictions(predictions: Sequence[Prediction], truth: Truth, rules: Rules) -> Scored:
    """All metrics of the benchmark. Of two rows on one query the last counts; the official scorer pools
    their windows
    for mAP and takes the last for the rest."""
    known = set(truth.ids)
    rows: dict[str, list[Prediction]] = {}
    for prediction in predictions:
        if prediction.id is None:
            raise DataError(
                "a prediction row has no qid (or id), which QVHighlights predictions are matched by."
            )
        rows.setdefault(prediction.id, []).append(prediction)
    repeated = sum(len(group) > 1 for group in rows.values())
    if not rules.official:
        rows = {identifier: group[-1:] for identifier, group in rows.items()}
    groups = [rows.get(identifier, []) for identifier in truth.ids]
    coverage = coverage_of(truth.ids, rows.keys() & known, rules, rows.keys() - known)
    # The official scorer looks at the keys of the first row only.
    looked_at = predictions[:1] if rules.official else predictions
    with_windows = not predictions or any(row.windows is not None for row in looked_at)
    with_saliency = not predictions or any(row.saliency is not None for row in looked_at)
    if not (with_windows or with_saliency):
        raise DataError("the predictions hold neither windows nor saliency scores; see docs/predictions.md.")
    values: dict[str, Floats] = {}
    notes = list(truth.notes) + repeated_note(repeated)
    if with_windows:
        values.update(_retrieval(groups, truth, rules))
    else:
        notes.append("No predicted windows: moment retrieval is not scored.")
    if with_saliency:
        values.update(_highlights(groups, truth, rules))
    else:
        notes.append("No saliency scores: highlight detection is not scored.")
    absent = np.array([not group for group in groups])
    for name, column in values.items():
        values[name] = np.where(absent & ~np.isnan(column), rules.absent_value, column)
    return Scored(values, coverage, tuple(notes))


def _retrieval(groups: Sequence[Sequence[Prediction]], truth: Truth, rules: Rules) -> dict[str, Floats]:
    windows, counts, top = pooled_windows(groups, rules)
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
    return values


def _highlights(groups: Sequence[Sequence[Prediction]], truth: Truth, rules: Rules) -> dict[str, Floats]:
    saliency = [group[-1].saliency if group else None for group in groups]
    precision, hits = highlight_values(saliency, truth, rules)
    values = {}
    for index, (suffix, _) in enumerate(LEVELS):
        values[f"HL-mAP{suffix}"] = precision[:, index]
        values[f"HIT@1{suffix}"] = hits[:, index]
    return values


def score_files(predictions: Path, annotations: Path, rules: Rules) -> Scored:
    """Score a submission, TimeChat's list of saliency scores, or our own rows against a labelled split."""
    return score_predictions(read_predictions(predictions), read_truth(annotations), rules)
