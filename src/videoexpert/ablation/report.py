"""An ablation as a table with means, intervals and the paper's numbers beside, and as a plot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..errors import InputError
from ..look import BLUE, DIM, DPI, INK, LABEL, ORANGE, RULE, SMALL, TITLE, WIDTH, drawable, fit_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# two-sided 95% quantiles of Student's t for 1, 2, ... degrees of freedom; beyond them the normal's
T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
FAILED = "failed videos"  # metric of a benchmark: how many could not be answered, and so count as wrong
HEAD, ROW, BETWEEN, FOOT = 0.75, 0.21, 0.34, 0.42  # inches of a picture
WIDEST = 160.0  # percent of the reference that a panel shows; a wider interval ends in an arrow


def mean_and_interval(values: list[float]) -> tuple[float, float | None]:
    """Mean over seeds, and half the width of its 95% t-interval (None for one seed)."""
    count = len(values)
    mean = sum(values) / count
    if count == 1:
        return mean, None
    variance = sum((v - mean) ** 2 for v in values) / (count - 1)
    quantile = T95[count - 2] if count - 2 < len(T95) else 1.96
    return mean, quantile * math.sqrt(variance / count)


def difference(summary: dict[str, Any], one: str, other: str, metric: str) -> tuple[float, float | None]:
    """Mean of row ``one`` minus row ``other`` over seeds, pair by pair, and half its 95% t-interval.

    Raises InputError where a row or one of its scores is not there.
    """
    rows = {row["name"]: row["scores"] for row in summary["rows"]}
    missing = [name for name in (one, other) if name not in rows or any(metric not in s for s in rows[name])]
    if missing:
        raise InputError(
            f"{summary['table']} has no {metric} of {missing[0]}; its rows are {', '.join(rows)}."
        )
    pairs = zip(rows[one], rows[other], strict=True)
    return mean_and_interval([a[metric] - b[metric] for a, b in pairs])


def summarise(result: dict[str, Any]) -> dict[str, Any]:
    """The result of ``ablate`` with ``mean`` and ``interval`` (half width) of every metric in each row.

    A metric that one of the seeds lacks has neither: a mean over fewer seeds would pass for one over all.
    """
    rows = []
    for row in result["rows"]:
        mean, interval = {}, {}
        for metric in result["metrics"]:
            values = [scores[metric] for scores in row["scores"] if scores.get(metric) is not None]
            if len(values) == len(row["scores"]):
                mean[metric], interval[metric] = mean_and_interval(values)
        rows.append({**row, "mean": mean, "interval": interval})
    return {**result, "rows": rows}


def to_markdown(summary: dict[str, Any]) -> str:
    """A table of ours, and one of the paper's numbers where it has any."""
    seeds = summary["seeds"]
    about = ", ".join(f"{name} {value}" for name, value in summary["about"].items())
    spread = f"{seeds} seeds, mean ± half the 95% t-interval over seeds" if seeds > 1 else "1 seed"
    parts = [f"### {_shown(summary['title'])}", f"{spread}; {about}."]
    parts.append(_markdown(summary, _cell))
    parts += _failures(summary)
    printed = [m for m in summary["metrics"] if any(m in row["paper"] for row in summary["rows"])]
    if printed:
        parts.append("The paper's numbers (7B, its own data):")
        theirs = [{**row, "name": row.get("paper_name", row["name"])} for row in summary["rows"]]
        parts.append(_markdown({**summary, "metrics": printed, "rows": theirs}, _paper))
    return "\n\n".join(parts) + "\n"


def _shown(name: str) -> str:
    """A name in Markdown, which would take ``<LOC>`` for a tag."""
    return name.replace("<LOC>", "`<LOC>`")


def _failures(summary: dict[str, Any]) -> list[str]:
    """One sentence where videos could not be answered: they count as wrong, and may differ between rows."""
    found = [
        f"{_shown(row['name'])}, seed {seed}: {int(count)} of {metric.split('/')[0]}"
        for row in summary["rows"]
        for seed, scores in enumerate(row["scores"], start=1)
        for metric, count in scores.items()
        if metric.endswith(f"/{FAILED}") and count
    ]
    return [f"Videos that could not be answered, and so count as wrong: {'; '.join(found)}."] if found else []


def _markdown(summary: dict[str, Any], cell: Any) -> str:
    metrics = [
        m for m in summary["metrics"] if any(m in r["mean"] or m in r["paper"] for r in summary["rows"])
    ]
    lines = [
        "| | " + " | ".join(m.replace("/", " ", 1) for m in metrics) + " |",
        "|---" * (len(metrics) + 1) + "|",
    ]
    for row in summary["rows"]:
        lines.append(
            f"| {_shown(row['name'])} | " + " | ".join(cell(row, metric) for metric in metrics) + " |"
        )
    return "\n".join(lines)


def _cell(row: dict[str, Any], metric: str) -> str:
    if metric not in row["mean"]:
        return "-"
    half = row["interval"][metric]
    return f"{row['mean'][metric]:.1f}" + ("" if half is None else f" ± {half:.1f}")


def _paper(row: dict[str, Any], metric: str) -> str:
    return f"{row['paper'][metric]:.1f}" if metric in row["paper"] else "-"


def write_report(result: dict[str, Any], out: Path) -> dict[str, Any]:
    """``out/TABLE.json``, ``.md`` and ``.png`` of what ``ablate`` returned; gives the summary back.

    No picture is drawn if every row lacks every metric.
    """
    summary = summarise(result)
    files.write_json(out / f"{summary['table']}.json", summary)
    files.write_text(out / f"{summary['table']}.md", to_markdown(summary))
    draw(summary, out / f"{summary['table']}.png")
    return summary


def draw(summary: dict[str, Any], out: Path) -> Path | None:
    """A PNG: a panel a metric, a line a variant; our mean with its interval, the paper's number beside.

    Both in percent of the reference row's value and on one scale, so that systems and metrics can be compared; metrics
    of which that row has 0, or a row nothing, have no panel. None, and no picture, where there is no metric left.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reference = next(row for row in summary["rows"] if row["name"] == summary["reference"])
    known = [m for m in summary["metrics"] if all(m in row["mean"] for row in summary["rows"])]
    metrics = [m for m in known if reference["mean"][m] != 0]
    if not metrics:
        out.unlink(missing_ok=True)  # of an earlier call
        return None
    names = [row["name"] for row in summary["rows"]]
    columns = min(3, len(metrics))
    lines = math.ceil(len(metrics) / columns)
    left = 0.3 + 0.078 * max(map(len, names))
    tall = ROW * len(names)
    height = HEAD + lines * (tall + BETWEEN) + FOOT
    wide = (WIDTH - left - 0.25 - 0.25 * (columns - 1)) / columns
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    highest = max(high for metric in metrics for high in _highest(summary, reference, metric))
    most = min(1.05 * highest, WIDEST)
    for number, metric in enumerate(metrics):
        line, column = divmod(number, columns)
        below = height - HEAD - line * (tall + BETWEEN) - tall
        place = ((left + column * (wide + 0.25)) / WIDTH, below / height, wide / WIDTH, tall / height)
        axes = figure.add_axes(place)
        _panel(axes, summary, reference, metric, most)
        axes.set_xlim(0, most)
        last = number + columns >= len(metrics)
        axes.tick_params(length=0, labelsize=SMALL, labelleft=column == 0, labelbottom=last, colors=INK)
    title = f"{summary['title']}, in percent of “{summary['reference']}”"
    figure.text(0.02, 1 - 0.28 / height, drawable(title), fontsize=TITLE, weight="bold", color=INK)
    _legend(figure, summary, any(_has_paper(summary, m) for m in metrics), left / WIDTH, 0.16 / height)
    fit_fonts(figure)
    with files.whole_file(out) as part:
        figure.savefig(part, dpi=DPI, format="png")
    return out


def _highest(summary: dict[str, Any], reference: dict[str, Any], metric: str) -> list[float]:
    """The right ends of all that a panel draws."""
    base, found = reference["mean"][metric], []
    for row in summary["rows"]:
        found.append(100 * (row["mean"][metric] + (row["interval"][metric] or 0.0)) / base)
        if metric in row["paper"] and metric in reference["paper"]:
            found.append(100 * row["paper"][metric] / reference["paper"][metric])
    return found


def _panel(axes: Axes, summary: dict[str, Any], reference: dict[str, Any], metric: str, most: float) -> None:
    rows, base = summary["rows"], reference["mean"][metric]
    place = np.arange(len(rows))
    ours = [100 * row["mean"][metric] / base for row in rows]
    colours = [DIM if row is reference else BLUE for row in rows]
    axes.barh(place, ours, 0.6, color=colours, alpha=0.85)
    for y, (row, value) in enumerate(zip(rows, ours, strict=True)):
        half = row["interval"][metric]
        if half is not None:
            ends = [value - 100 * half / base, value + 100 * half / base]
            axes.plot(ends, [y, y], color=INK, linewidth=1.4)
            if ends[1] > most:  # below 0 no score lies, so only this end needs an arrow
                axes.plot(most, y, ">", color=INK, markersize=5, clip_on=False, zorder=3)
    if _has_paper(summary, metric):
        theirs = [100 * row["paper"][metric] / reference["paper"][metric] for row in rows]
        axes.plot(theirs, place, "D", color=ORANGE, markersize=6, markeredgecolor="white", linestyle="none")
    axes.axvline(100, color=INK, linewidth=0.7, linestyle=":")
    benchmark, _, name = metric.partition("/")
    axes.set_title(f"{benchmark}  {name}: {base:.1f}", fontsize=LABEL, color=INK, loc="left")
    axes.set_yticks(place, [drawable(row["name"]) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xticks([0, 50, 100])
    axes.grid(axis="x", color=RULE, linewidth=0.7)
    axes.set_axisbelow(True)
    for side in axes.spines.values():
        side.set_visible(False)


def _has_paper(summary: dict[str, Any], metric: str) -> bool:
    """Whether the paper has a number for each row, so that its diamonds are drawn."""
    return all(metric in row["paper"] for row in summary["rows"])


def _legend(figure: Figure, summary: dict[str, Any], paper: bool, left: float, below: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    reference = f"{summary['reference']}, its value above each panel"
    handles: list[Any] = [Patch(color=DIM, label=drawable(reference)), Patch(color=BLUE, label="here")]
    if summary["seeds"] > 1:
        handles.append(Line2D([], [], color=INK, label=f"95% interval over {summary['seeds']} seeds"))
    if paper:
        handles.append(Line2D([], [], color=ORANGE, marker="D", linestyle="none", label="paper"))
    look: dict[str, Any] = {"ncols": len(handles), "frameon": False, "fontsize": SMALL, "borderpad": 0.0}
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(left, below), labelcolor=DIM, **look)


__all__ = ["FAILED", "difference", "draw", "mean_and_interval", "summarise", "to_markdown", "write_report"]
