"""Charades-STA: ``VIDEO START END##sentence`` lines, and the lengths from ``Charades_v1_*.csv``."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample
from . import query_forms
from .clean import UniqueIds, clean_text, clean_window, named

SPLITS = ("train", "test")
FORM = "text"


def parse(path: Path, split: str | None = None, *, lengths_csv: str | PathLike[str] | None = None) -> Records:
    """One record a line, id ``{video}_{line number}``.

    path         ``charades_sta_{split}.txt`` or its folder; or the same annotations in one of the ``query_forms``
    lengths_csv  table of video lengths; None: every ``Charades_v1_{train,test}.csv`` beside the file

    Raises DataError with the line of a malformed record.
    """
    file, split = BENCHMARK.locate(path, split)
    if query_forms.is_json(file):
        return query_forms.parse(file, split)
    return _parse_text(file, split, lengths_csv)


def _parse_text(file: Path, split: str | None, lengths_csv: str | PathLike[str] | None) -> Records:
    lengths, tables = video_lengths(file, lengths_csv)
    report, items = CleaningReport(), []
    unique, seen = UniqueIds(report), set()
    for number, line in files.lines(file):
        video, start, end, sentence = _parse_line(line, f"{file}, line {number}")
        id = unique(f"{video}_{number}")
        if line in seen:
            report.add("duplicate", id, line)
        seen.add(line)
        items.append(Record(id, video, sentence, ((start, end),), lengths.get(video), f"line {number}", FORM))
    return Records(tuple(items), counted(items, split), split, (file, *tables), report)


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The query as a grounding sample. Windows past the end of the video are clipped to it.

    Four reversed records of the training split are dropped: three start after the end of their video, so
    swapping does not repair them.
    """
    if record.form != FORM:
        return query_forms.clean(record, report)
    if not named(record, report):
        return None
    if record.duration_s is None:
        report.add("no_duration", record.id)
    query = clean_text(record.text, report, record.id)
    if not query:
        report.add("empty_text", record.id)
        return None
    if len(query.split()) <= 3:
        report.add("few_words", record.id, query)
    window = clean_window(record.windows[0], record.duration_s, report, record.id)
    if window is None:
        return None
    return Sample(record.id, record.video, "grounding", record.duration_s, query, (window,))


def video_lengths(
    file: Path, lengths_csv: str | PathLike[str] | None
) -> tuple[dict[str, float], tuple[Path, ...]]:
    """Video id -> seconds, and the tables they came from."""
    if lengths_csv is not None:
        tables = [files.locate(Path(lengths_csv), [f"Charades_v1_{split}.csv" for split in SPLITS])]
    else:
        found = (files.existing(file.parent, [f"Charades_v1_{split}.csv"]) for split in SPLITS)
        tables = [table for table in found if table is not None]
    lengths = {}
    for table in tables:
        for number, row in files.csv_rows(table, ("id", "length")):
            lengths[row["id"]] = _seconds(row["length"], f"{table}, line {number}")
    return lengths, tuple(tables)


def inspect(read: tuple[Path, ...], split: str | None, report: CleaningReport) -> None:
    """Dirty records of the tables of lengths that were read; reading needs just the lengths."""
    for table in read[1:]:
        for number, row in files.csv_rows(table, ("id", "length", "actions", "quality")):
            _inspect_row(row, f"{table}, line {number}", report)


def _inspect_row(row: dict[str, str], where: str, report: CleaningReport) -> None:
    length = _seconds(row["length"], where)
    for column in ("actions", "quality"):
        if not row[column].strip():
            report.add(f"v1_empty_{column}", row["id"])
    for action in filter(None, row["actions"].split(";")):
        parts = action.split()
        if len(parts) != 3:
            raise DataError(f"{where}: action {action!r}, expected 'cNNN start end'.")
        start, end = (_seconds(part, where, zero=True) for part in parts[1:])
        if end > length:
            report.add("v1_action_after_length", row["id"], f"{action} of {length}")
        if start >= end:
            report.add("v1_action_reversed", row["id"], action)


def _parse_line(line: str, where: str) -> tuple[str, float, float, str]:
    head, separator, sentence = line.partition("##")
    fields = head.split()
    if not separator or len(fields) != 3:
        raise DataError(f"{where}: got {line[:60]!r}, expected 'VIDEO START END##sentence'.")
    return fields[0], _time(fields[1], where), _time(fields[2], where), sentence


def _time(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{where}: time is {text!r}, expected seconds.")
    return value


def _seconds(text: str, where: str, zero: bool = False) -> float:
    value = _time(text, where)
    if value < 0 or (value == 0 and not zero):
        raise DataError(f"{where}: length is {text}, expected seconds above 0.")
    return value


BENCHMARK = Benchmark(
    name="charades-sta",
    title="Charades-STA",
    parse=parse,
    clean=clean,
    layout={"test": ("charades_sta_test.txt",), "train": ("charades_sta_train.txt",)},
    published={"train": {"records": 12408, "videos": 5338}, "test": {"records": 3720, "videos": 1334}},
    options={"lengths_csv": "Charades_v1_*.csv, the table of video lengths"},
    tasks=("grounding",),
    scorer="grounding",
    answered=True,
    drawn=True,
    probed=True,
    inspect=inspect,
    documented={
        "files": "`charades_sta_{train,test}.txt`, lengths from `Charades_v1_{train,test}.csv` beside it",
        "sample": "grounding, one a line",
        "id": "`VIDEO_LINE`",
        "task": "temporal grounding",
        "source": "Charades-STA text (2D-TAN, VideoX) and `Charades_v1_*.csv` for the lengths",
    },
)
