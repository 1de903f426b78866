"""Label Studio tasks with timeline labels: frames from 1, both ends included, at the frame rate of its Video tag."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answers, AnswerSet
from .timeline import Timeline, timeline


def write(found: AnswerSet) -> str:
    """A task a video, with a region a moment; ``fps`` of its data is the rate that the Video tag needs."""
    return json.dumps([_task(item) for item in found.answers], indent=2, ensure_ascii=False) + "\n"


def _task(item: Answers) -> dict[str, Any]:
    cut = timeline(item)
    return {
        "data": {"video": item.video, "fps": round(float(cut.rate.fps), 6)},
        "annotations": [{"result": [_region(cut, number) for number in range(len(cut.events))]}],
    }


def _region(cut: Timeline, number: int) -> dict[str, Any]:
    event = cut.events[number]
    return {
        "id": f"moment{number + 1}",
        "type": "timelinelabels",
        "from_name": "timelineLabels",
        "to_name": "video",
        "origin": "prediction",
        "value": {
            "ranges": [{"start": event.first + 1, "end": event.end}],
            "timelinelabels": [event.title],
        },
        "score": round(event.score, 4),
    }
