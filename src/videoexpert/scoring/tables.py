"""A score as text: JSON, an aligned table for the terminal, or Markdown, with the paper's rows beside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..annotations.readers import BENCHMARKS
from ..columns import columns
from ..errors import InputError
from ..escapes import printable, quantity
from .paper import PAPER_TABLES, PaperTable

FORMATS = ("table", "json", "markdown")
_IDS_SHOWN = 5
Rows = list[list[str]]


def render(result: dict[str, Any], style: str = "table") -> str:
    """The result of ``score`` as text without a final line break. Raises InputError for an unknown style."""
    if style not in FORMATS:
        raise InputError(f"format is {style!r}, expected one of {', '.join(FORMATS)}.")
    if style == "json":
        return json.dumps(result, indent=2, allow_nan=False)
    draw = markdown if style == "markdown" else aligned
    heading = "## {}" if style == "markdown" else "{}"
    bullet = "- {}" if style == "markdown" else "  {}"
    run = result["run"]
    paper, why_not = _paper_of(result)
    lines = [*_coverage_lines(result["coverage"]), *run["notes"], *why_not]
    parts = [
        heading.format(_header(result)),
        draw(["metric", "value", "95% interval"], _metric_rows(result)),
        "\n".join(bullet.format(line) for line in lines),
    ]
    if paper is not None:
        values = (_number(result["metrics"].get(column)) for column in paper.columns)
        here = ["these predictions", run["convention"], *values]
        rows = [here, *([row.method, row.setting, *map(_number, row.values)] for row in paper.rows)]
        parts += [
            heading.format(f"Beside the paper's rows ({paper.title})"),
            draw(["method", "setting", *paper.columns], rows),
        ]
    return printable("\n\n".join(part for part in parts if part))


def _header(result: dict[str, Any]) -> str:
    """What was scored: benchmark, split, how much of it, and by which convention."""
    data = result["run"]["data"]
    what = [quantity(data[f"{name}s"], name) for name in ("record", "segment", "video") if f"{name}s" in data]
    split = f"split {data['split']}" if data["split"] else "one file, its split unknown"
    known = ", as published" if data["published"] else ""
    title = BENCHMARKS[result["benchmark"]].title
    return f"{title}, {split} ({', '.join(what)}{known}), {result['run']['convention']} convention"


def _paper_of(result: dict[str, Any]) -> tuple[PaperTable | None, list[str]]:
    """The paper's table where it is of the very same data, else a sentence why it is not shown."""
    table = PAPER_TABLES.get(result["benchmark"])
    if table is None:
        return None, []
    data, limit = result["run"]["data"], result["run"].get("limit")
    if data["published"] and data["split"] == table.split and limit is None:
        return table, []
    counts = BENCHMARKS[result["benchmark"]].published[table.split]
    whole = ", ".join(f"{count} {what}" for what, count in counts.items())
    return None, [
        f"The paper's {table.title} is of split {table.split} ({whole}), not of this data: left out."
    ]


def _metric_rows(result: dict[str, Any]) -> Rows:
    metrics = result["metrics"]
    shown = BENCHMARKS[result["benchmark"]].shown or tuple(metrics)
    return [
        [name, _number(metrics[name]), _interval(result["intervals"].get(name))]
        for name in shown
        if name in metrics
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _interval(bounds: Sequence[float] | None) -> str:
    return "-" if bounds is None else f"[{bounds[0]:.2f}, {bounds[1]:.2f}]"


def _coverage_lines(coverage: dict[str, Any]) -> list[str]:
    scored, expected = coverage["scored"], coverage["expected"]
    lines = [f"{coverage['predicted']} of {expected} predicted, {scored} in the means."]
    if coverage["missing"]:
        ids = _some(coverage["missing_ids"])
        lines.append(f"{coverage['missing']} missing, {coverage['missing_are']}: {ids}")
    if coverage["extra"]:
        lines.append(
            f"{coverage['extra']} predicted but not annotated, ignored: {_some(coverage['extra_ids'])}"
        )
    if coverage.get("answers_missing"):
        lines.append(f"{coverage['answers_missing']} questions have no answer.")
    if "captions" in coverage:
        lines += [f"Captions: {line}" for line in _coverage_lines(coverage["captions"])]
    return lines


def _some(ids: Sequence[str]) -> str:
    return ", ".join(ids[:_IDS_SHOWN]) + (", ..." if len(ids) > _IDS_SHOWN else "")


def aligned(header: Sequence[str], rows: Rows) -> str:
    """A table for the terminal: names to the left, everything else to the right."""
    names = [i for i, name in enumerate(header) if name in ("metric", "method", "setting")]
    return "\n".join(columns(header, rows, names))


def markdown(header: Sequence[str], rows: Rows) -> str:
    """The same table in Markdown."""
    lines = ["| " + " | ".join(cells) + " |" for cells in [list(header), *rows]]
    lines.insert(1, "|" + "---|" * len(header))
    return "\n".join(lines)
