"""Where systems predict, and how often the same: a panel a condition, a row a system (paper Fig. 2)."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import files
from ..look import DPI, GREEN, GREY, INK, LABEL, SMALL, SYSTEMS, TEXT, TITLE, drawable, fit_fonts

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]
Report = Mapping[str, Any]  # what ``bias.json`` holds

SIDE, BETWEEN, LEFT, RIGHT, TOP, BOTTOM = 3.1, 0.45, 1.05, 0.2, 0.75, 1.0  # inches
CONDITIONS = {"true": "true video", "another": "another video", "blank": "blank video"}
SMOOTH = 0.05  # standard deviation of the contours' kernel, as a fraction of the video
GRID = 60
LEVELS = (0.1, 0.25, 0.45, 0.7, 0.95)  # of the highest density
AREA = 700.0  # points squared of a window that is predicted for every query
SMALLEST = 5.0
LEGEND = (0.01, 0.1, 0.5)  # shares of the queries whose point is shown


def plot_bias(reports: Sequence[Report], names: Sequence[str], out: str | os.PathLike[str]) -> Path:
    """Predicted windows as points over the annotated ones as contours; a PNG at ``out``.

    Start on x, end on y, as fractions of the video; a point is the larger, the more queries got that window.
    ``names`` of the systems, a row each; the contours of a row are those of its own queries.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = [c for c in CONDITIONS if any(c in report["conditions"] for report in reports)]
    width = LEFT + len(shown) * SIDE + (len(shown) - 1) * BETWEEN + RIGHT
    height = TOP + len(reports) * SIDE + (len(reports) - 1) * BETWEEN + BOTTOM
    figure = Figure(figsize=(width, height), facecolor="white")
    FigureCanvasAgg(figure)
    for row, (report, name) in enumerate(zip(reports, names, strict=True)):
        bottom = height - TOP - (row + 1) * SIDE - row * BETWEEN
        label = "\n".join(textwrap.wrap(drawable(name), 34)[:2])
        look: dict[str, Any] = {
            "rotation": 90,
            "ha": "center",
            "va": "center",
            "fontsize": TEXT,
            "color": INK,
        }
        figure.text(0.3 / width, (bottom + SIDE / 2) / height, label, weight="bold", parse_math=False, **look)
        for column, condition in enumerate(shown):
            left = LEFT + column * (SIDE + BETWEEN)
            if row == 0:
                head: dict[str, Any] = {"ha": "center", "fontsize": TEXT, "color": INK}
                figure.text((left + SIDE / 2) / width, 1 - 0.62 / height, CONDITIONS[condition], **head)
            if condition not in report["conditions"]:
                continue
            axes = figure.add_axes((left / width, bottom / height, SIDE / width, SIDE / height))
            _panel(axes, report, condition, SYSTEMS[row % len(SYSTEMS)])
            if column == 0:
                axes.set_ylabel("end", fontsize=LABEL, color=INK, labelpad=4)
            if row == len(reports) - 1:
                axes.set_xlabel("start", fontsize=LABEL, color=INK, labelpad=2)
    title = reports[0]["benchmark"] + (": where the best windows lie" if len(shown) > 1 else "")
    figure.text(LEFT / width, 1 - 0.32 / height, title, fontsize=TITLE, weight="bold", color=INK)
    _legend(figure, width, height)
    fit_fonts(figure)
    with files.whole_file(out) as part:
        figure.savefig(part, dpi=DPI, format="png")
    return Path(out)


def density(windows: Floats) -> Floats:
    """(GRID, GRID), [end, start]: weighted windows (K, 3) smoothed by a Gaussian kernel, its peak at 1."""
    places = np.linspace(0, 1, GRID)
    apart = places[None, :, None] - windows.T[:2, None, :]  # (2, GRID, K)
    starts, ends = np.exp(-((apart / SMOOTH) ** 2) / 2)
    found: Floats = (ends * windows[:, 2]) @ starts.T
    return found / max(float(found.max()), 1e-12)


def areas(weights: Floats, total: float) -> Floats:
    """Points squared of windows given for ``weights`` of ``total`` queries: proportional, but never too small."""
    sizes: Floats = np.maximum(AREA * weights / max(total, 1e-12), SMALLEST)
    return sizes


def _panel(axes: Axes, report: Report, condition: str, colour: str) -> None:
    annotated = np.array(report["windows"]["annotated"], dtype=float).reshape(-1, 3)
    found = np.array(report["windows"][condition], dtype=float).reshape(-1, 3)
    annotated[:, :2] /= 100
    found[:, :2] /= 100
    if len(annotated):
        places, height = np.linspace(0, 1, GRID), density(annotated)
        axes.contourf(places, places, height, levels=[*LEVELS, 1.01], cmap=_greens(), zorder=1)
        axes.contour(places, places, height, levels=LEVELS, colors=GREEN, linewidths=0.6, zorder=1)
    axes.fill([0, 1.1, 1.1], [0, 0, 1.1], color="white", zorder=2)  # no window ends before it starts
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, zorder=2)
    order = np.argsort(-found[:, 2], kind="stable")  # small points are drawn over large ones
    sizes = areas(found[order, 2], float(found[:, 2].sum()))
    place = found[order]
    axes.scatter(
        place[:, 0], place[:, 1], sizes, color=colour, alpha=0.55, edgecolor=INK, linewidth=0.3,
        zorder=3, clip_on=False,
    )  # fmt: skip
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.tick_params(length=2, labelsize=SMALL, colors=INK)
    for side in axes.spines.values():
        side.set_color(GREY)
    values = report["conditions"][condition]
    look: dict[str, Any] = {
        "ha": "right",
        "va": "bottom",
        "fontsize": SMALL,
        "color": INK,
        "linespacing": 1.4,
    }
    axes.text(0.97, 0.03, "\n".join(_facts(values)), transform=axes.transAxes, zorder=4, **look)


def _facts(values: Mapping[str, Any]) -> list[str]:
    """The text below the diagonal, where no window can be."""
    told = [f"R1@0.5 {values['R1@0.5']:.1f}"] if values.get("R1@0.5") is not None else []
    if values["repeated"] is not None:
        told.append(f"repeated {values['repeated']:.2f}")
    if values["distance"] is not None:
        told.append(f"distance {values['distance']:.2f}")
    if values["moment_bits"] is not None:
        told.append(f"{round(values['moment_bits']['bits'], 2) + 0.0:.2f} bits")  # avoids -0.00
    return told


def _greens() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("annotated", ["#EAF6F1", "#7CCBB0"])


def _legend(figure: Figure, width: float, height: float) -> None:
    """Sizes of points, and what the green is; on two lines under a single panel."""
    tall = 0.55
    axes = figure.add_axes((0, 0, 1, tall / height))
    axes.set_xlim(0, width)
    axes.set_ylim(0, tall)
    axes.set_xticks([])
    axes.set_yticks([])
    axes.axis("off")
    look: dict[str, Any] = {"va": "center", "fontsize": SMALL, "color": INK}
    narrow = width < 7
    place, level = LEFT - 0.1, 0.36 if narrow else 0.27
    for share in LEGEND:
        axes.scatter([place], [level], [AREA * share], color=GREY, edgecolor=INK, linewidth=0.3)
        place += float(np.sqrt(AREA * share / np.pi)) / 72 + 0.07  # past its radius, in inches
        axes.text(place, level, f"{share:.0%}", **look)
        place += 0.6
    axes.text(place - 0.1, level, "of queries" if narrow else "of the queries got this window", **look)
    if narrow:
        axes.text(LEFT - 0.15, 0.1, "green: density of annotated windows", **look)
    else:
        axes.text(place + 2.2, level, "green: density of the annotated windows", **look)
