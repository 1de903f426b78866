"""Label Studio's JSON export of timelines as grounding samples."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .. import files
from ..errors import DataError
from .dirty import CleaningReport
from .readers.clean import UniqueIds, clean_text, clean_window
from .samples import Dataset, Sample, Window

_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts this before the name of an uploaded file
_ADDRESS = re.compile(r"[^<>\n]*\.\w{2,4}(?:[?#][^<>\n]*)?|[^<>\n]*[?&]d=[^<>\n]+")
_KEYS = ("video", "videoSource", "video_url", "url")  # where templates keep the address


def read_label_studio(path: Path, fps: float | None) -> Dataset:
    """One grounding sample a task and query: all regions with that label, or that text, are its moments.

    Video timelines export ``ranges`` of frames, numbered from 1, both ends included: frames s to e are
    ``(s - 1) / fps`` to ``e / fps`` seconds. Regions of the older audio-based timeline hold start and end in seconds.
    A text that was typed for a region is a query beside the region's label. Of several annotations of one task the
    first that was not cancelled is read; whatever is left out is counted.

    Raises DataError with the task of what cannot be read.
    """
    tasks = files.load_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path}: expected the list of tasks of Label Studio's JSON export.")
    report, samples = CleaningReport(), []
    unique = UniqueIds(report)
    for video, (task, where) in zip(_videos(tasks, path, report), _placed(tasks, path), strict=True):
        moments: dict[str, list[Window]] = {}
        for region in _regions(task, video, where, report):
            _read_region(region, fps, video, where, report, moments)
        for query, windows in moments.items():
            id = unique(f"{video}_{query}")
            samples.append(Sample(id, video, "grounding", query=query, windows=tuple(sorted(windows))))
    return Dataset("label-studio", tuple(samples), report, files=(path,))


def _placed(tasks: list[dict[str, Any]], path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for index, task in enumerate(tasks):
        where = f"{path}, task {task.get('id', index)}"
        if not isinstance(task.get("annotations"), list):
            raise DataError(f"{where}: no annotations; export as JSON, not as JSON-MIN or CSV.")
        yield task, where


def _videos(tasks: list[dict[str, Any]], path: Path, report: CleaningReport) -> list[str]:
    """The file's name of each task. Where two uploads differ in their prefix alone, it stays."""
    addresses = [_address(task, where) for task, where in _placed(tasks, path)]
    names = [(_name(address), "/upload/" in urlsplit(address).path) for address in addresses]
    bare = [_UPLOAD.sub("", name) if uploaded else name for name, uploaded in names]
    files_of = Counter(short for short, _ in {(b, name) for b, (name, _) in zip(bare, names, strict=True)})
    found = []
    for short, (name, _) in zip(bare, names, strict=True):
        if files_of[short] > 1 and name != short:
            report.add("same_upload_name", name)
        found.append(name if files_of[short] > 1 else short)
    return found


def _address(task: dict[str, Any], where: str) -> str:
    """The address of the task's video: under one of the usual keys, else the only value that looks like one."""
    data = task.get("data")
    values = data if isinstance(data, dict) else {}
    likely = {
        key: value.strip()
        for key, value in values.items()
        if isinstance(value, str) and _ADDRESS.fullmatch(value.strip())
    }
    named = next((likely[key] for key in _KEYS if key in likely), None)
    plain = values.get("video")
    if named is None and isinstance(plain, str) and plain.strip() and "<" not in plain:
        named = plain.strip()  # an id without an ending
    if named is None and len(likely) == 1:
        (named,) = likely.values()
    if named is None or not _name(named):
        raise DataError(f"{where}: no data.video, expected the address of the video.")
    return named


def _name(address: str) -> str:
    """The last part of an address; of local files the path is a parameter, with slashes of either kind."""
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/clip.mp4
    return re.split(r"[/\\]", unquote(local[0] if local else parts.path))[-1]


def _regions(task: dict[str, Any], video: str, where: str, report: CleaningReport) -> list[dict[str, Any]]:
    """The regions of the annotation that is read."""
    done = []
    for annotation in task["annotations"]:
        if not isinstance(annotation, dict):
            raise DataError(f"{where}: an annotation is {type(annotation).__name__}, expected an object.")
        if annotation.get("was_cancelled"):
            report.add("cancelled_annotation", video)
        else:
            done.append(annotation)
    for _ in done[1:]:
        report.add("repeated_annotation", video)
    if not done:
        report.add("unannotated_task", video)
        return []
    regions = done[0].get("result")
    if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
        raise DataError(f"{where}: result is {type(regions).__name__}, expected a list of regions.")
    return regions


def _read_region(
    region: dict[str, Any],
    fps: float | None,
    video: str,
    where: str,
    report: CleaningReport,
    moments: dict[str, list[Window]],
) -> None:
    """Add what one region says to the moments by query."""
    value = region.get("value")
    fields = value if isinstance(value, dict) else {}
    said = fields.get("timelinelabels") or fields.get("labels") or fields.get("text")
    texts = [said] if isinstance(said, str) else said
    windows = _windows(fields, fps, where)
    if not isinstance(texts, list) or not texts or not windows:
        report.add("other_region", video, str(region.get("type") or ""))
        return
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise DataError(f"{where}: label is {text!r}, expected a text.")
        query = clean_text(text, report, video)
        for window in windows:
            cleaned = clean_window(window, None, report, f"{video}_{query}")
            if cleaned is not None and query:
                moments.setdefault(query, []).append(cleaned)


def _windows(fields: dict[str, Any], fps: float | None, where: str) -> list[Window]:
    """The times of a region in seconds; none for a region without a time: a box in one frame, a choice."""
    if isinstance(fields.get("ranges"), list):
        if fps is None:
            raise DataError(f"{where}: its regions count frames; say how many make a second with --fps.")
        return [
            ((_end(item, "start", where) - 1) / fps, _end(item, "end", where) / fps)
            for item in fields["ranges"]
        ]
    if "start" in fields and "end" in fields:
        return [(_end(fields, "start", where), _end(fields, "end", where))]
    return []


def _end(item: Any, key: str, where: str) -> float:
    return files.number(item.get(key) if isinstance(item, dict) else None, key, where)
