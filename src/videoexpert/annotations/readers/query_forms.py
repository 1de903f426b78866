"""Queries with their windows in the JSON of other projects: what Charades-STA and ActivityNet are also given in.

JSON lines of QVHighlights' layout, TimeChat's list of ``id, image_id, caption, timestamp``, and the sentences of
ActivityNet Captions' object of videos.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample
from . import events, moment_lines
from .clean import UniqueIds, clean_text, clean_window, named

FORM = "timechat"


def is_json(file: Path) -> bool:
    """Whether the file holds JSON of some form rather than text."""
    return files.read_text(file).lstrip()[:1] in ("{", "[")


def parse(file: Path, split: str | None) -> Records:
    """One record a query. Raises DataError for another form, and for a malformed record with its place."""
    text = files.read_text(file).strip()
    first = text.partition("\n")[0].strip()
    if text.startswith("[") or ('"qid"' in first and first.endswith("}")):
        return moment_lines.read_lines(file, split)
    return parse_content(file, files.parse_json(text, str(file)), split)


def parse_content(file: Path, content: Any, split: str | None) -> Records:
    """The same of one object that is parsed already."""
    if not has_queries(content):
        items = list(events.sentences_of(events.parse_events(file, content, split)))
        return Records(tuple(items), counted(items, split), split, (file,))
    report = CleaningReport()
    unique = UniqueIds(report)
    items = []
    for place, row in enumerate(content["annotations"]):
        where = f"{file}, annotation {place}"
        items.append(
            Record(
                unique(files.id_field(row, "id", where)),
                files.id_field(row, "image_id", where),
                files.text_field(row, "caption", where),
                (files.pair(row.get("timestamp"), where),),
                place=f"annotation {place}",
                form=FORM,
            )
        )
    return Records(tuple(items), counted(items, split), split, (file,), report)


def has_queries(content: Any) -> bool:
    """Whether parsed JSON is TimeChat's list of queries. Raises DataError for a list of something else."""
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list) or any(isinstance(row, dict) and "segments" in row for row in rows):
        return False
    if not all(isinstance(row, dict) for row in rows):
        raise DataError("annotations, expected a list of objects with id, image_id, caption and timestamp.")
    return True


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The query as a grounding sample, by the rules of the layout that it was read from."""
    if record.form == events.FORM:
        return events.clean_sentence(record, report, short_s=0.0)
    if record.form == moment_lines.FORM:
        return moment_lines.clean_grounding(record, report)
    if not named(record, report):
        return None
    query = clean_text(record.text, report, record.id)
    if not query:
        report.add("empty_text", record.id)
        return None
    window = clean_window(record.windows[0], record.duration_s, report, record.id)
    if window is None:
        return None
    return Sample(record.id, record.video, "grounding", record.duration_s, query, (window,))
