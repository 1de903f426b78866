"""Readers of dense-captioning predictions, gzip or not; references come as records of the annotation readers.

our JSONL: {"id", "moments": [{"start", "end", "text"}]} a line      "jsonl"
ActivityNet: {"results": {video: [{"sentence", "timestamp"}]}}       "activitynet" (or without "results")
TimeChat: {video: [{"caption", "timestamp"}]}                        "timechat"
VTimeLLM's log: {"video_id", "task", "answer"} a line                "vtimellm"
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...annotations.records import Record
from ...errors import DataError
from ...files import loads
from ..matching import match_names
from ..predictions import Repeating, check_keys, read_json
from ..unusable import Unusable

_ROW = {"id", "video", "video_id", "moments", "query", "task", "answer"}


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
    """What a prediction file holds: events by video, and the file's form.

    repeated  videos that are predicted more than once; the last counts
    endless   videos with an event whose times are not numbers; it is kept with length 0, which matches nothing
    """

    videos: Mapping[str, tuple[CaptionedSegment, ...]]
    form: str
    repeated: tuple[str, ...] = ()
    endless: tuple[str, ...] = ()


def read_caption_predictions(path: Path, durations: Mapping[str, float] | None = None) -> CaptionFile:
    """Predictions in any of the forms above, recognised by content.

    ``durations`` (seconds by video) are needed for VTimeLLM's log only, whose times are percent.
    A video that comes twice keeps its last entry, as a resumed run leaves it.
    Raises DataError naming the file, and the video where there is one.
    """
    content = _read(path)
    if isinstance(content, list) and all(isinstance(row, dict) for row in content):
        if all("moments" in row for row in content):
            for number, row in enumerate(content, 1):
                check_keys(row, _ROW, f"{path} row {number}")
            return _caption_file(((_row_id(row, path), _own(row, path)) for row in content), "jsonl")
        if all("answer" in row for row in content):
            return _caption_file(_vtimellm(content, durations or {}, path), "vtimellm")
    elif isinstance(content, dict):
        results = content.get("results", content)
        if isinstance(results, dict) and all(isinstance(rows, list) for rows in results.values()):
            pairs = results.pairs if isinstance(results, Repeating) else list(results.items())
            first = next((row for _, rows in pairs for row in rows), None)
            timechat = "results" not in content and isinstance(first, dict) and "caption" in first
            form, key = ("timechat", "caption") if timechat else ("activitynet", "sentence")
            return _caption_file(((v, _timestamped(rows, key, v, path)) for v, rows in pairs), form)
    raise DataError(
        f"{path} holds no known form of caption predictions: expected our JSONL, VTimeLLM's log, "
        '{"results": {video: [{"sentence", "timestamp"}]}} or {video: [{"caption", "timestamp"}]} '
        "(docs/predictions.md)."
    )


def _caption_file(pairs: Iterable[tuple[str, Sequence[Event]]], form: str) -> CaptionFile:
    videos: dict[str, tuple[CaptionedSegment, ...]] = {}
    repeated, endless = [], []
    for video, events in pairs:
        if video in videos:
            repeated.append(video)
        if not all(math.isfinite(start) and math.isfinite(end) for start, end, _ in events):
            endless.append(video)
        videos[video] = tuple(
            CaptionedSegment(start, end, text)
            if math.isfinite(start) and math.isfinite(end)
            else CaptionedSegment(0.0, 0.0, text)
            for start, end, text in events
        )
    return CaptionFile(videos, form, tuple(dict.fromkeys(repeated)), tuple(endless))


def references_of(records: Iterable[Record]) -> dict[str, tuple[CaptionedSegment, ...]]:
    """Events by video of annotated records, as scorers take them; none where nothing is left to describe."""
    return {
        record.video: tuple(
            CaptionedSegment(start, end, text)
            for (start, end), text in zip(record.windows, record.captions, strict=True)
        )
        if record.asked
        else ()
        for record in records
    }


def unusable_events(
    predicted: CaptionFile, names: Mapping[str, str], lengths: Mapping[str, float], turned: bool
) -> list[Unusable]:
    """Events that cannot count, of videos that are annotated. ``turned``: reversed ones are turned round and do.

    names    predicted video -> annotated video
    lengths  seconds of every annotated video, infinite if unknown
    """
    total = 0
    found: dict[str, list[str]] = {"backwards": [], "empty": [], "late": []}
    for video, events in predicted.videos.items():
        end_s = lengths.get(names[video])
        if end_s is None:
            continue
        total += len(events)
        for event in events:
            if event.start > event.end and not turned:
                found["backwards"].append(names[video])
            elif event.start == event.end:
                found["empty"].append(names[video])
            elif min(event.start, event.end) >= end_s:
                found["late"].append(names[video])
    reasons = {
        "backwards": "end before they start",
        "empty": "have no length, or times that are no numbers",
        "late": "lie after the end of their videos",
    }
    return [
        Unusable("predicted events", reasons[kind], len(videos), total, tuple(dict.fromkeys(videos)))
        for kind, videos in found.items()
        if videos
    ]


def reversed_events(predicted: CaptionFile) -> int:
    """How many events end before they start."""
    return sum(event.start > event.end for events in predicted.videos.values() for event in events)


Event = tuple[float, float, str]


def _read(path: Path) -> Any:
    """One JSON value, or a list of objects from JSON lines."""
    content = read_json(path)
    # a JSON lines file of one line is one object, and would pass for a map of videos
    return [content] if isinstance(content, dict) and {"moments", "answer"} & content.keys() else content


def _event(times: Any, text: Any, video: str, path: Path) -> Event:
    try:
        start, end = times
        if not isinstance(text, str):
            raise ValueError("the caption is not a string")
        return float(start), float(end), text
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}, video {video!r:.80}: {times!r:.80} with caption {text!r:.80} is not an event ({error}), expected "
            "a start, an end and a text."
        ) from error


def _timestamped(rows: Sequence[Any], key: str, video: str, path: Path) -> list[Event]:
    for row in rows:
        if not (isinstance(row, dict) and "timestamp" in row and key in row):
            raise DataError(
                f'{path}, video {video!r:.80}: expected {{"timestamp", "{key}"}}, got {row!r:.80}.'
            )
    return [_event(row["timestamp"], row[key], video, path) for row in rows]


def _row_id(row: Mapping[str, Any], path: Path) -> str:
    name = row.get("id", row.get("video"))
    if name is None:
        raise DataError(f'{path}: a prediction line needs "id", got keys {sorted(row)!s:.80}.')
    return str(name)


def _own(row: Mapping[str, Any], path: Path) -> list[Event]:
    video, moments = _row_id(row, path), row["moments"]
    if not (isinstance(moments, list) and all(isinstance(m, dict) for m in moments)):
        raise DataError(
            f"{path}, video {video!r:.80}: moments must be a list of objects, got {moments!r:.80}."
        )
    return [_event((m.get("start"), m.get("end")), m.get("text") or "", video, path) for m in moments]


# VTimeLLM writes times as two-digit numbers of a percent scale, and its scorer prepares its log's rows before
# scoring. The rules are those of the scorer's description; without them a log scores otherwise.

#: Neighbours whose texts are more alike than this (difflib ratio) and at most a percent apart are one event.
_SAME_TEXT = 0.98
_LARGEST_GAP = 1
_FROM_TO = re.compile(r"from\s+(\d{1,9})\s+to\s+(\d{1,9})")


def _vtimellm(
    rows: Sequence[Mapping[str, Any]], durations: Mapping[str, float], path: Path
) -> list[tuple[str, list[Event]]]:
    videos = []
    for row in rows:
        if row.get("task") != "captioning":
            continue
        video = str(row.get("video_id"))
        matched = match_names([video], list(durations))[video]
        if matched not in durations:
            continue  # a video without reference is not scored, so its length is not missed
        events = _merge_repeats(_vtimellm_events(str(row["answer"])))
        # frame numbers are percent, and the end frame is included
        scale = durations[matched] / 100
        videos.append((video, [(s * scale, (e + 1) * scale, text) for s, e, text in events]))
    if not videos:
        raise DataError(
            f"{path} has no captioning row of a video whose length is known: "
            "VTimeLLM's log counts in percent, so it needs the annotation file that belongs to it."
        )
    return videos


def _vtimellm_events(answer: str) -> list[tuple[int, int, str]]:
    """(start, end, text) from a JSON list in the answer, or from "text, from 00 to 20." sentences."""
    opening, closing = answer.find("["), answer.rfind("]")
    with_times = []
    try:
        listed = loads(answer[opening : closing + 1]) if opening >= 0 else []
        with_times = [(str(item["event"]), str(item["timestamps"])) for item in listed]
    except (ValueError, KeyError, TypeError):
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
