"""Charades-STA: ``VIDEO START END##sentence`` lines, and the lengths from ``Charades_v1_*.csv``."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset, Sample
from .clean import UniqueIds, clean_text, clean_window
from .qvhighlights import read_moment_lines

EXTRA = ("lengths_csv", "clip")
SPLITS = ("train", "test")


def read(
    path: Path,
    *,
    split: str | None = None,
    lengths_csv: str | PathLike[str] | None = None,
    clip: bool = True,
) -> Dataset:
    """One grounding sample a line; id ``{video}_{line number}``, so that a dropped line moves no other id.

    path         ``charades_sta_{split}.txt``, its folder, or the same annotations in QVHighlights' JSON lines
    lengths_csv  table of video lengths; None: every ``Charades_v1_{train,test}.csv`` beside the file
    clip         windows past the end of the video are clipped to it; False leaves them as annotated, as
                 scorers do that read the text file alone

    Four reversed records of the training split are dropped: three lie after the end of their video, so
    swapping does not repair them. Raises DataError with the line of a malformed record.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of charades-sta is {split!r}, expected one of {', '.join(SPLITS)}.")
    names = [f"charades_sta_{name}.txt" for name in ([split] if split else ["test", "train"])]
    file = files.locate(path, names)
    split = split or files.split_in_name(file, SPLITS)
    if ".json" in file.name:
        return read_moment_lines(file, "charades-sta", "grounding", split)
    lengths, tables = video_lengths(file, lengths_csv)
    report, samples, videos, total = Report(), [], set(), 0
    unique, seen = UniqueIds(report), set()
    for line_number, line in files.lines(file):
        total += 1
        video, start, end, sentence = _parse(line, f"{file}, line {line_number}")
        id = f"{video}_{line_number}"
        videos.add(video)
        if line in seen:
            report.add("duplicate", id, line)
        seen.add(line)
        duration_s = lengths.get(video)
        if duration_s is None:
            report.add("no_duration", id)
        query = clean_text(sentence, report, id)
        if not query:
            report.add("empty_text", id)
            continue
        if len(query.split()) <= 3:
            report.add("few_words", id, query)
        window = clean_window((start, end), duration_s, report, id, clip=clip)
        if window is not None:
            samples.append(Sample(unique(id), video, "grounding", duration_s, query, (window,)))
    counts = {split or "all": {"records": total, "videos": len(videos)}}
    return Dataset("charades-sta", tuple(samples), report, counts, split, (file, *tables))


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


def inspect_lengths(table: Path, report: Report) -> None:
    """Dirty records of a ``Charades_v1_*.csv``; for `data check` only: reading needs just lengths."""
    for number, row in files.csv_rows(table, ("id", "length", "actions", "quality")):
        where = f"{table}, line {number}"
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


def _parse(line: str, where: str) -> tuple[str, float, float, str]:
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
