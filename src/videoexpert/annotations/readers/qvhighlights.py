"""QVHighlights JSON lines, and other data sets in that layout (Charades-STA, TACoS in lighthouse)."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import CLIP_S, Dataset, Sample, Window, clip_count
from .clean import UniqueIds, clean_text, clean_window, note_id

EXTRA = ()
SPLITS = ("train", "val", "test")
VERY_GOOD = 4  # highest score of one annotator


def read(path: Path, *, split: str | None = None) -> Dataset:
    """One highlight sample a query, id = ``qid`` as text; windows and one score triple for every 2 s clip.

    path  ``highlight_{split}_release.jsonl``, or its folder (then val unless ``split`` says otherwise)

    The test split has no labels: its samples are ``labelled=False``. Raises DataError with the line of a
    malformed record.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of qvhighlights is {split!r}, expected one of {', '.join(SPLITS)}.")
    names = [f"highlight_{name}_release.jsonl" for name in ([split] if split else ["val", "test", "train"])]
    file = files.locate(path, names)
    return read_moment_lines(file, "qvhighlights", "highlight", split or files.split_in_name(file, SPLITS))


def read_moment_lines(file: Path, benchmark: str, task: str, split: str | None) -> Dataset:
    """Any file in QVHighlights' layout. Records without saliency scores become grounding samples."""
    report, samples, videos, total = Report(), [], set(), 0
    unique, queries = UniqueIds(report), set()
    for line_number, record in files.json_lines(file):
        total += 1
        where = f"{file}, line {line_number}"
        if "pred_relevant_windows" in record or "pred_saliency_scores" in record:
            raise DataError(f"{where}: a prediction, expected an annotation; give this file as predictions.")
        id = files.id_field(record, "qid", where)
        video = files.id_field(record, "vid", where)
        duration_s = files.duration(record.get("duration"), where)
        query = clean_text(files.text_field(record, "query", where), report, id)
        videos.add(video)
        note_id(video, report)
        _note_span(video, duration_s, report, id)
        if not query:
            report.add("empty_text", id)
            continue
        if task == "highlight" and query in queries:
            report.add("repeated_query", id, query)
        queries.add(query)
        labelled = record.get("relevant_windows") is not None
        windows = _windows(record, duration_s, report, id, where) if labelled else ()
        if labelled and record["relevant_windows"] and not windows:
            report.add("no_window_left", id)
            continue
        saliency = _saliency(record, windows, duration_s, report, id, where)
        kind = task if saliency is not None or not labelled else "grounding"
        samples.append(
            Sample(unique(id), video, kind, duration_s, query, windows, saliency=saliency, labelled=labelled)
        )
    counts = {split or "all": {"records": total, "videos": len(videos)}}
    return Dataset(benchmark, tuple(samples), report, counts, split, (file,))


def _windows(
    record: dict[str, Any], duration_s: float, report: Report, id: str, where: str
) -> tuple[Window, ...]:
    pairs = [files.pair(window, where) for window in files.list_field(record, "relevant_windows", where)]
    cleaned = (clean_window(window, duration_s, report, id) for window in pairs)
    return tuple(window for window in cleaned if window is not None)


def _saliency(
    record: dict[str, Any],
    windows: tuple[Window, ...],
    duration_s: float,
    report: Report,
    id: str,
    where: str,
) -> tuple[tuple[float, ...], ...] | None:
    """One tuple of scores for every clip of the video; clips nobody labelled have 0 (the data set's rule)."""
    if record.get("saliency_scores") is None:
        if (
            record.get("label") is not None
        ):  # TVSum: one second a clip; YouTube Highlights: 100 frames every 50
            report.add("other_clip_grid", id)
        return None
    scores = files.list_field(record, "saliency_scores", where)
    clips = files.list_field(record, "relevant_clip_ids", where)
    if not all(isinstance(score, list) and score for score in scores):
        raise DataError(f"{where}: saliency_scores, expected a list of scores for each clip.")
    for score in scores:
        for value in score:
            files.number(value, "saliency score", where)
    for clip in clips:
        if isinstance(clip, bool) or not isinstance(clip, int):
            raise DataError(f"{where}: relevant_clip_ids holds {clip!r}, expected whole numbers.")
    count = clip_count(duration_s)
    annotators = {len(score) for score in scores}
    inside = {
        clip
        for start, end in windows
        for clip in range(int(start // CLIP_S), clip_count(end) if end > start else 0)
    }
    if len(scores) != len(clips) or len(annotators) > 1 or set(clips) != inside or len(inside) != len(clips):
        report.add(
            "saliency_mismatch", id, f"{len(scores)} scores, {len(clips)} clips, {len(inside)} in windows"
        )
        return None
    if not any(value >= VERY_GOOD for score in scores for value in score):
        report.add("no_very_good_clip", id)
    grid = dict(zip(clips, scores, strict=True))
    zeros = [0] * (annotators.pop() if annotators else 3)
    return tuple(tuple(grid.get(clip, zeros)) for clip in range(count))


def _note_span(video: str, duration_s: float, report: Report, id: str) -> None:
    """``{youtube id}_{start}_{end}``: split from the right, because YouTube ids contain '_'."""
    match = re.fullmatch(r".*_(\d+(?:\.\d+)?)_(\d+(?:\.\d+)?)", video)
    if match and duration_s < float(match[2]) - float(match[1]):
        report.add("shorter_than_id", id, f"{duration_s} s of {video}")
