"""Dense captioning inside ``score``: the caption scorer's result as values per video."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...annotations.records import Record
from ..matching import match_names
from ..outcome import Rules, Scored, coverage_of, repeated_note
from ..predictions import read_json
from ..unusable import last_second
from .captioning import CONVENTIONS, OFFICIAL_BY_FORM, score_captions
from .files import read_caption_predictions, references_of, reversed_events, unusable_events


def score_events(predictions: Path, references: Sequence[Sequence[Record]], rules: Rules) -> Scored:
    """Caption metrics of a prediction file; ``references``: the records of each annotation file.

    The official convention is that of the scorer whose form the prediction file has. Metrics that need
    Java and have none are left out with the reason as a note.
    """
    truth = [references_of(records) for records in references]
    durations = {r.video: r.duration_s for records in references for r in records if r.duration_s is not None}
    predicted = read_caption_predictions(predictions, durations)
    annotated = list(dict.fromkeys(video for reference in truth for video in reference))
    names = match_names(list(predicted.videos), annotated)
    convention = OFFICIAL_BY_FORM[predicted.form] if rules.official else "default"
    result = score_captions(
        {names[video]: events for video, events in predicted.videos.items()},
        truth,
        convention=convention,
        missing_is_wrong=None if rules.official and not rules.chosen else rules.missing == "wrong",
    )
    scorable = [video for video in annotated if video not in set(result.unannotated)]
    values = {
        name: np.array([per_video.get(video, np.nan) for video in scorable]) / 100
        for name, per_video in result.per_video.items()
        if name in result.metrics
    }
    turned = CONVENTIONS[convention].order_ends
    lengths = dict.fromkeys(annotated, math.inf) | {
        record.video: last_second(record)
        for records in references
        for record in records
        if record.duration_s is not None
    }
    unusable = unusable_events(predicted, names, lengths, turned)
    notes = [f"{name} is not computed: {reason}" for name, reason in result.not_computed.items()]
    if result.unannotated:
        notes.append(f"{len(result.unannotated)} annotated videos hold no event and are left out.")
    if turned and (count := reversed_events(predicted)):
        notes.append(
            f"{count} predicted events end before they start and are turned round; the ActivityNet scorer and "
            "SODA count them as wrong (docs/benchmarks.md)."
        )
    notes += [*(entry.sentence(rules) for entry in unusable), *repeated_note(predicted.repeated)]
    coverage = coverage_of(scorable, set(scorable) - set(result.missing), rules, result.extra)
    coverage["unusable"] = [entry.to_json() for entry in unusable]
    return Scored(values, coverage, tuple(notes), dict(result.metrics))


def tasks_in(predictions: Path) -> set[str]:
    """Which of "grounding" and "caption" a prediction file of ActivityNet Captions holds, told by its
    rows."""
    content = read_json(predictions)
    if isinstance(content, dict) and not ({"video", "video_id", "id"} & content.keys()):
        entries = list(content.get("results", content).values())
        return {"caption"} if any(isinstance(entry, list) for entry in entries) else {"grounding"}
    rows = content if isinstance(content, list) else [content]
    return {_task_of(row) for row in rows if isinstance(row, dict)} or {"grounding"}


def _task_of(row: dict[str, Any]) -> str:
    if "task" in row:
        return "grounding" if row["task"] == "grounding" else "caption"
    return "grounding" if row.get("query") is not None or "pred_relevant_windows" in row else "caption"
