"""Video-ChatGPT inside ``score``: pair predictions with questions, have them judged, average. Scores are 0
to 5."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...annotations.readers import read as read_dataset
from ...annotations.samples import Sample
from ...errors import DataError, InputError
from ..outcome import Rules, Scored, coverage_of, repeated_note
from ..predictions import read_rows
from .endpoint import Endpoint
from .judge import JudgeItem, judge

# which dimensions each of the benchmark's question files is judged on
DIMENSIONS_OF = {
    "generic": ("correctness", "detail", "context"),
    "temporal": ("temporal",),
    "consistency": ("consistency",),
}


@dataclass(frozen=True)
class Judge:
    """Who judges, and where judgements are logged; a log that is there is gone on with."""

    endpoint: Endpoint
    log: Path


def score_files(
    predictions: Path, annotations: Path, rules: Rules, split: str | None, chosen: Judge | None
) -> Scored:
    """Judged dimensions and their mean. An item without a prediction counts 0, or is skipped, by ``rules``.

    predictions  rows ``{"id", "answer"}`` with the ids of the reader (``generic_0``, ``consistency_4_1``)
    Raises InputError where no judge is named.
    """
    if chosen is None:
        raise InputError(
            "video-chatgpt answers are judged by a language model: "
            "name an OpenAI-compatible endpoint (--judge-url and --judge-model)."
        )
    dataset = read_dataset("video-chatgpt", annotations, split=split)
    rows = read_rows(predictions)
    answers = {str(row.get("id")): row.get("answer") for row in rows}
    asked: dict[str, list[JudgeItem]] = {}
    absent: dict[str, int] = {}
    for wordings in _items(dataset.samples):
        kind = wordings[0].question_type
        if kind not in DIMENSIONS_OF:
            raise DataError(
                f"the question file of {wordings[0].id} is none of generic, temporal and consistency; "
                "keep the original file names, or give the split."
            )
        given = tuple(answers.get(sample.id) for sample in wordings)
        texts = tuple(text for text in given if isinstance(text, str))
        for dimension in DIMENSIONS_OF[kind]:
            if len(texts) < len(wordings):
                absent[dimension] = absent.get(dimension, 0) + 1
                continue
            questions = tuple(sample.query or "" for sample in wordings)
            item = JudgeItem(wordings[0].video, questions, wordings[0].answer or "", texts)
            asked.setdefault(dimension, []).append(item)
    result = judge(asked, chosen.endpoint, chosen.log)
    metrics: dict[str, float | None] = {}
    for dimension in dict.fromkeys([*asked, *absent]):
        judged = result.judged.get(dimension, 0)
        counted = judged + (absent.get(dimension, 0) if rules.missing == "wrong" else 0)
        total = result.metrics.get(dimension, 0.0) * judged
        metrics[dimension] = total / counted if counted else None
    known = [value for value in metrics.values() if value is not None]
    metrics["mean"] = sum(known) / len(known) if known else None
    ids = [sample.id for sample in dataset.samples]
    coverage = coverage_of(ids, answers.keys() & set(ids), rules, answers.keys() - set(ids))
    notes = [f"Scores are 0 to 5, judged by {chosen.endpoint.model}: {result.cost_line()}."]
    if result.failures:
        notes.append(f"{len(result.failures)} items got no score and are in no mean: {result.failures[0][2]}")
    all_notes = (*notes, *repeated_note(len(rows) - len(answers)))
    return Scored({}, coverage, all_notes, metrics, failed=len(result.failures))


def _items(samples: Sequence[Sample]) -> list[list[Sample]]:
    """Samples by item: the two wordings of a consistency record belong together."""
    items: dict[str, list[Sample]] = {}
    for sample in samples:
        name = sample.id.rsplit("_", 1)[0] if sample.question_type == "consistency" else sample.id
        items.setdefault(name, []).append(sample)
    return list(items.values())
