"""NExT-GQA: the question file and ``gsub_*.json`` with the spans that prove each answer."""

from __future__ import annotations

from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records
from ..samples import Sample, Window
from . import nextqa
from .clean import clean_window, lies_inside

SPANS = "spans"  # a record that no question file gave its question
ROUNDING_S = 1.0  # durations are whole seconds, and spans begin up to 0.2 s before 0


def parse(
    path: Path,
    split: str | None = None,
    *,
    questions: str | PathLike[str] | None = None,
    nextqa_csv: str | PathLike[str] | None = None,
) -> Records:
    """One record a question that has spans, in the order of the spans, id ``{video}_{qid}``.

    path        ``gsub_{split}.json`` or its folder (then test unless ``split`` says)
    questions   the question file; None: ``{split}.csv`` beside the spans. Without any the records have spans only,
                which is enough to score windows
    nextqa_csv  NExT-QA's own file of the same split; its index decides where two options equal the answer

    Raises DataError for malformed files.
    """
    file, split = BENCHMARK.locate(path, split)
    report = CleaningReport()
    spans = _spans(file, report)
    segments = sum(len(record.windows) for record in spans.values())
    table = _question_file(file, split, questions)
    items = list(spans.values())
    if table is not None:
        items = _join(spans, table, nextqa.answer_indices(nextqa_csv), report)
    asked = [record for record in items if record.asked]
    counts = {
        "records": len(asked),
        "videos": len({record.video for record in asked}),
        "segments": segments,
    }
    read = (file,) if table is None else (file, table)
    return Records(tuple(items), {split or "all": counts}, split, read, report)


def _question_file(file: Path, split: str | None, given: str | PathLike[str] | None) -> Path | None:
    if given is None:
        return files.existing(file.parent, [f"{split}.csv"] if split else [])
    path = Path(given)
    if not path.is_file():
        raise DataError(f"{path} does not exist, expected the question file of nextgqa.")
    return path


def _spans(file: Path, report: CleaningReport) -> dict[str, Record]:
    """``{video}_{qid}`` -> a record of the spans alone."""
    database = files.load_json(file)
    if not isinstance(database, dict):
        raise DataError(f"{file}: expected one object of videos, got {type(database).__name__}.")
    spans = {}
    for video, entry in database.items():
        where = f"{file}, video {video}"
        location: Any = entry.get("location") if isinstance(entry, dict) else None
        if not isinstance(location, dict):
            raise DataError(f"{where}: expected duration and location (question id to segments).")
        duration_s = files.duration(entry.get("duration"), where)
        if not location:
            report.add("empty_location", video)
        for qid in location:
            id, place = f"{video}_{qid}", f"video {video}, question {qid}"
            there = f"{file}, {place}"
            segments = files.list_field(location, qid, there)
            windows = [files.pair(value, there) for value in segments]
            spans[id] = Record(id, video, "", windows, duration_s, place, SPANS)
    return spans


def _join(
    spans: dict[str, Record], table: Path, indices: dict[str, int], report: CleaningReport
) -> list[Record]:
    """The spans with their questions; a span without a question keeps its place but is never asked."""
    rows = {}
    for row in nextqa.parse_questions(table, report, indices):
        if row.id not in spans:
            report.add("question_without_spans", row.id)
        rows[row.id] = row
    joined = []
    for id, span in spans.items():
        if id in rows:
            row = rows[id]
            row.windows, row.duration_s = span.windows, span.duration_s
            joined.append(row)
        else:
            report.add("spans_without_question", id)
            span.asked = False
            joined.append(span)
    return joined


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The question as a grounded-QA sample.

    A span that ends up to 1 s after the duration is kept, and the duration raised: spans are finer than durations,
    which are rounded to whole seconds. A start up to 1 s before 0 is kept, as the official scorer takes it.
    """
    if not record.asked:
        return None
    if record.form == SPANS:
        raise DataError(
            f"no question file for {record.id}: expected SPLIT.csv beside the spans; "
            "give the question file (questions=, or --questions)."
        )
    windows, duration_s = usable_spans(record, report)
    sample = nextqa.clean(record, report)
    if sample is None:
        return None
    if not windows:
        report.add("no_window_left", record.id)
        return None
    return replace(sample, task="grounded_qa", duration_s=duration_s, windows=windows)


def kept(record: Record) -> Record:
    """The record as scored: usable spans only, and never asked if ``clean`` drops it."""
    right = not record.options or bool(record.right)
    if right and record.windows and lies_inside(record):
        return record
    windows, _ = usable_spans(record, CleaningReport())
    return replace(record, windows=windows or record.windows, asked=record.asked and right and bool(windows))


def usable_spans(record: Record, report: CleaningReport) -> tuple[tuple[Window, ...], float]:
    """The spans that can be found, and the duration that they show."""
    assert record.duration_s is not None
    duration_s = rounded = record.duration_s
    for _, end in record.windows:
        if rounded < end <= rounded + ROUNDING_S:
            report.add("end_after_rounded_duration", record.id, f"{end} of {rounded}")
            duration_s = max(duration_s, end)
    cleaned = (
        clean_window(window, duration_s, report, record.id, slack_s=ROUNDING_S) for window in record.windows
    )
    return tuple(window for window in cleaned if window is not None), duration_s


def inspect(read: tuple[Path, ...], split: str | None, report: CleaningReport) -> None:
    """Count videos of a ``frame2time_*.json`` whose last time is after the duration; reading needs no such file."""
    spans = read[0]
    table = files.existing(spans.parent, [f"frame2time_{split}.json"]) if split else None
    if table is None:
        return
    database, times = files.load_json(spans), files.load_json(table)
    if not isinstance(database, dict) or not isinstance(times, dict):
        raise DataError(f"{table}: expected an object of videos with 32 times each.")
    for video, values in times.items():
        duration_s = database[video]["duration"] if video in database else float("inf")
        if isinstance(values, list) and values and values[-1] > duration_s:
            report.add("frame_time_after_duration", video, f"{values[-1]} of {duration_s}")


BENCHMARK = Benchmark(
    name="nextgqa",
    title="NExT-GQA",
    parse=parse,
    clean=clean,
    kept=kept,
    layout={split: (f"gsub_{split}.json",) for split in ("test", "val")},
    published={
        "val": {"records": 3358, "videos": 567, "segments": 3931},
        "test": {"records": 5553, "videos": 990, "segments": 6600},
    },
    options={
        "questions": "the CSV with the questions, the right options and the question types",
        "nextqa_csv": "NExT-QA's own file of the same split, for the index of an answer that equals two options",
    },
    tasks=("grounded_qa",),
    scorer="grounded questions",
    answered=True,
    drawn=True,
    train_split="val",
    inspect=inspect,
    documented={
        "files": "`gsub_{val,test}.json` with `{val,test}.csv`",
        "sample": "grounded_qa",
        "id": "`VIDEO_QID`",
        "task": "grounded question answering",
        "source": "NExT-GQA",
    },
)
