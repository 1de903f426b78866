"""Readers of dense-captioning predictions and references; gzip is read as is.

Predictions                                                          form
    our JSONL: {"id", "moments": [{"start", "end", "text"}]} a line      "jsonl"
    ActivityNet: {"results": {video: [{"sentence", "timestamp"}]}}       "activitynet" (or without "results")
    TimeChat: {video: [{"caption", "timestamp"}]}                        "timechat"
    VTimeLLM's log: {"video_id", "task", "answer"} a line                "vtimellm"
References
    ActivityNet: {video: {"duration", "timestamps", "sentences"}}        "activitynet"
    TimeChat: {"annotations": [{"image_id", "segments", "pure_cap"}]}    "timechat"
    YouCook2: {"database": {video: {"subset", "annotations"}}}           "youcook2"
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...errors import DataError
from ..predictions import read_json


@dataclass(frozen=True)
class CaptionedSegment:
    """One event: seconds and a sentence. ``start > end`` is allowed: raw model output has such segments."""

    start: float
    end: float
    text: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.start) and math.isfinite(self.end)):
            raise ValueError(f"a segment needs finite times, got [{self.start}, {self.end}]")


@dataclass(frozen=True)
class CaptionFile:
    """What one file holds: events by video, the file's form, and lengths in seconds where it has them."""

    videos: Mapping[str, tuple[CaptionedSegment, ...]]
    form: str
    durations: Mapping[str, float] = field(default_factory=dict)


def read_caption_predictions(path: Path, durations: Mapping[str, float] | None = None) -> CaptionFile:
    """Predictions in any of the forms above, told by content.

    ``durations`` (seconds by video) are needed for VTimeLLM's log only, whose times are percent.
    A video that comes twice in a file of lines keeps its last line, as a resumed run leaves it.
    Raises DataError naming the file, and the video where there is one.
    """
    content = _read(path)
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        if all("moments" in row for row in content):
            return CaptionFile({_row_id(row, path): _own(row, path) for row in content}, "jsonl")
        if all("answer" in row for row in content):
            return CaptionFile(_vtimellm(content, durations or {}, path), "vtimellm")
    elif isinstance(content, dict):
        results = content.get("results", content)
        if isinstance(results, dict) and all(isinstance(rows, list) for rows in results.values()):
            rows = [row for rows in results.values() for row in rows]
            form = "timechat" if rows and "results" not in content and "caption" in rows[0] else "activitynet"
            key = "caption" if form == "timechat" else "sentence"
            return CaptionFile({v: _timestamped(rows, key, v, path) for v, rows in results.items()}, form)
    raise DataError(
        f"{path} holds no known form of caption predictions: expected our JSONL, VTimeLLM's log, "
        '{"results": {video: [{"sentence", "timestamp"}]}} or {video: [{"caption", "timestamp"}]}'
    )


def read_caption_references(path: Path, subset: str = "validation") -> CaptionFile:
    """References in any of the forms above; of YouCook2's own file only the videos of ``subset``.

    Raises DataError naming the file, and the video where there is one.
    """
    content = _read(path)
    if isinstance(content, dict) and isinstance(content.get("database"), dict):
        chosen = {v: r for v, r in content["database"].items() if r.get("subset") == subset}
        if not chosen:
            held = sorted({str(r.get("subset")) for r in content["database"].values()})
            raise DataError(
                f"{path} has no video of subset {subset!r}: it has {', '.join(held) or 'no video'}"
            )
        return _references(path, "youcook2", {v: (r, *_youcook2(r)) for v, r in chosen.items()})
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        rows = {str(r.get("image_id")): (r, *_timechat(r)) for r in content["annotations"]}
        return _references(path, "timechat", rows)
    if isinstance(content, dict) and all(isinstance(r, dict) and "timestamps" in r for r in content.values()):
        rows = {v: (r, r["timestamps"], r.get("sentences")) for v, r in content.items()}
        return _references(path, "activitynet", rows)
    raise DataError(
        f"{path} holds no known form of caption references: expected "
        '{video: {"duration", "timestamps", "sentences"}}, TimeChat\'s {"annotations": [...]} or '
        'YouCook2\'s {"database": {...}}'
    )


def match_ids(predicted: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Predicted id -> annotated id, for those that differ only in a file ending or in a leading ``v_``.

    The copies of one data set write the same video as ``xyz``, ``v_xyz`` and ``xyz.mp4``.
    """
    bare = {_bare_id(video): video for video in known}
    exact = set(known)
    return {v: v if v in exact else bare.get(_bare_id(v), v) for v in predicted}


def _bare_id(video: str) -> str:
    return re.sub(r"\.(mp4|mkv|webm|avi|mov)$", "", video).removeprefix("v_")


def _read(path: Path) -> Any:
    """One JSON value, or a list of objects from JSON lines."""
    content = read_json(path)
    # a JSON lines file of one line is one object, and would pass for a map of videos
    return [content] if isinstance(content, dict) and {"moments", "answer"} & content.keys() else content


def _segment(times: Any, text: Any, video: str, path: Path) -> CaptionedSegment:
    try:
        start, end = times
        if not isinstance(text, str):
            raise ValueError("the caption is not a string")
        return CaptionedSegment(float(start), float(end), text)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}, video {video!r}: {times!r} with caption {text!r} is no event: {error}"
        ) from error


def _timestamped(rows: Sequence[Any], key: str, video: str, path: Path) -> tuple[CaptionedSegment, ...]:
    for row in rows:
        if not (isinstance(row, dict) and "timestamp" in row and key in row):
            raise DataError(f'{path}, video {video!r}: expected {{"timestamp", "{key}"}}, got {row!r}')
    return tuple(_segment(row["timestamp"], row[key], video, path) for row in rows)


def _row_id(row: Mapping[str, Any], path: Path) -> str:
    name = row.get("id", row.get("video"))
    if name is None:
        raise DataError(f'{path}: a prediction line needs "id", got keys {sorted(row)}')
    return str(name)


def _own(row: Mapping[str, Any], path: Path) -> tuple[CaptionedSegment, ...]:
    video, moments = _row_id(row, path), row["moments"]
    if not (isinstance(moments, list) and all(isinstance(m, dict) for m in moments)):
        raise DataError(f"{path}, video {video!r}: moments must be a list of objects, got {moments!r}")
    return tuple(_segment((m.get("start"), m.get("end")), m.get("text") or "", video, path) for m in moments)


def _youcook2(record: Mapping[str, Any]) -> tuple[Any, Any]:
    rows = record.get("annotations", [])
    return [row.get("segment") for row in rows], [row.get("sentence") for row in rows]


def _timechat(record: Mapping[str, Any]) -> tuple[Any, Any]:
    """The captions stand in one string, split at ". "."""
    text = str(record.get("pure_cap", ""))
    return record.get("segments"), [f"{piece}." for piece in text.split(". ")] if text else []


def _references(path: Path, form: str, rows: Mapping[str, tuple[Mapping[str, Any], Any, Any]]) -> CaptionFile:
    videos, durations = {}, {}
    for video, (record, times, texts) in rows.items():
        if not (isinstance(times, list) and isinstance(texts, list) and len(times) == len(texts)):
            counts = [len(part) if isinstance(part, list) else "no" for part in (times, texts)]
            raise DataError(f"{path}, video {video!r}: {counts[0]} segments but {counts[1]} captions")
        videos[video] = tuple(_segment(t, s, video, path) for t, s in zip(times, texts, strict=True))
        if isinstance(record.get("duration"), int | float):
            durations[video] = float(record["duration"])
    return CaptionFile(videos, form, durations)


# VTimeLLM writes times as two-digit numbers of a percent scale, and its scorer prepares its log's rows before
# scoring. The rules are those of the scorer's description; without them a log scores otherwise.

#: Neighbours whose texts are more alike than this (difflib ratio) and at most a percent apart are one event.
_SAME_TEXT = 0.98
_LARGEST_GAP = 1
_FROM_TO = re.compile(r"from\s+(\d+)\s+to\s+(\d+)")


def _vtimellm(
    rows: Sequence[Mapping[str, Any]], durations: Mapping[str, float], path: Path
) -> dict[str, tuple[CaptionedSegment, ...]]:
    videos = {}
    for row in rows:
        if row.get("task") != "captioning":
            continue
        video = str(row.get("video_id"))
        matched = match_ids([video], list(durations))[video]
        if matched not in durations:
            continue  # a video without reference is not scored, so its length is not missed
        events = _merge_repeats(_vtimellm_events(str(row["answer"])))
        # frame numbers are percent, and the end frame is included
        scale = durations[matched] / 100
        videos[video] = tuple(CaptionedSegment(s * scale, (e + 1) * scale, text) for s, e, text in events)
    if not videos:
        raise DataError(
            f"{path} has no captioning row of a video whose length is known: "
            "VTimeLLM's log counts in percent, so it needs the annotation file that belongs to it"
        )
    return videos


def _vtimellm_events(answer: str) -> list[tuple[int, int, str]]:
    """(start, end, text) from a JSON list in the answer, or from "text, from 00 to 20." sentences."""
    opening, closing = answer.find("["), answer.rfind("]")
    with_times = []
    try:
        listed = json.loads(answer[opening : closing + 1]) if opening >= 0 else []
        with_times = [(str(item["event"]), str(item["timestamps"])) for item in listed]
    except (json.JSONDecodeError, KeyError, TypeError):
        pass  # no readable list: the sentences are tried
    if not with_times:
        pieces = re.split(rf"({_FROM_TO.pattern})", answer)
        # split with groups: text, whole match, start, end, text, ...
        with_times = [(pieces[i].strip(" ,.\n"), pieces[i + 1]) for i in range(0, len(pieces) - 3, 4)]
    found = [(text, _FROM_TO.search(times)) for text, times in with_times]
    return [(int(match[1]), int(match[2]), text) for text, match in found if match]


def _merge_repeats(events: Sequence[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    merged: list[tuple[int, int, str]] = []
    for start, end, text in events:
        if merged:
            last_start, last_end, last_text = merged[-1]
            alike = difflib.SequenceMatcher(None, last_text, text).ratio() > _SAME_TEXT
            if alike and start - last_end <= _LARGEST_GAP:
                merged[-1] = (last_start, end, last_text)
                continue
        merged.append((start, end, text))
    return merged
