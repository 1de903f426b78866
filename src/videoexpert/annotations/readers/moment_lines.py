"""JSON lines (or one list) of queries and their windows: QVHighlights' layout, which others are also given in."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ...windows import CLIP_S, clip_count
from ..dirty import CleaningReport
from ..records import MISMATCH, OTHER_GRID, Record, Records, counted
from ..samples import Sample, Window
from .clean import UniqueIds, clean_text, is_unicode, lies_inside, named, usable_windows

VERY_GOOD = 4  # highest score of one annotator
FORM = "lines"


def read_lines(file: Path, split: str | None) -> Records:
    """One record a line, id = ``qid`` as text. Raises DataError with the line of a malformed record."""
    report = CleaningReport()
    unique, queries = UniqueIds(report), set()
    items = []
    for place, record in files.json_records(file):
        where = f"{file}, {place}"
        if "pred_relevant_windows" in record or "pred_saliency_scores" in record:
            raise DataError(f"{where}: a prediction, expected an annotation; give this file as predictions.")
        id = unique(files.id_field(record, "qid", where))
        video = files.id_field(record, "vid", where)
        query = files.text_field(record, "query", where)
        plain = " ".join(query.split())
        if plain and plain in queries:
            report.add("repeated_query", id, plain)
        queries.add(plain)
        labelled = record.get("relevant_windows") is not None
        listed = files.list_field(record, "relevant_windows", where) if labelled else []
        windows = [files.pair(window, where) for window in listed]
        clip_ids, marks = _marks(record, where)
        items.append(
            Record(
                id,
                video,
                query,
                windows,
                files.duration(record.get("duration"), where),
                place,
                FORM,
                labelled,
                clip_ids=clip_ids,
                marks=marks,
                kind=OTHER_GRID if marks is None and record.get("label") is not None else "",
            )
        )
    return Records(tuple(items), counted(items, split), split, (file,), report)


def _marks(record: dict[str, Any], where: str) -> tuple[list[int], list[list[float]] | None]:
    """Clip numbers and the scores of each; None where the record has no scores."""
    if record.get("saliency_scores") is None:
        return [], None
    scores = files.list_field(record, "saliency_scores", where)
    clips = files.list_field(record, "relevant_clip_ids", where)
    # sets of types, not a test a number: there are hundreds a query
    if not set(map(type, scores)) <= {list} or not all(scores):
        raise DataError(f"{where}: saliency_scores, expected a list of scores for each clip.")
    if {type(value) for score in scores for value in score} != {int}:
        for score in scores:
            for value in score:
                files.number(value, "saliency score", where)
    if not set(map(type, clips)) <= {int}:
        faulty = next(clip for clip in clips if type(clip) is not int)
        raise DataError(f"{where}: relevant_clip_ids holds {faulty!r}, expected whole numbers.")
    return clips, scores


def clean_grounding(record: Record, report: CleaningReport) -> Sample | None:
    """The query as a grounding sample; see ``clean_highlight``."""
    return _clean(record, report, "grounding")


def clean_highlight(record: Record, report: CleaningReport) -> Sample | None:
    """The query with its windows and one tuple of scores for every clip; without scores a grounding sample.

    A record with a window that cannot be found is dropped whole: the remaining windows are not all that is relevant.
    """
    return _clean(record, report, "highlight")


def _clean(record: Record, report: CleaningReport, task: str) -> Sample | None:
    id, duration_s = record.id, record.duration_s
    assert duration_s is not None
    query = clean_text(record.text, report, id)
    if not named(record, report):
        return None
    _note_span(record.video, duration_s, report, id)
    if not query:
        report.add("empty_text", id)
        return None
    windows = usable_windows(record, report)
    if windows is None:
        return None
    saliency = _saliency(record, windows, report) if task == "highlight" else None
    if record.kind == OTHER_GRID:
        report.add("other_clip_grid", id)
    kind = task if saliency is not None or not record.labelled else "grounding"
    return Sample(
        id,
        record.video,
        kind,
        duration_s,
        query,
        windows,
        saliency=saliency,
        labelled=record.labelled,
    )


def kept_highlight(record: Record) -> Record:
    """The record as scored. Scores that match no windows are kept but never evaluated (see ``kind``)."""
    report = CleaningReport()
    inside = lies_inside(record)
    usable = record.windows if inside else usable_windows(record, report)
    text_is_good = bool(record.text.strip()) and is_unicode(record.text + record.video + record.id)
    asked = text_is_good and usable is not None
    windows = record.windows if usable is None else usable
    fits = record.marks is None or usable is None or marks_fit(record, windows)
    if inside and asked and fits:
        return record
    return replace(record, windows=windows, asked=asked, kind=record.kind if fits else MISMATCH)


def _saliency(
    record: Record, windows: Sequence[Window], report: CleaningReport
) -> tuple[tuple[float, ...], ...] | None:
    """One tuple of scores for every clip of the video; unlabelled clips score 0 (the data set's rule)."""
    if record.marks is None:
        return None
    if not marks_fit(record, windows):
        report.add(
            "saliency_mismatch", record.id, f"{len(record.marks)} scores, {len(record.clip_ids)} clips"
        )
        return None
    if not any(value >= VERY_GOOD for marks in record.marks for value in marks):
        report.add("no_very_good_clip", record.id)
    grid = dict(zip(record.clip_ids, record.marks, strict=True))
    zeros = [0.0] * (len(record.marks[0]) if record.marks else 3)
    return tuple(tuple(grid.get(clip, zeros)) for clip in range(clip_count(record.duration_s or 0.0)))


def marks_fit(record: Record, windows: Sequence[Window]) -> bool:
    """Whether there is one list of scores, of as many annotators, for each clip in the windows and for no other."""
    marks = record.marks or ()
    inside: set[int] = set()
    for start, end in windows:
        inside.update(range(int(start // CLIP_S), clip_count(end)))
    return (
        len(marks) == len(record.clip_ids) == len(inside)
        and inside == set(record.clip_ids)
        and len(set(map(len, marks))) <= 1
    )


def _note_span(video: str, duration_s: float, report: CleaningReport, id: str) -> None:
    """``{youtube id}_{start}_{end}``: split from the right, because YouTube ids contain '_'."""
    match = re.fullmatch(r".*_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)", video)
    if match and duration_s < float(match[2]) - float(match[1]):
        report.add("shorter_than_id", id, f"{duration_s} s of {video}")
