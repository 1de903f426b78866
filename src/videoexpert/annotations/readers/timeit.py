"""TimeIT / VTG-IT instruction JSON lines: times are read back from the answers' text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import CLIP_S, Dataset, Sample, Window
from .clean import clean_text, clean_window

EXTRA = ()
TIME = r"(\d+(?:\.\d+)?)"
# An event begins the answer or follows two spaces or a line break; descriptions hold commas and numbers too.
EVENT = re.compile(rf"(?:^|\s{{2,}}|\n){TIME} - {TIME} seconds, ")
GROUNDING = re.compile(rf"The given query happens in {TIME} - {TIME} seconds?\.?")
HIGHLIGHT = re.compile(
    r"There are \d+ highlight moments? in the ([\d., ]+?) seconds?\. "
    r"Their saliency scores are ([\d., ]+?)\.?"
)


def read(path: Path, *, split: str | None = None) -> Dataset:
    """One caption, grounding or highlight sample an answer, id ``{line}_{index}``; others become QA samples.

    The query of grounding and highlights is the quoted part of the question, or all of it. Scores stand for
    every 2 s clip up to the last that is named (the files hold no durations). Raises DataError with the line.
    """
    if split is not None:
        raise InputError("timeit files have no splits; leave split out.")
    if not path.is_file():
        raise DataError(f"{path} is a folder, expected one TimeIT JSON lines file.")
    report, samples, videos, total = Report(), [], set(), 0
    for line_number, record in files.json_lines(path):
        where = f"{path}, line {line_number}"
        video = files.text_field(record, "video", where)
        videos.add(video)
        source = str(record["source"]) if record.get("source") else None
        for index, item in enumerate(files.list_field(record, "QA", where)):
            total += 1
            if not isinstance(item, dict):
                raise DataError(f"{where}: QA {index}, expected an object with q and a.")
            question, answer = files.text_field(item, "q", where), files.text_field(item, "a", where)
            sample = _sample(f"{line_number}_{index}", video, question, answer, source, report)
            if sample is not None:
                samples.append(sample)
    counts = {"all": {"records": total, "videos": len(videos)}}
    return Dataset("timeit", tuple(samples), report, counts, None, (path,))


def _sample(
    id: str, video: str, question: str, answer: str, source: str | None, report: Report
) -> Sample | None:
    common: dict[str, Any] = {"id": id, "video": video, "source": source}
    answer = answer.strip()
    if not answer or not question.strip():
        report.add("empty_text", id)
        return None
    if match := GROUNDING.fullmatch(answer):
        window = clean_window((float(match[1]), float(match[2])), None, report, id)
        if window is None:
            return None
        return Sample(task="grounding", query=_query(question, report, id), windows=(window,), **common)
    if match := HIGHLIGHT.fullmatch(answer):
        return _highlight(match[1], match[2], _query(question, report, id), common, report, id)
    if EVENT.match(answer):
        return _captions(answer, common, report, id)
    question = clean_text(question, report, id)
    return Sample(task="qa", query=question, answer=clean_text(answer, report, id), **common)


def _query(question: str, report: Report, id: str) -> str:
    quoted = re.search(r"""(?<!\w)'(.+)'(?!\w)|"(.+)\"""", question, re.DOTALL)
    return clean_text((quoted[1] or quoted[2]) if quoted else question, report, id)


def _captions(answer: str, common: dict[str, Any], report: Report, id: str) -> Sample | None:
    parts = EVENT.split(answer)  # "", start, end, text, start, end, text, ...
    windows: list[Window] = []
    captions = []
    for start, end, text in zip(parts[1::3], parts[2::3], parts[3::3], strict=True):
        caption = clean_text(text.strip(), report, id)
        window = clean_window((float(start), float(end)), None, report, id, swap_reversed=True)
        if not caption:
            report.add("empty_text", id)
        elif window is not None:
            windows.append(window)
            captions.append(caption)
    if not windows:
        report.add("no_window_left", id)
        return None
    return Sample(task="caption", windows=tuple(windows), captions=tuple(captions), **common)


def _highlight(
    times: str, scores: str, query: str, common: dict[str, Any], report: Report, id: str
) -> Sample | None:
    starts = [float(part) for part in times.split(",")]
    values = [float(part) for part in scores.split(",")]
    clips = [int(start // CLIP_S) for start in starts]
    if len(starts) != len(values) or any(start % CLIP_S for start in starts) or len(set(clips)) < len(clips):
        report.add("saliency_mismatch", id, f"{len(starts)} times, {len(values)} scores")
        return None
    grid = dict(zip(clips, values, strict=True))
    windows: list[Window] = []
    for clip in sorted(grid):
        if windows and windows[-1][1] == clip * CLIP_S:
            windows[-1] = (windows[-1][0], (clip + 1) * CLIP_S)
        else:
            windows.append((clip * CLIP_S, (clip + 1) * CLIP_S))
    saliency = tuple((grid.get(clip, 0.0),) for clip in range(max(grid) + 1))
    return Sample(task="highlight", query=query, windows=tuple(windows), saliency=saliency, **common)
