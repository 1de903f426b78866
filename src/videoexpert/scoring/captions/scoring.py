"""Dense captioning inside ``score``: the caption scorer's result as values per video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..outcome import Rules, Scored, coverage_of
from ..predictions import read_json
from .captioning import OFFICIAL_BY_FORM, score_captions
from .files import match_ids, read_caption_predictions, read_caption_references

_SUBSETS = {None: "validation", "val": "validation", "train": "training"}


def score_files(
    predictions: Path, annotations: Sequence[Path], rules: Rules, split: str | None = None
) -> Scored:
    """Caption metrics of a prediction file; ``split`` chooses the subset of YouCook2's own file.

    The official convention is that of the scorer whose form the prediction file has. Metrics that need
    Java and have none are left out with the reason as a note.
    """
    located = [_youcook2_file(path) for path in annotations]
    references = [read_caption_references(path, _SUBSETS.get(split, split or "")) for path in located]
    durations = {video: seconds for reference in references for video, seconds in reference.durations.items()}
    predicted = read_caption_predictions(predictions, durations)
    annotated = list(dict.fromkeys(video for reference in references for video in reference.videos))
    names = match_ids(list(predicted.videos), annotated)
    result = score_captions(
        {names[video]: events for video, events in predicted.videos.items()},
        [reference.videos for reference in references],
        convention=OFFICIAL_BY_FORM[predicted.form] if rules.official else "default",
        missing_is_wrong=None if rules.official and not rules.chosen else rules.missing == "wrong",
    )
    scorable = [video for video in annotated if video not in set(result.unannotated)]
    values = {
        name: np.array([per_video.get(video, np.nan) for video in scorable]) / 100
        for name, per_video in result.per_video.items()
        if name in result.metrics
    }
    notes = [f"{name} is not computed: {reason}" for name, reason in result.not_computed.items()]
    if result.unannotated:
        notes.append(f"{len(result.unannotated)} annotated videos hold no event and are left out.")
    coverage = coverage_of(scorable, set(scorable) - set(result.missing), rules, result.extra)
    return Scored(values, coverage, tuple(notes), dict(result.metrics))


def _youcook2_file(path: Path) -> Path:
    from ...annotations.readers.youcook2 import NAMES
    from ...files import locate

    return locate(path, NAMES)


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
