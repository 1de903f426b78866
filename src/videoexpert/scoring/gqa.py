"""Grounded question answering: IoP, IoU, Acc@QA and Acc@GQA (NExT-GQA), and plain Acc@QA (NExT-QA)."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import windows as intervals
from ..errors import DataError
from .outcome import Rules, Scored, coverage_of, repeated_note
from .predictions import Prediction, best_window, read_json, read_predictions, read_text

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


@dataclass(frozen=True)
class Question:
    """One row of a multiple-choice CSV; ``right`` are the options that equal the answer (two may have one
    text)."""

    id: str
    kind: str
    options: tuple[str, ...]
    right: frozenset[int]


@dataclass(frozen=True)
class Evidence:
    """True segments of one grounded question, in seconds."""

    id: str
    segments: tuple[tuple[float, float], ...]
    duration_s: float


def question_key(video: str, qid: str) -> str:
    """``<video>_<qid>``: the key of NExT-GQA's result files."""
    return f"{video}_{qid}"


def read_questions(path: Path) -> dict[str, Question]:
    """Questions of NExT-QA's or NExT-GQA's multiple-choice CSV by key, in file order.

    NExT-QA's ``answer`` is the option's index, NExT-GQA's its text; a file whose answers are all 0 to 4 holds
    indices. Raises DataError for missing columns, no rows, or an answer that is none of the options.
    """
    lines = csv.reader(io.StringIO(read_text(path)))
    columns = {name: place for place, name in enumerate(next(lines, []))}
    video = "video_id" if "video_id" in columns else "video"
    lacking = {"question", "answer", "qid", "type", "a0", video} - columns.keys()
    rows = [line for line in lines if line]
    uneven = next((row for row in rows if len(row) != len(columns)), None)
    if lacking or not rows:
        raise DataError(
            f"{path} lacks {', '.join(sorted(lacking)) or 'rows'}; "
            "expected the multiple-choice CSV of NExT-QA or NExT-GQA."
        )
    if uneven:
        raise DataError(
            f"{path} has a row of {len(uneven)} fields ({uneven[0]!r} first), expected {len(columns)}."
        )
    places = [columns[name] for name in sorted(columns) if name[:1] == "a" and name[1:].isdigit()]
    at_video, at_qid, at_answer, at_kind = (columns[name] for name in (video, "qid", "answer", "type"))
    by_index = all(row[at_answer] in ("0", "1", "2", "3", "4") for row in rows)
    questions = {}
    for row in rows:
        key = question_key(row[at_video], row[at_qid])
        options = tuple(row[place].strip() for place in places)
        answer = row[at_answer].strip()
        if by_index and int(answer) < len(options):
            answer = options[int(answer)]
        right = frozenset(index for index, option in enumerate(options) if option == answer)
        if not right:
            raise DataError(f"{path} question {key} has the answer {answer!r}, which is none of its options.")
        if key in questions:
            raise DataError(f"{path} holds question {key} twice, expected each (video, qid) once.")
        questions[key] = Question(key, row[at_kind], options, right)
    return questions


def read_evidence(path: Path) -> list[Evidence]:
    """Grounded questions of ``gsub_*.json`` in file order. Raises DataError for another form or none."""
    content = read_json(path)
    try:
        evidence = [
            Evidence(
                question_key(video, qid),
                tuple((float(start), float(end)) for start, end in segments),
                float(entry["duration"]),
            )
            for video, entry in content.items()
            for qid, segments in entry["location"].items()
        ]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path} has a record that cannot be read ({error!r}); expected NExT-GQA's gsub JSON "
            "(video: duration, location: qid: [[start, end], ...])."
        ) from None
    if not evidence:
        raise DataError(f"{path} holds no grounded question, expected NExT-GQA's gsub JSON.")
    return evidence


def keyed(predictions: Sequence[Prediction], what: str) -> dict[str, Prediction]:
    """Predictions by question key; of a repeated key the last row. Raises DataError for a row without a
    key."""
    if any(prediction.id is None for prediction in predictions):
        raise DataError(f"{what} rows need an id of the form <video>_<qid>; one has none.")
    return {str(prediction.id): prediction for prediction in predictions}


def are_fractions(predictions: Mapping[str, Prediction]) -> bool:
    """Whether spans are fractions of the duration: every boundary in [0, 1] and at least one span longer
    than 0.

    NExT-GQA's grounding code writes either; its scorer is told by a switch. No system that answers in seconds
    stays below one second throughout.
    """
    spans = [window for prediction in predictions.values() for window in prediction.windows or []]
    return any(window[0] < window[1] for window in spans) and all(
        0 <= bound <= 1 for window in spans for bound in window[:2]
    )


def grounding_arrays(
    evidence: Sequence[Evidence], predictions: Mapping[str, Prediction], rules: Rules, fractions: bool
) -> tuple[Floats, Floats]:
    """(Q,) best IoU and (Q,) best IoP over a question's segments; 0 where nothing overlaps or nothing is
    predicted.

    Each takes its own best segment; segments are never merged.
    """
    width = max((len(item.segments) for item in evidence), default=1) or 1
    truth = np.full((len(evidence), width, 2), np.nan)
    predicted = np.full((len(evidence), 1, 2), np.nan)
    for row, item in enumerate(evidence):
        if item.segments:
            truth[row, : len(item.segments)] = item.segments
        prediction = predictions.get(item.id)
        window = best_window(prediction, by_score=not rules.official) if prediction else None
        if window is not None:
            predicted[row, 0] = window
    if fractions:
        predicted *= np.array([item.duration_s for item in evidence])[:, None, None]
        if rules.official:
            predicted = np.round(predicted, 1)  # the official scorer rounds rescaled spans to 0.1 s
    iou = intervals.clean(intervals.hull_iou(predicted, truth), predicted, truth)
    iop = intervals.clean(intervals.iop(predicted, truth), predicted, truth)
    return iou.max(1), iop.max(1)


def is_right(prediction: Prediction, question: Question | None, rules: Rules) -> bool | None:
    """Whether the chosen option is right; None where nothing says which option is.

    Official: the result file's own "answer" and "prediction" compared as stored ("1" is not 1). Corrected:
    the question file decides; without it the two numbers of the result file are compared as numbers.
    """
    if rules.official and prediction.truth is not None:
        return bool(prediction.truth == prediction.choice)
    choice = _option(prediction.choice, question)
    if question is not None:
        return choice in question.right
    if prediction.truth is None:
        return None
    return choice == _option(prediction.truth, None)


def _option(choice: Any, question: Question | None) -> Any:
    """Index of an option given as a number, as digits or as its text; anything else as it is (never
    right)."""
    if isinstance(choice, str):
        text = choice.strip()
        if text.isdigit():
            return int(text)
        texts = [option.strip().casefold() for option in question.options] if question else []
        return texts.index(text.casefold()) if text.casefold() in texts else text
    return int(choice) if isinstance(choice, float) and choice.is_integer() else choice


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
    evidence: Sequence[Evidence],
    grounding: Sequence[Prediction],
    answers: Sequence[Prediction] | None,
    questions: Mapping[str, Question] | None,
    rules: Rules,
) -> Scored:
    """NExT-GQA. ``answers`` None: the answers stand in the grounding rows, or there are none.

    ``questions`` (the CSV) brings the right options and the question types; where it is given, Acc@QA is
    over its questions that are grounded.
    """
    spans = {key: row for key, row in keyed(grounding, "predictions").items() if row.windows is not None}
    repeated = len(grounding) - len({row.id for row in grounding})
    fractions = are_fractions(spans)
    given = keyed(grounding if answers is None else answers, "answers")
    given = {key: row for key, row in given.items() if row.choice is not None}
    keys = [item.id for item in evidence]
    iou, iop = grounding_arrays(evidence, spans, rules, fractions)
    absent = np.array([key not in spans for key in keys])
    correct, notes = _correctness(keys, given, questions, rules)
    values: dict[str, NDArray[Any]] = {}
    for name, overlap in (("IoP", iop), ("IoU", iou)):
        values |= {f"{name}@{threshold}": (overlap >= threshold) * 1.0 for threshold in THRESHOLDS}
        values[f"m{name}"] = overlap
    if given and correct is not None:
        values["Acc@GQA"] = ((iop >= GROUNDED_AT) & (correct == 1.0)) * 1.0
    values = {name: np.where(absent, rules.absent_value, column) for name, column in values.items()}
    if given and correct is not None:
        kinds = [questions[key].kind if questions and key in questions else "" for key in keys]
        if questions is not None:
            correct = np.where([key in questions for key in keys], correct, np.nan)
        values |= accuracy_values(correct, kinds)
    notes += repeated_note(repeated)
    if fractions:
        notes.append("Every span lies in [0, 1]: read as fractions of the duration.")
    coverage = coverage_of(keys, spans.keys() & set(keys), rules, spans.keys() - set(keys))
    if given:
        coverage["answers_missing"] = sum(key not in given for key in keys)
    return Scored(values, coverage, tuple(notes))


def _correctness(
    keys: Sequence[str],
    given: Mapping[str, Prediction],
    questions: Mapping[str, Question] | None,
    rules: Rules,
) -> tuple[Floats | None, list[str]]:
    """(Q,) 1 right, 0 wrong, ``absent_value`` where unanswered; None with a note where nothing can be
    judged."""
    if not given:
        return None, [
            "No answers: Acc@QA and Acc@GQA are not scored (the official scorer prints 0 for Acc@GQA)."
        ]
    questions = questions or {}
    correct = np.full(len(keys), rules.absent_value)
    for index, key in enumerate(keys):
        if key in given:
            right = is_right(given[key], questions.get(key), rules)
            if right is None:
                return None, [
                    f"Acc@QA and Acc@GQA need the right answers: pass --questions ({key} has none)."
                ]
            correct[index] = right
    return correct, []


def score_choices(questions: Mapping[str, Question], answers: Sequence[Prediction], rules: Rules) -> Scored:
    """NExT-QA: Acc@QA over all questions of the CSV, in all and by type."""
    given = {key: row for key, row in keyed(answers, "predictions").items() if row.choice is not None}
    correct = np.full(len(questions), rules.absent_value)
    for index, (key, question) in enumerate(questions.items()):
        if key in given:
            correct[index] = is_right(given[key], question, rules)
    coverage = coverage_of(
        list(questions), given.keys() & questions.keys(), rules, given.keys() - questions.keys()
    )
    kinds = [question.kind for question in questions.values()]
    repeated = len(answers) - len({row.id for row in answers})
    return Scored(accuracy_values(correct, kinds), coverage, tuple(repeated_note(repeated)))


def score_nextgqa_files(
    predictions: Path,
    annotations: Path,
    rules: Rules,
    answers: Path | None = None,
    questions: Path | None = None,
) -> Scored:
    """Score NExT-GQA result files (or our own rows, which hold windows and answers) against
    ``gsub_*.json``."""
    return score_grounded(
        read_evidence(annotations),
        read_predictions(predictions),
        read_predictions(answers) if answers else None,
        read_questions(questions) if questions else None,
        rules,
    )


def score_nextqa_files(predictions: Path, annotations: Path, rules: Rules) -> Scored:
    """Score ``{"<video>_<qid>": {"prediction"}}`` or our own rows against NExT-QA's CSV."""
    return score_choices(read_questions(annotations), read_predictions(predictions), rules)
