"""Highlights of whole videos: mean average precision over their clips (TVSum, YouTube Highlights).

As lighthouse and UMT report them. Of TVSum only the five best clips count, for each annotator on its own: a clip is
a highlight for who gave it more than their own median. Of YouTube Highlights all clips count, and a video without
any highlight is left out. A video's value is the area under precision over recall by trapezoids, from precision 1;
recall is of the highlights among the clips that count. The benchmark's value is the mean over domains of the means
over videos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..annotations.records import Record
from .matching import match
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, saliency_list
from .unusable import unusable_items

BEST = 5  # clips that count in TVSum
Floats = NDArray[np.float64]


def score_clips(
    predictions: Sequence[Prediction], records: Sequence[Record], rules: Rules, best: int | None
) -> Scored:
    """mAP in all and by domain.

    best  how many of the best clips count, against each annotator's own median; None: all clips, against labels 0
          and 1

    Official: clips that a list is too short for are left out of the ranking. Corrected: they rank last.
    Raises DataError for scores that are not finite numbers.
    """
    matched = match(predictions, records, rules)
    values = np.full(len(matched.records), rules.absent_value)
    silent, uneven = [], []
    for index, record in enumerate(matched.records):
        if not record.asked:  # labels that pair up with no clips
            values[index] = np.nan
            continue
        positive = _highlights(record, best)
        if best is None and not positive.any():
            values[index] = np.nan
        elif record.id in matched.rows:
            listed = matched.rows[record.id][-1].saliency
            if not listed:
                silent.append(record.id)
                values[index] = 0.0
                continue
            given = saliency_list(listed, record.id)
            if len(given) != len(positive):
                uneven.append(record.id)
            values[index] = _mean_precision(given, positive, rules, best)
    kinds = np.array([record.kind for record in matched.records])
    by_domain = {f"mAP/{kind}": np.where(kinds == kind, values, np.nan) for kind in dict.fromkeys(kinds)}
    means = [column[~np.isnan(column)].mean() for column in by_domain.values() if not np.isnan(column).all()]
    overall = float(np.mean(means) * 100) if means else None
    total = len(matched.rows)
    unusable = [
        *unusable_items("predictions", "hold no saliency scores", silent, total),
        *unusable_items(
            "saliency lists", "have more or fewer scores than their video has clips", uneven, total
        ),
    ]
    coverage = coverage_of([r.id for r in matched.records], matched.rows.keys(), rules, matched.extra)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    notes = (*(entry.sentence(rules) for entry in unusable), *repeated_note(matched.repeated))
    return Scored(by_domain, coverage, notes, {"mAP": overall})


def _highlights(record: Record, best: int | None) -> NDArray[np.bool_]:
    """(C, A) which clips are highlights for which annotator."""
    marks = np.asarray(record.marks, np.float64)
    if best is None:
        return marks > 0
    # of an even number of clips the lower of the two in the middle
    return marks > np.sort(marks, axis=0)[(len(marks) - 1) // 2]


def _mean_precision(given: Floats, positive: NDArray[np.bool_], rules: Rules, best: int | None) -> float:
    """Mean over annotators of the average precision of one ranking of the clips."""
    clips = len(positive)
    known = given[:clips]
    if not rules.official and len(known) < clips:
        known = np.concatenate([known, np.full(clips - len(known), known.min() - 1.0)])
    ranked = positive[np.argsort(-known, kind="stable")][:best]
    return float(np.mean([trapezoid_precision(column) for column in ranked.T]))


def trapezoid_precision(ranked: NDArray[np.bool_]) -> float:
    """Area under precision over recall of ranked hits, by trapezoids that begin at precision 1; 0 without a hit."""
    hits = ranked.cumsum()
    if not len(hits) or not hits[-1]:
        return 0.0
    precision = hits / np.arange(1, len(hits) + 1)
    before = np.concatenate([[1.0], precision[:-1]])
    return float(((before + precision) / 2)[ranked].sum() / hits[-1])
