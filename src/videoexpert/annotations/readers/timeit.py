"""TimeIT / VTG-IT instruction JSON lines: times are read back from the answers' text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ...limits import limits
from ...windows import CLIP_S
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample, Window
from .clean import clean_text, clean_window, is_unicode, named

TIME = r"(\d{1,6}(?:\.\d{1,9})?)"
# An event begins the answer or follows two spaces or a line break; descriptions hold commas and numbers too.
EVENT = re.compile(rf"(?:^|\s{{2,}}|\n){TIME} - {TIME} seconds, ")
GROUNDING = re.compile(rf"The given query happens in {TIME} - {TIME} seconds?\.?")
HIGHLIGHT = re.compile(
    r"There are \d+ highlight moments? in the ([\d., ]+?) seconds?\. "
    r"Their saliency scores are ([\d., ]+?)\.?"
)


def parse(path: Path, split: str | None = None) -> Records:
    """One record an answer, id ``{line}_{index}``. Raises DataError with the line of a malformed one."""
    BENCHMARK.known_split(split)
    if not path.is_file():
        raise DataError(f"{path} is a folder, expected one TimeIT JSON lines file.")
    items = []
    for line, row in files.json_lines(path):
        where = f"{path}, line {line}"
        video = files.text_field(row, "video", where)
        source = str(row["source"]) if row.get("source") else ""
        for index, item in enumerate(files.list_field(row, "QA", where)):
            if not isinstance(item, dict):
                raise DataError(f"{where}: QA {index}, expected an object with q and a.")
            question, answer = files.text_field(item, "q", where), files.text_field(item, "a", where)
            items.append(
                Record(f"{line}_{index}", video, question, place=f"line {line}", kind=source, answer=answer)
            )
    return Records(tuple(items), counted(items, None), None, (path,))


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """One caption, grounding or highlight sample; an answer of another pattern becomes a QA sample.

    The query of grounding and highlights is the quoted part of the question, or all of it. Scores stand for
    every 2 s clip up to the last that is named (the files hold no durations).
    """
    if not named(record, report):
        return None
    id, question = record.id, record.text
    common: dict[str, Any] = {"id": id, "video": record.video, "source": record.kind or None}
    answer = record.answer.strip()
    if not answer or not question.strip():
        report.add("empty_text", id)
        return None
    if not (is_unicode(answer) and is_unicode(question)):
        report.add("not_unicode", id)
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


def _query(question: str, report: CleaningReport, id: str) -> str:
    quoted = re.search(r"""(?<!\w)'(.+)'(?!\w)|"(.+)\"""", question, re.DOTALL)
    return clean_text((quoted[1] or quoted[2]) if quoted else question, report, id)


def _captions(answer: str, common: dict[str, Any], report: CleaningReport, id: str) -> Sample | None:
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
    times: str, scores: str, query: str, common: dict[str, Any], report: CleaningReport, id: str
) -> Sample | None:
    starts, values = _numbers(times), _numbers(scores)
    # 400 digits are an infinite number, which has no clip
    whole = all(start <= limits().video_seconds and start % CLIP_S == 0 for start in starts)
    clips = [int(start // CLIP_S) for start in starts] if whole else []
    if not clips or not len(starts) == len(values) == len(set(clips)):
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


def _numbers(text: str) -> list[float]:
    """The numbers of a list in an answer; an empty list if one item is not a number."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []


BENCHMARK = Benchmark(
    name="timeit",
    title="TimeIT",
    parse=parse,
    clean=clean,
    layout={},
    tasks=("caption", "grounding", "highlight", "qa"),
    documented={
        "files": "TimeIT JSON lines",
        "sample": "caption, grounding, highlight or qa",
        "id": "`LINE_INDEX`",
    },
)
