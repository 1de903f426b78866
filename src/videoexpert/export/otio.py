"""OpenTimelineIO: the moments one after the other as clips, each with a marker that holds sentence and score."""

from __future__ import annotations

import json
from typing import Any

from .answers import Answers
from .timeline import Event, Timeline, timeline


def write(item: Answers) -> str:
    """A clip a moment, by time, on a track of pictures and, where the video has sound, one of sound."""
    cut = timeline(item)
    kinds = ["Video", "Audio"] if cut.media.audio_channels else ["Video"]
    document = {
        "OTIO_SCHEMA": "Timeline.1",
        "metadata": {},
        "name": cut.name,
        "global_start_time": _time(cut, cut.start),
        "tracks": {
            **_named("Stack.1", "tracks"),
            "source_range": None,
            "effects": [],
            "markers": [],
            "enabled": True,
            "children": [_track(cut, kind, item.model) for kind in kinds],
        },
    }
    return json.dumps(document, indent=4, ensure_ascii=False) + "\n"


def _track(cut: Timeline, kind: str, model: str) -> dict[str, Any]:
    return {
        **_named("Track.1", kind),
        "source_range": None,
        "effects": [],
        "markers": [],
        "enabled": True,
        "children": [_clip(cut, event, model, marked=kind == "Video") for event in cut.events],
        "kind": kind,
    }


def _clip(cut: Timeline, event: Event, model: str, marked: bool) -> dict[str, Any]:
    span = _range(cut, cut.media_start + event.first, event.length)
    told = {"videoexpert": {"score": round(event.score, 4), "model": model}}
    marker = {**_named("Marker.2", event.title, told), "marked_range": span, "color": "BLUE", "comment": ""}
    return {
        **_named("Clip.2", event.title, told),
        "source_range": span,
        "effects": [],
        "markers": [marker] if marked else [],
        "enabled": True,
        "media_references": {
            "DEFAULT_MEDIA": {
                **_named("ExternalReference.1", cut.file_name),
                "available_range": _range(cut, cut.media_start, cut.length),
                "available_image_bounds": None,
                "target_url": cut.url,
            }
        },
        "active_media_reference_key": "DEFAULT_MEDIA",
    }


def _named(schema: str, name: str, metadata: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"OTIO_SCHEMA": schema, "metadata": metadata or {}, "name": name}


def _range(cut: Timeline, first: int, length: int) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "TimeRange.1", "duration": _time(cut, length), "start_time": _time(cut, first)}


def _time(cut: Timeline, frame: int) -> dict[str, Any]:
    return {"OTIO_SCHEMA": "RationalTime.1", "rate": float(cut.rate.fps), "value": float(frame)}
