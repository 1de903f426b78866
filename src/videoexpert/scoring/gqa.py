"""Grounded question answering: IoP, IoU, Acc@QA and Acc@GQA (NExT-GQA), and plain Acc@QA (NExT-QA)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import windows as intervals
from ..annotations.records import Record
from ..errors import DataError
from .choices import chosen
from .matching import annotated_windows, match
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, best_window
from .unusable import Unusable, last_second, unusable_items, unusable_windows

THRESHOLDS = (0.3, 0.5)
GROUNDED_AT = 0.5  # Acc@GQA counts an answer whose window has at least this IoP
# NExT-QA's question types by the groups its papers report
TYPE_GROUPS = {
    "why": ("CW",),
    "how": ("CH",),
    "before-after": ("TP", "TN"),
    "when": ("TC",),
    "causal": ("CW", "CH"),
    "temporal": ("TP", "TN", "TC"),
    "descriptive": ("DC", "DL", "DO"),
}
Floats = NDArray[np.float64]


def are_fractions(predictions: Iterable[Prediction]) -> bool:
    """Whether spans are fractions of the duration: every boundary in [0, 1] and at least one span longer
    than 0.

    NExT-GQA's grounding code writes either; its scorer has a switch for it. No system that answers in seconds
    stays below one second throughout.
    """
    spans = [window for prediction in predictions for window in prediction.windows or []]
    return any(window[0] < window[1] for window in spans) and all(
        0 <= bound <= 1 for window in spans for bound in window[:2]
    )


def grounding_values(
    records: Sequence[Record],
    predictions: Mapping[str, Sequence[Prediction]],
    rules: Rules,
    fractions: bool,
) -> tuple[Floats, Floats, list[Unusable]]:
    """(Q,) best IoU and (Q,) best IoP over a question's segments, and what is wrong with the spans; 0 where nothing
    overlaps or nothing is predicted.

    Each takes its own best segment; segments are never merged.
    """
    truth, _ = annotated_windows(records)
    predicted = np.full((len(records), 1, 2), np.nan)
    counts = np.zeros(len(records), np.int64)
    for row, record in enumerate(records):
        rows = predictions.get(record.id)
        window = best_window(rows[-1], by_score=not rules.official) if rows else None
        if window is not None:
            predicted[row, 0] = window
            counts[row] = 1
    durations = np.array([record.duration_s for record in records], np.float64)
    if fractions:
        predicted *= durations[:, None, None]
        if rules.official:
            predicted = np.round(predicted, 1)  # the official scorer rounds rescaled spans to 0.1 s
    iou = intervals.clean(intervals.hull_iou(predicted, truth), predicted, truth)
    iop = intervals.clean(intervals.iop(predicted, truth), predicted, truth)
    told = np.array([record.id in predictions for record in records])
    ids = [record.id for record in records]
    latest = float(np.nanmax(truth, initial=0.0))
    last = np.array([last_second(record) for record in records])
    unusable = unusable_windows(ids, predicted, counts, last, latest, predicted=told, points=True)
    return iou.max(1), iop.max(1), unusable


def is_right(prediction: Prediction, record: Record, rules: Rules) -> bool | None:
    """Whether the chosen option is right; None where nothing says which option is.

    Official: the result file's own "answer" and "prediction" compared as stored ("1" is not 1). Corrected:
    the question file decides; without it the two answers of the result file are compared as options.
    """
    if rules.official and prediction.truth is not None:
        return bool(prediction.truth == prediction.choice)
    choice = chosen(prediction.choice, record.options)
    if record.options:
        return choice in record.right
    if prediction.truth is None:
        return None
    if choice is None:
        return bool(prediction.truth == prediction.choice)
    return choice == chosen(prediction.truth, ())


def unusable_answers(pairs: Sequence[tuple[Record, Prediction]], rules: Rules) -> list[Unusable]:
    """Answers that name no option, or that the official scorer does not recognise in the form they have."""
    named = [(record, row, chosen(row.choice, record.options)) for record, row in pairs]
    none = [record.id for record, _, choice in named if record.options and choice is None]
    found = unusable_items("answers", "name none of the options", none, len(pairs))
    if rules.official:
        other = [
            record.id
            for record, row, choice in named
            if row.truth is not None
            and row.truth != row.choice
            and choice is not None
            and choice == chosen(row.truth, record.options)
        ]
        reason = "have another form than the right answer beside them"
        found += unusable_items("answers", reason, other, len(pairs))
    return found


def accuracy_values(correct: Floats, kinds: Sequence[str]) -> dict[str, Floats]:
    """Acc@QA and its groups from (Q,) correctness (NaN: not counted) and question types."""
    values = {"Acc@QA": correct}
    present = set(kinds)
    for group, members in TYPE_GROUPS.items():
        if present & set(members):
            inside = np.array([kind in members for kind in kinds])
            values[f"Acc@QA/{group}"] = np.where(inside, correct, np.nan)
    return values


def score_grounded(
    records: Sequence[Record],
    grounding: Sequence[Prediction],
    answers: Sequence[Prediction] | None,
    rules: Rules,
) -> Scored:
    """NExT-GQA. ``answers`` None: the grounding rows hold the answers, or there are none.

    Where the records come with their questions, Acc@QA is over those.
    """
    told = grounding if answers is None else answers
    spans = match(_named([row for row in grounding if row.windows is not None]), records, rules)
    given = match(_named([row for row in told if row.choice is not None]), records, rules)
    records = [r for r in records if r.asked or r.id in spans.rows or r.id in given.rows]
    fractions = are_fractions(row for row in grounding if row.windows is not None)
    iou, iop, unusable = grounding_values(records, spans.rows, rules, fractions)
    absent = np.array([record.id not in spans.rows for record in records])
    correct, notes = _correctness(records, given.rows, rules)
    values: dict[str, NDArray[Any]] = {}
    for name, overlap in (("IoP", iop), ("IoU", iou)):
        values |= {f"{name}@{threshold}": (overlap >= threshold) * 1.0 for threshold in THRESHOLDS}
        values[f"m{name}"] = overlap
    if correct is not None:
        values["Acc@GQA"] = ((iop >= GROUNDED_AT) & (correct == 1.0)) * 1.0
    values = {name: np.where(absent, rules.absent_value, column) for name, column in values.items()}
    if correct is not None:
        if any(record.options for record in records):
            correct = np.where([bool(record.options) for record in records], correct, np.nan)
        values |= accuracy_values(correct, [record.kind for record in records])
        unusable += unusable_answers(given.pairs, rules)
    if fractions:
        notes.append("Every span lies in [0, 1]: read as fractions of the duration.")
    notes += [*(entry.sentence(rules) for entry in unusable), *repeated_note(spans.repeated)]
    if answers is not None:
        notes += repeated_note(given.repeated)
    coverage = coverage_of([record.id for record in records], spans.rows.keys(), rules, spans.extra)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    if given.rows:
        coverage["answers_missing"] = sum(record.id not in given.rows for record in records)
    return Scored(values, coverage, tuple(notes))


def _named(rows: list[Prediction]) -> list[Prediction]:
    """The rows. Raises DataError for one that names no question."""
    if any(row.id is None and row.query is None for row in rows):
        raise DataError("predictions need an id of the form <video>_<qid>; one has none.")
    return rows


def _correctness(
    records: Sequence[Record], given: Mapping[str, Sequence[Prediction]], rules: Rules
) -> tuple[Floats | None, list[str]]:
    """(Q,) 1 right, 0 wrong, ``absent_value`` where unanswered; None with a note where nothing can be
    judged."""
    if not given:
        return None, [
            "No answers: Acc@QA and Acc@GQA are not scored (the official scorer prints 0 for Acc@GQA)."
        ]
    with_questions = any(record.options for record in records)
    correct = np.full(len(records), rules.absent_value)
    for index, record in enumerate(records):
        if record.id in given:
            right = is_right(given[record.id][-1], record, rules)
            if right is None and not with_questions:
                return None, [
                    f"Acc@QA and Acc@GQA need the right answers: pass --questions ({record.id} has none)."
                ]
            correct[index] = bool(right)
    return correct, []


def score_choices(records: Sequence[Record], answers: Sequence[Prediction], rules: Rules) -> Scored:
    """NExT-QA: Acc@QA over all questions of the CSV, in all and by type.

    Raises DataError for open-ended questions, whose answers nothing here can judge.
    """
    if records and not any(record.options for record in records):
        raise DataError("the questions are open-ended (no a0 to a4), expected multiple-choice questions.")
    matched = match(_named([row for row in answers if row.choice is not None]), records, rules)
    correct = np.full(len(matched.records), rules.absent_value)
    for index, record in enumerate(matched.records):
        if record.id in matched.rows:
            correct[index] = is_right(matched.rows[record.id][-1], record, rules)
    unusable = unusable_answers(matched.pairs, rules)
    ids = [record.id for record in matched.records]
    coverage = coverage_of(ids, matched.rows.keys(), rules, matched.extra)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    notes = [*(entry.sentence(rules) for entry in unusable), *repeated_note(matched.repeated)]
    values = accuracy_values(correct, [record.kind for record in matched.records])
    return Scored(values, coverage, tuple(notes))
