"""An ablation as a table with means, intervals and the paper's numbers beside, and as a plot."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..errors import InputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# two-sided 95% quantiles of Student's t for 1, 2, ... degrees of freedom; beyond them the normal's
T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
FAILED = "failed videos"  # metric of a benchmark: how many could not be answered, and so count as wrong
BLUE, ORANGE, INK = "#0072B2", "#E69F00", "#202124"  # Okabe and Ito's colours


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

    There is no picture where no metric is known of all rows.
    """
    summary = summarise(result)
    files.write_json(out / f"{summary['table']}.json", summary)
    files.write_text(out / f"{summary['table']}.md", to_markdown(summary))
    draw(summary, out / f"{summary['table']}.png")
    return summary


def draw(summary: dict[str, Any], out: Path) -> Path | None:
    """A PNG: one panel a metric, the variants across; our mean and seeds, the paper's numbers beside.

    Both in percent of the reference row's value, so that systems of different scale can be compared; metrics of
    which that row has 0, or a row nothing, have no panel. None, and no picture, where there is no metric left.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    reference = next(row for row in summary["rows"] if row["name"] == summary["reference"])
    known = [m for m in summary["metrics"] if all(m in row["mean"] for row in summary["rows"])]
    metrics = [m for m in known if reference["mean"][m] != 0]
    if not metrics:
        out.unlink(missing_ok=True)  # of an earlier call
        return None
    columns = min(3, len(metrics))
    rows = math.ceil(len(metrics) / columns)
    figure = Figure(figsize=(4.6 * columns, 0.9 + 2.9 * rows), facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = np.array(figure.subplots(rows, columns, squeeze=False)).ravel()
    for place, metric in zip(axes, metrics, strict=False):
        _panel(place, summary, metric)
    for place in axes[len(metrics) :]:
        place.set_axis_off()
    figure.suptitle(f"{summary['title']}: percent of “{summary['reference']}”", fontsize=11, color=INK)
    handles, labels = axes[0].get_legend_handles_labels()
    for place in axes[1:]:  # the first panel may have no number of the paper's
        for handle, label in zip(*place.get_legend_handles_labels(), strict=True):
            if label not in labels:
                handles, labels = [*handles, handle], [*labels, label]
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    with files.whole_file(out) as part:
        figure.savefig(part, dpi=120, format="png")
    return out


def _panel(axes: Axes, summary: dict[str, Any], metric: str) -> None:
    rows = summary["rows"]
    reference = next(row for row in rows if row["name"] == summary["reference"])
    place = np.arange(len(rows))
    base = reference["mean"][metric]
    ours = [100 * row["mean"][metric] / base for row in rows]
    axes.bar(place - 0.2, ours, 0.38, color=BLUE, label="here")
    for seed in range(summary["seeds"]):  # joined, because differences are paired by seed
        dots = [100 * row["scores"][seed][metric] / base for row in rows]
        label = None if seed else "each seed"
        axes.plot(
            place - 0.2, dots, color=INK, marker=".", markersize=5, linewidth=0.6, alpha=0.7, label=label
        )
    if all(metric in row["paper"] for row in rows):
        theirs = [100 * row["paper"][metric] / reference["paper"][metric] for row in rows]
        axes.bar(place + 0.2, theirs, 0.38, color=ORANGE, label="paper")
    axes.axhline(100, color=INK, linewidth=0.7, linestyle=":")
    axes.set_title(f"{metric.replace('/', ' ', 1)}   (here {base:.1f} = 100)", fontsize=9, color=INK)
    axes.set_xticks(place, [row["name"] for row in rows], rotation=20, ha="right", fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


__all__ = ["FAILED", "difference", "draw", "mean_and_interval", "summarise", "to_markdown", "write_report"]
