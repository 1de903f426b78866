"""The bias probe for people: one table, a column for each system and condition, and how to read it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ...errors import DataError, InputError
from ...escapes import quantity
from ...files import loads, read_text
from ...scoring.predictions import digest
from ...scoring.tables import FORMATS, Rows, aligned, markdown
from .probe import CONDITIONS, Asked, Report

JSON, TABLE, PICTURE = "bias.json", "bias.md", "bias.png"
# shares of R1@0.5 that are left without the true video, from which on a system counts as guessing, or partly so
MOSTLY, PARTLY = 0.8, 0.4
LEAST = 5.0  # percent R1@0.5 below which nothing is said
READING = (
    "true, another, blank: the video that the system was shown.",
    "repeated: share of queries whose best window, in whole percents of the video, was also given for a query "
    "on another video; most frequent: share of the window given most often, and that window in percent.",
    "distance: total variation between the predicted and the annotated windows (start and end, 10 x 10 cells), "
    "0 equal, 1 nothing in common; below the annotations stands what chance gives for so many queries.",
    "bits about the moment: what a predicted window tells about the annotated one (quarters of the video), less "
    "what chance would; about 0 for a system that ignores video and words. Words alone can tell much: compare "
    "with blank, where only they are left.",
    "bits about the video: what one answer on a video tells about another on the same video, less chance; its "
    "sentences may have words in common, so compare with blank here too. Under another video it stays, if the "
    "system looks: each video is then replaced by one and the same other.",
    "overlap: mean intersection over union with the answer to the true video; near 1 the video changed nothing.",
)
Cell = Callable[[dict[str, Any]], str]


def render(reports: Sequence[Report], style: str = "table") -> str:
    """Reports of one benchmark side by side, without a final line break; of one alone, JSON is its document.

    Raises InputError for an unknown style.
    """
    if style not in FORMATS:
        raise InputError(f"format is {style!r}, expected one of {', '.join(FORMATS)}.")
    if style == "json":
        return to_json(reports[0] if len(reports) == 1 else list(reports))
    columns = [("annotations", reports[0]["annotations"])]
    for name, report in zip(names(reports), reports, strict=True):
        several = len(report["conditions"]) > 1
        columns += [(f"{name}: {c}" if several else name, v) for c, v in report["conditions"].items()]
    rows: Rows = [[name, *(cell(values) for _, values in columns)] for name, cell in _ROWS]
    draw, bullet = (markdown, "- {}") if style == "markdown" else (aligned, "  {}")
    first = reports[0]
    asked = quantity(first["queries"], "query", "queries")
    title = f"{first['benchmark']}: {asked} about {quantity(first['videos'], 'video')}"
    lines = [*verdicts(reports), *READING, *_notes(reports)]
    heading = f"## {title}" if style == "markdown" else title
    table = draw(["metric", *(name for name, _ in columns)], rows)
    return "\n\n".join([heading, table, "\n".join(bullet.format(line) for line in lines)])


def verdicts(reports: Sequence[Report]) -> list[str]:
    """A sentence on each system: whether its answers depend on the video."""
    return [
        f"{name} {_verdict(report['conditions'])}"
        for name, report in zip(names(reports), reports, strict=True)
    ]


def _verdict(conditions: dict[str, dict[str, Any]]) -> str:
    """What taking the video away, or showing another, does to the overlap with the annotated windows (R1@0.5)."""
    shown = conditions.get("true", {}).get("R1@0.5")
    away = {c: v["R1@0.5"] for c, v in conditions.items() if c != "true" and v.get("R1@0.5") is not None}
    if shown is None or not away:
        return "was shown only the true videos: whether it looks at them cannot be told; give another and blank ones."
    condition, guess = max(away.items(), key=lambda pair: pair[1])
    instead = {"another": "other videos", "blank": "blank videos"}[condition]
    told = f"R1@0.5 {shown:.1f} with the true videos and {guess:.1f} with {instead}"
    if shown < LEAST:
        return f"finds too little to tell: {told}."
    if guess >= MOSTLY * shown:
        return f"guesses from language: {told}."
    if guess >= PARTLY * shown:
        return f"looks at the video, and owes a good part to language: {told}."
    return f"looks at the video: {told}."


def names(reports: Sequence[Report]) -> list[str]:
    """The systems' names, numbered where two are the same."""
    found: list[str] = []
    for report in reports:
        name, number = report["system"], 1
        while name in found:
            number += 1
            name = f"{report['system']} ({number})"
        found.append(name)
    return found


def _notes(reports: Sequence[Report]) -> list[str]:
    notes, first = [], reports[0]["queries"]
    for name, report in zip(names(reports), reports, strict=True):
        notes += [f"{name}, {note}" for note in report["run"]["notes"]]
        if report["queries"] != first:
            asked = quantity(report["queries"], "query", "queries")
            notes.append(f"{name} was asked {asked}, the first system {first}.")
        if not report["run"].get("annotation_files"):
            notes.append(f"{name} does not tell its annotations; they may be others than the first system's.")
    return notes


def _number(key: str, digits: int) -> Cell:
    def cell(values: dict[str, Any]) -> str:
        value = values.get(key)
        return "-" if value is None else _fixed(value, digits)

    return cell


def _bits(key: str) -> Cell:
    def cell(values: dict[str, Any]) -> str:
        found = values.get(key)
        return "-" if found is None else f"{_fixed(found['bits'], 2)} ± {_fixed(found['sd'], 2)}"

    return cell


def _fixed(value: float, digits: int) -> str:
    """The number rounded; what rounds to 0 has no sign."""
    return f"{round(value, digits) + 0.0:.{digits}f}"


def _frequent(values: dict[str, Any]) -> str:
    top = values["most_frequent"]
    return "-" if top is None else f"{top['share']:.3f} ({top['window'][0]}-{top['window'][1]} %)"


def _distance(values: dict[str, Any]) -> str:
    chance = "chance_distance" in values
    return _number("chance_distance" if chance else "distance", 3)(values)


_ROWS: tuple[tuple[str, Cell], ...] = (
    *((name, _number(name, 2)) for name in ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU")),
    ("answered queries", _number("answered", 0)),
    ("repeated", _number("repeated", 3)),
    ("most frequent", _frequent),
    ("distinct windows", _number("distinct", 0)),
    ("distance", _distance),
    ("bits about the moment", _bits("moment_bits")),
    ("bits about the video", _bits("video_bits")),
    ("overlap with true video's answer", _number("overlap_with_true", 3)),
)


def to_json(content: Report | list[Report]) -> str:
    """Indented, but for the many windows: one line each list."""
    if isinstance(content, list):
        return "[\n" + ",\n".join(map(to_json, content)) + "\n]"
    head = json.dumps({key: value for key, value in content.items() if key != "windows"}, indent=1)
    lists = ",\n".join(
        f"  {json.dumps(name)}: {json.dumps(rows)}" for name, rows in content["windows"].items()
    )
    return head.removesuffix("\n}") + ',\n "windows": {\n' + lists + "\n }\n}"


def read_report(path: Path, asked: Asked) -> Report:
    """A ``bias.json`` of an earlier run, to set beside one on these queries.

    Raises DataError for another file, InputError for a run on another benchmark or other annotations. One
    that does not tell its annotations, as early versions wrote, is taken; ``render`` says so.
    """
    try:
        found: Report = loads(read_text(path))
        conditions, windows = found["conditions"], found["windows"]
        if not (
            set(conditions) <= set(CONDITIONS) and set(conditions) < set(windows) and found["annotations"]
        ) or not isinstance(found["run"]["notes"], list):
            raise KeyError("conditions")
    except (DataError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path} is not a bias.json of `videoexpert probe bias`; give one to compare."
        ) from error
    if found["benchmark"] != asked.benchmark:
        raise InputError(
            f"{path} is about {found['benchmark']}, expected {asked.benchmark}: compare runs of one benchmark."
        )
    files = found["run"].get("annotation_files")
    if files and digest(asked.annotations) not in files.values():
        raise InputError(
            f"{path} is about other annotations ({', '.join(files)}) than {asked.annotations}; "
            "compare runs on one and the same file."
        )
    return found
