"""Temporal grounding with one true moment per query: R1@0.3, R1@0.5, R1@0.7 and mIoU (Charades-STA,
ActivityNet, TACoS)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .. import windows as intervals
from ..annotations.records import Record
from ..errors import DataError
from .matching import annotated_windows, match
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, best_window
from .unusable import Unusable, last_second, unusable_items, unusable_windows

THRESHOLDS = (0.3, 0.5, 0.7)
# VTimeLLM reads exactly two digits; whoever answers 5, 100 or 10.5 percent is misread or not read at all.
_OFFICIAL_ANSWER = re.compile(r"(\d{2}) (?:to|and) (\d{2})")
_ANSWER = re.compile(
    r"(?<![\d.])(\d+(?:\.\d+)?)\s*%?\s*(?:to|and|-|–)\s*(?:frames?\s*)?(\d+(?:\.\d+)?)(?![\d])", re.I
)


def window_in_answer(answer: str, official: bool) -> tuple[float, float] | None:
    """Window as fractions of the duration in a VTimeLLM answer ("from 28 to 71"); None where there is none.

    The corrected reading takes one to three digits, decimals, dashes, any case; numbers above 100 are no
    percentages.
    """
    if official:
        found = _OFFICIAL_ANSWER.search(answer)
        return (int(found[1]) / 100, int(found[2]) / 100) if found else None
    for found in _ANSWER.finditer(answer):
        start, end = float(found[1]), float(found[2])
        if max(start, end) <= 100:
            return start / 100, end / 100
    return None


def pair_ious(pairs: Sequence[tuple[Record, Prediction]], rules: Rules) -> NDArray[np.float64]:
    """(pairs,) IoU of each query's top window (with the true window it fits best); 0 where the system gave
    none.

    The official scorers divide 0 by 0 where prediction and truth are the same point and stop there; that
    is 0 here.
    """
    truth, _ = annotated_windows([query for query, _ in pairs])
    predicted = np.full((len(pairs), 1, 2), np.nan)
    for row, (query, prediction) in enumerate(pairs):
        window: Sequence[float] | None
        if prediction.log_answer is None:
            window = best_window(prediction, by_score=not rules.official)
        elif query.duration_s:
            truth[row] /= query.duration_s
            window = window_in_answer(prediction.log_answer, rules.official)
        else:
            raise DataError(
                f"query {query.id!r} has no duration, which a VTimeLLM log needs; "
                "expected annotations with 'duration', such as ActivityNet Captions."
            )
        if window is not None:
            predicted[row, 0] = window
    ious = intervals.clean(intervals.hull_iou(predicted, truth), predicted, truth).max(1)
    if rules.official:
        for row, (_, prediction) in enumerate(pairs):
            if prediction.log_answer is not None:  # VTimeLLM stores the IoU rounded and counts that
                logged = prediction.log_iou
                ious[row] = round(float(ious[row]), 2) if logged is None else logged
    return ious


def score_queries(predictions: Sequence[Prediction], records: Sequence[Record], rules: Rules) -> Scored:
    """R1 at the thresholds and mIoU, values per query in the order of the annotations."""
    matched = match(predictions, records, rules)
    pairs = matched.pairs
    covered = matched.rows.keys()
    absent = len(matched.records) - len(covered)
    ious = np.concatenate([pair_ious(pairs, rules), np.full(absent, rules.absent_value)])
    values = {
        f"R1@{threshold}": np.where(np.isnan(ious), np.nan, ious >= threshold) for threshold in THRESHOLDS
    }
    coverage = coverage_of([record.id for record in matched.records], covered, rules, matched.extra)
    unusable = unusable_predictions(pairs)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    notes = (
        *_truth_notes(matched.records),
        *(entry.sentence(rules) for entry in unusable),
        *repeated_note(matched.repeated),
    )
    return Scored({**values, "mIoU": ious}, coverage, notes)


def unusable_predictions(pairs: Sequence[tuple[Record, Prediction]]) -> list[Unusable]:
    """Best windows that cannot count, and answers in text that hold none."""
    plain = [(record, row) for record, row in pairs if row.log_answer is None]
    best = [best_window(row, by_score=True) for _, row in plain]
    windows = np.array([window or (np.nan, np.nan) for window in best], np.float64).reshape(-1, 1, 2)
    counts = np.array([window is not None for window in best], np.int64)
    ends = [end for record, _ in pairs for _, end in record.windows]
    spoken = [
        record.id
        for record, row in pairs
        if row.log_answer is not None and window_in_answer(row.log_answer, official=False) is None
    ]
    return [
        *unusable_items("answers", "name no window", spoken, len(pairs)),
        *unusable_windows(
            [record.id for record, _ in plain],
            windows,
            counts,
            np.array([last_second(record) for record, _ in plain], np.float64),
            max(ends, default=0.0),
            predicted=np.ones(len(plain), bool),
        ),
    ]


def _truth_notes(records: Sequence[Record]) -> list[str]:
    unaskable = sum(not record.asked for record in records)
    if not unaskable:
        return []
    return [f"{unaskable} predictions are about annotations that no answer can hit (reversed or empty)."]
