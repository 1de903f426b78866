"""``videoexpert data import``: other annotation formats as JSON lines of our own schema."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from os import PathLike
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from .. import files
from ..errors import DataError, InputError
from .dirty import Report
from .readers import read
from .readers.clean import UniqueIds, clean_window
from .samples import Dataset, Sample, Window
from .schema import write_samples

BENCHMARKS = {"charades-sta": "charades-sta", "vtimellm": "instruction", "qvhighlights": "qvhighlights"}
SUBTITLES = {"webvtt": ".vtt", "srt": ".srt"}
FORMATS = (*BENCHMARKS, *SUBTITLES, "label-studio")

_CLOCK = r"(?:(\d{2,}):)?([0-5]\d):([0-5]\d)"
# WebVTT: hours may be left out, point before the milliseconds. SRT: comma; points occur in the wild.
_TIME = {
    "webvtt": re.compile(_CLOCK + r"\.(\d{3})"),
    "srt": re.compile(r"(?:(\d{1,}):)([0-5]\d):([0-5]\d)[,.](\d{1,3})"),
}
_LANGUAGE = re.compile(r"\.[a-z]{2,3}(-[A-Za-z]{2,4})?$")  # clip.en.vtt, clip.pt-BR.srt
_UPLOAD = re.compile(r"^[0-9a-f]{8}-")  # Label Studio puts this before the name of an uploaded file


def import_data(
    format: str, source: str | PathLike[str], out: str | PathLike[str], *, fps: float | None = None
) -> Dataset:
    """Write ``source`` as JSON lines of our schema to ``out``, whole or not at all; returns what was written.

    format  one of FORMATS
    source  a file; for subtitles also a folder of them
    fps     label-studio only: frames a second of the videos, needed where regions count frames

    Raises InputError for a wrong call, DataError for a malformed or empty source.
    """
    path = Path(source)
    if format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    if fps is not None and format != "label-studio":
        raise InputError(f"fps belongs to label-studio, leave it out for {format}.")
    if fps is not None and not fps > 0:
        raise InputError(f"fps is {fps}, expected frames a second above 0.")
    if not path.exists():
        raise DataError(f"{path} does not exist, expected a {format} file.")
    if format in BENCHMARKS:
        dataset = read(BENCHMARKS[format], path)
    elif format in SUBTITLES:
        dataset = _read_subtitles(path, format)
    else:
        dataset = _read_label_studio(path, fps)
    if not dataset.samples:
        raise DataError(f"{path} holds nothing to import, expected at least one usable {format} record.")
    write_samples(dataset.samples, Path(out))
    return dataset


def parse_timestamp(text: str, format: str) -> float | None:
    """Seconds of a WebVTT or SRT timestamp; None where it is none."""
    match = _TIME[format].fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds, fraction = match.groups()
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000


def _read_subtitles(path: Path, format: str) -> Dataset:
    """One caption sample a file: each cue is a moment with its text."""
    if path.is_dir():
        found = sorted(path.glob(f"*{SUBTITLES[format]}"))
        if not found:
            raise DataError(f"{path} holds no *{SUBTITLES[format]} files, expected at least one.")
    else:
        found = [path]
    report, samples = Report(), []
    unique = UniqueIds(report)
    for file in found:
        video = _LANGUAGE.sub("", file.name.removesuffix(".gz").removesuffix(SUBTITLES[format]))
        windows: list[Window] = []
        captions = []
        for number, start, end, text in _cues(file, format):
            id = f"{video}_{number}"
            if not text:
                report.add("empty_text", id)
                continue
            window = clean_window((start, end), None, report, id)
            if window is not None:
                windows.append(window)
                captions.append(text)
        if windows:
            samples.append(
                Sample(unique(video), video, "caption", windows=tuple(windows), captions=tuple(captions))
            )
        else:
            report.add("no_window_left", video)
    return Dataset(format, tuple(samples), report, files=tuple(found))


def _cues(file: Path, format: str) -> Iterator[tuple[int, float, float, str]]:
    """(line of the times, start, end, text) of each cue; comments, styles and regions drop out."""
    content = files.read_text(file).replace("\r\n", "\n").replace("\r", "\n")
    rows = content.split("\n")
    if format == "webvtt" and not re.match(r"WEBVTT(?:[ \t]|$)", rows[0]):
        raise DataError(f"{file}, line 1: got {rows[0][:40]!r}, expected WEBVTT.")
    block: list[tuple[int, str]] = []
    for number, row in [*enumerate(rows, 1), (len(rows) + 1, "")]:
        if row.strip():
            block.append((number, row))
            continue
        # An identifier may stand before the times; in a NOTE an arrow is text.
        timed = next((place for place, (_, text) in enumerate(block[:2]) if "-->" in text), None)
        is_note = bool(block) and format == "webvtt" and re.match(r"NOTE(?:[ \t]|$)", block[0][1])
        if timed is not None and not is_note:
            line, text = block[timed]
            start, end = _cue_times(text, format, f"{file}, line {line}")
            yield line, start, end, _cue_text([text for _, text in block[timed + 1 :]])
        elif format == "srt" and block:
            raise DataError(f"{file}, line {block[0][0]}: a cue without times, expected START --> END.")
        block = []


def _cue_times(text: str, format: str, where: str) -> tuple[float, float]:
    left, _, right = text.partition("-->")
    fields = right.split()  # settings of the cue may follow its end
    start = parse_timestamp(left.strip(), format)
    end = parse_timestamp(fields[0], format) if fields else None
    if start is None or end is None:
        example = "00:01:02.500 --> 00:01:04.000" if format == "webvtt" else "00:01:02,500 --> 00:01:04,000"
        raise DataError(f"{where}: got {text.strip()!r}, expected times as in {example}.")
    return start, end


def _cue_text(rows: list[str]) -> str:
    """Lines joined, tags (<i>, <v Speaker>, <00:00:01.000>) and {\\an8} marks removed, entities resolved."""
    text = re.sub(r"</?[a-zA-Z][^>]*>|<\d[\d:.]*>|\{\\[^}]*\}", "", " ".join(rows))
    return " ".join(html.unescape(text).split())


def _read_label_studio(path: Path, fps: float | None) -> Dataset:
    """One grounding sample a task and label: all regions with that label are its moments.

    Video timelines export ``ranges`` of frames, numbered from 1, both ends included: frames s to e are
    ``(s - 1) / fps`` to ``e / fps`` seconds. Regions of the older
    audio-based timeline hold start and end in seconds. Of several annotations of one task
    the first that was not cancelled is read, the others are counted.
    """
    tasks = files.load_json(path)
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise DataError(f"{path}: expected the list of tasks of Label Studio's JSON export.")
    report, samples = Report(), []
    unique = UniqueIds(report)
    for index, task in enumerate(tasks):
        where = f"{path}, task {task.get('id', index)}"
        if not isinstance(task.get("annotations"), list):
            raise DataError(f"{where}: no annotations; export as JSON, not as JSON-MIN or CSV.")
        video = _task_video(task, where)
        done = [a for a in task["annotations"] if isinstance(a, dict) and not a.get("was_cancelled")]
        for _ in done[1:]:
            report.add("repeated_annotation", video)
        moments: dict[str, list[Window]] = {}
        for region in done[0].get("result", []) if done else []:
            for label, window in _region(region, fps, where):
                cleaned = clean_window(window, None, report, f"{video}_{label}")
                if cleaned is not None:
                    moments.setdefault(label, []).append(cleaned)
        for label, windows in moments.items():
            id = unique(f"{video}_{label}")
            samples.append(Sample(id, video, "grounding", query=label, windows=tuple(sorted(windows))))
    return Dataset("label-studio", tuple(samples), report, files=(path,))


def _task_video(task: dict[str, Any], where: str) -> str:
    """The file's name, from the task's one text that looks like a media address."""
    data = task.get("data")
    values = [value for value in data.values() if isinstance(value, str)] if isinstance(data, dict) else []
    address = data.get("video") if isinstance(data, dict) else None
    if not isinstance(address, str):
        media = [value for value in values if re.search(r"\.\w{2,4}(?:\?|$)", value)]
        if len(media) != 1:
            raise DataError(f"{where}: no data.video, expected the address of the video.")
        address = media[0]
    parts = urlsplit(address)
    local = parse_qs(parts.query).get("d")  # /data/local-files/?d=folder/clip.mp4
    name = PurePosixPath(unquote(local[0] if local else parts.path)).name
    if "/upload/" in parts.path:
        name = _UPLOAD.sub("", name)
    if not name:
        raise DataError(f"{where}: data.video is {address!r}, expected the address of a file.")
    return name


def _region(region: Any, fps: float | None, where: str) -> Iterator[tuple[str, Window]]:
    value = region.get("value") if isinstance(region, dict) else None
    if not isinstance(value, dict):
        return
    labels = value.get("timelinelabels") or value.get("labels")
    if not isinstance(labels, list):
        return  # another kind of region: a choice, a rating
    if isinstance(value.get("ranges"), list):
        if fps is None:
            raise DataError(f"{where}: its regions count frames; say how many make a second with --fps.")
        windows = [
            ((_end(item, "start", where) - 1) / fps, _end(item, "end", where) / fps)
            for item in value["ranges"]
        ]
    elif "start" in value and "end" in value:
        windows = [(_end(value, "start", where), _end(value, "end", where))]
    else:
        return  # labels without a time: a box in one frame
    for label in labels:
        if not isinstance(label, str) or not label.strip():
            raise DataError(f"{where}: label is {label!r}, expected a text.")
        yield from ((label, window) for window in windows)


def _end(item: Any, key: str, where: str) -> float:
    return files.number(item.get(key) if isinstance(item, dict) else None, key, where)
