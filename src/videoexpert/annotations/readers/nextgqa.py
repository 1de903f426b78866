"""NExT-GQA: the question file and ``gsub_*.json`` with the spans that prove each answer."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset, Sample, Window
from .clean import clean_window
from .nextqa import answer_indices, questions

EXTRA = ("questions", "nextqa_csv", "clip")
SPLITS = ("val", "test")
ROUNDING_S = 1.0  # durations are whole seconds


def read(
    path: Path,
    *,
    split: str | None = None,
    questions: str | PathLike[str] | None = None,
    nextqa_csv: str | PathLike[str] | None = None,
    clip: bool = True,
) -> Dataset:
    """One grounded-QA sample a question that has spans, id ``{video}_{qid}``.

    path        ``gsub_{split}.json`` or its folder (then test unless ``split`` says)
    questions   the question file; None: ``{split}.csv`` beside the spans
    nextqa_csv  NExT-QA's own file of the same split; its index decides where two options equal the answer
    clip        False leaves spans exactly as annotated (36 of the test split start 0.1 or 0.2 s before 0), as
                the official scorer takes them

    A span that ends up to 1 s after the duration is kept, and the duration raised: spans are finer than
    durations, which are rounded to whole seconds. Raises DataError for malformed files.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of nextgqa is {split!r}, expected one of {', '.join(SPLITS)}.")
    file = files.locate(path, [f"gsub_{name}.json" for name in ([split] if split else ["test", "val"])])
    split = split or files.split_in_name(file, SPLITS)
    table = _question_file(file, split, questions)
    report = Report()
    spans, segments = _spans(file, report, clip)
    return _join(file, table, split, spans, segments, answer_indices(nextqa_csv), report)


def inspect_frame_times(table: Path, spans: Path, report: Report) -> None:
    """Count videos of a ``frame2time_*.json`` whose last time is after the duration; `data check` only."""
    database, times = files.load_json(spans), files.load_json(table)
    if not isinstance(database, dict) or not isinstance(times, dict):
        raise DataError(f"{table}: expected an object of videos with 32 times each.")
    for video, values in times.items():
        duration_s = database[video]["duration"] if video in database else float("inf")
        if isinstance(values, list) and values and values[-1] > duration_s:
            report.add("frame_time_after_duration", video, f"{values[-1]} of {duration_s}")


def _question_file(file: Path, split: str | None, given: str | PathLike[str] | None) -> Path:
    if given is not None:
        path = Path(given)
        if not path.is_file():
            raise DataError(f"{path} does not exist, expected the question file of nextgqa.")
        return path
    found = files.existing(file.parent, [f"{split}.csv"] if split else [])
    if found is None:
        raise DataError(
            f"no {split or 'SPLIT'}.csv beside {file}; give the question file (questions=, or --questions)."
        )
    return found


def _join(
    file: Path,
    table: Path,
    split: str | None,
    spans: dict[str, tuple[float, tuple[Window, ...]]],
    segments: int,
    indices: dict[str, int],
    report: Report,
) -> Dataset:
    samples, videos, total, asked = [], set(), 0, set()
    for question in questions(table, report, indices):
        key = f"{question.video}_{question.qid}"
        asked.add(key)
        if key not in spans:
            report.add("question_without_spans", question.id)
            continue
        total += 1
        videos.add(question.video)
        if question.choice is None:
            continue  # counted by questions()
        duration_s, windows = spans[key]
        if not windows:
            report.add("no_window_left", question.id)
            continue
        samples.append(
            Sample(
                question.id,
                question.video,
                "grounded_qa",
                duration_s,
                question.text,
                windows,
                choices=question.choices,
                answer=question.answer,
                choice=question.choice,
                question_type=question.type,
            )
        )
    for key in spans:
        if key not in asked:
            report.add("spans_without_question", key)
    counts = {split or "all": {"records": total, "videos": len(videos), "segments": segments}}
    return Dataset("nextgqa", tuple(samples), report, counts, split, (file, table))


def _spans(file: Path, report: Report, clip: bool) -> tuple[dict[str, tuple[float, tuple[Window, ...]]], int]:
    """``{video}_{qid}`` -> (duration, windows), and the number of segments in the file."""
    database = files.load_json(file)
    if not isinstance(database, dict):
        raise DataError(f"{file}: expected one object of videos, got {type(database).__name__}.")
    spans, segments = {}, 0
    for video, record in database.items():
        where = f"{file}, video {video}"
        location: Any = record.get("location") if isinstance(record, dict) else None
        if not isinstance(location, dict):
            raise DataError(f"{where}: expected duration and location (question id to segments).")
        rounded = files.duration(record.get("duration"), where)
        if not location:
            report.add("empty_location", video)
        for qid, values in location.items():
            id = f"{video}_{qid}"
            pairs = [files.pair(value, f"{where}, question {qid}") for value in values]
            segments += len(pairs)
            duration_s = _true_duration(pairs, rounded, report, id)
            cleaned = (clean_window(pair, duration_s, report, id, clip=clip) for pair in pairs)
            spans[id] = duration_s, tuple(window for window in cleaned if window is not None)
    return spans, segments


def _true_duration(pairs: list[Window], rounded: float, report: Report, id: str) -> float:
    duration_s = rounded
    for _, end in pairs:
        if rounded < end <= rounded + ROUNDING_S:
            report.add("end_after_rounded_duration", id, f"{end} of {rounded}")
            duration_s = max(duration_s, end)
    return duration_s
