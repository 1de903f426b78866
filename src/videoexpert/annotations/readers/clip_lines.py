"""JSON lines of videos with one label list a clip: TVSum and YouTube Highlights as lighthouse has them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample, Window
from .clean import UniqueIds, clean_text, named

Grid = Callable[[dict[str, Any], int, float, str], list[Window]]


def read_clips(file: Path, split: str | None, grid: Grid) -> Records:
    """One record a video, id = ``qid``; ``kind`` is its domain.

    grid  (row, number of labels, duration, where) -> (start, end) seconds of each labelled clip

    Raises DataError with the line of a malformed record.
    """
    report = CleaningReport()
    unique = UniqueIds(report)
    items = []
    for place, row in files.json_records(file):
        where = f"{file}, {place}"
        if "pred_saliency_scores" in row:
            raise DataError(f"{where}: a prediction, expected an annotation; give this file as predictions.")
        duration_s = files.duration(row.get("duration"), where)
        marks = files.list_field(row, "label", where)
        if not marks or not all(isinstance(scores, list) and scores for scores in marks):
            raise DataError(f"{where}: label, expected a list of scores for each clip.")
        for scores in marks:
            for value in scores:
                files.number(value, "label", where)
        items.append(
            Record(
                unique(files.id_field(row, "qid", where)),
                files.id_field(row, "vid", where),
                files.text_field(row, "query", where),
                (),
                duration_s,
                place,
                labelled=False,
                marks=marks,
                clips=grid(row, len(marks), duration_s, where),
                kind=files.text_field(row, "domain", where),
            )
        )
    return Records(tuple(items), counted(items, split), split, (file,), report)


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The video as a highlight sample, with scores for ``clips`` and no windows."""
    if not named(record, report):
        return None
    query = clean_text(record.text, report, record.id)
    if not query:
        report.add("empty_text", record.id)
        return None
    marks = record.marks or ()
    if len(set(map(len, marks))) > 1 or len(marks) != len(record.clips):
        report.add("labels_mismatch", record.id, f"{len(marks)} labels, {len(record.clips)} clips")
        return None
    return Sample(
        record.id,
        record.video,
        "highlight",
        record.duration_s,
        query,
        saliency=tuple(tuple(scores) for scores in marks),
        clips=tuple(record.clips),
        question_type=record.kind,
        labelled=False,
    )
