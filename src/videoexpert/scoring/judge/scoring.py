"""Video-ChatGPT inside ``score``: pair predictions with questions, have them judged, average. Scores are 0
to 5."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...annotations.records import Record
from ...errors import DataError, InputError
from ..matching import match
from ..outcome import Rules, Scored, coverage_of, repeated_note
from ..predictions import Prediction
from ..unusable import unusable_items
from .endpoint import Endpoint
from .judge import JudgeItem, JudgeScores, judge

# which dimensions each of the benchmark's question files is judged on
DIMENSIONS_OF = {
    "generic": ("correctness", "detail", "context"),
    "temporal": ("temporal",),
    "consistency": ("consistency",),
}


@dataclass(frozen=True)
class Judge:
    """Who judges, and where judgements are logged; an existing log is resumed."""

    endpoint: Endpoint
    log: Path


def score_answers(
    predictions: Sequence[Prediction], records: Sequence[Record], rules: Rules, chosen: Judge | None
) -> Scored:
    """Judged dimensions and their mean. An item without a prediction counts 0, or is skipped, by ``rules``.

    predictions  rows of an id as the records have it (``generic_0``, ``consistency_4_1``) and an answer
    Raises InputError where no judge is named.
    """
    if chosen is None:
        raise InputError(
            "video-chatgpt answers are judged by a language model: "
            "name an OpenAI-compatible endpoint (--judge-url and --judge-model)."
        )
    matched = match(predictions, records, rules)
    told = {id: rows[-1].choice for id, rows in matched.rows.items()}
    answers = {id: answer for id, answer in told.items() if isinstance(answer, str) and answer.strip()}
    asked: dict[str, list[JudgeItem]] = {}
    absent: dict[str, int] = {}
    for wordings in _items(matched.records):
        kind = wordings[0].kind
        if kind not in DIMENSIONS_OF:
            raise DataError(
                f"the question file of {wordings[0].id} is none of generic, temporal and consistency; "
                "keep the original file names, or give the split."
            )
        texts = tuple(answers[record.id] for record in wordings if record.id in answers)
        for dimension in DIMENSIONS_OF[kind]:
            if len(texts) < len(wordings):
                absent[dimension] = absent.get(dimension, 0) + 1
                continue
            questions = tuple(_one_line(record.text) for record in wordings)
            item = JudgeItem(wordings[0].video, questions, _one_line(wordings[0].answer), texts)
            asked.setdefault(dimension, []).append(item)
    result = judge(asked, chosen.endpoint, chosen.log)
    silent = [record.id for record in matched.records if record.id in told and record.id not in answers]
    unusable = unusable_items("answers", "are no text", silent, len(told))
    coverage = coverage_of([r.id for r in matched.records], answers.keys(), rules, matched.extra)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    notes = [f"Scores are 0 to 5, judged by {chosen.endpoint.model}: {result.cost_line()}."]
    if result.failures:
        notes.append(f"{len(result.failures)} items got no score and are in no mean: {result.failures[0][2]}")
    notes += [*(entry.sentence(rules) for entry in unusable), *repeated_note(matched.repeated)]
    metrics = _means(result, absent, rules)
    return Scored({}, coverage, tuple(notes), metrics, failed=len(result.failures))


def _means(result: JudgeScores, absent: Mapping[str, int], rules: Rules) -> dict[str, float | None]:
    """Each dimension's mean over what was judged and, by ``rules``, what is absent, and the mean of these."""
    metrics: dict[str, float | None] = {}
    for dimension in dict.fromkeys([*result.asked, *absent]):
        judged = result.judged.get(dimension, 0)
        counted = judged + (absent.get(dimension, 0) if rules.missing == "wrong" else 0)
        total = result.metrics.get(dimension, 0.0) * judged
        metrics[dimension] = total / counted if counted else None
    known = [value for value in metrics.values() if value is not None]
    metrics["mean"] = sum(known) / len(known) if known else None
    return metrics


def _items(records: Sequence[Record]) -> list[list[Record]]:
    """Records by item: the two wordings of a consistency record belong together."""
    items: dict[str, list[Record]] = {}
    for record in records:
        items.setdefault(record.raw, []).append(record)
    return list(items.values())


def _one_line(text: str) -> str:
    return " ".join(text.split())
