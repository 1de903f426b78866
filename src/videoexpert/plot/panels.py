"""A film strip, and below it on one time axis what was found.

Every picture is a stack of panels of fixed height (inches), so nothing overlaps whatever the number of rows
or the length of the sentences. matplotlib's Agg canvas is used directly: no window, no global state.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..export.text import LONG_S, clock
from ..types import Moment, Moments, Stretch, worth_showing
from ..video.decode import read_frames
from ..video.thumbnails import shrink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Window = tuple[float, float]
Panel = tuple[float, Callable[["Axes"], None]]  # height in inches, and what draws it

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 12.0, 0.75, 0.3, 0.45, 0.55  # inches
CURVE, LANE, LINE, GAP = 0.75, 0.2, 0.21, 0.16
ROOM = 0.05  # of the width, for a score beside a bar
DPI = 130
THUMBNAIL = 240  # pixels of the longer side
MAX_MOMENTS, MAX_LINES, CHARACTERS = 5, 2, 145
# Okabe and Ito's colours: told apart by everyone
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#9AA0A6", "#202124"


def compose(
    video_path: str | os.PathLike[str],
    panels: list[Panel],
    start: float,
    duration: float,
    out: Path,
    note: str = "",
    left: float = LEFT,
    badge: str = "",
) -> Path:
    """Panels from top to bottom under the film strip; ``note`` says what a curve means, ``badge`` warns.

    ``left`` inches are kept for the labels of lanes. Raises VideoError for a video that gives no frames.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_strip(video_path, start, duration, WIDTH - left - RIGHT), gap(), *panels]
    top = TOP + (LINE * 1.6 if badge else 0.0)
    height = top + sum(panel[0] for panel in panels) + BOTTOM
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    inner = (WIDTH - left - RIGHT) / WIDTH
    below = height - top
    timed: list[Axes] = []
    for tall, draw in panels:
        below -= tall
        axes = figure.add_axes((left / WIDTH, below / height, inner, tall / height))
        axes.set_xlim(start, start + duration)
        axes.patch.set_alpha(0.0)
        for side in axes.spines.values():
            side.set_visible(False)
        axes.tick_params(length=0, labelsize=8, colors=INK)
        axes.set_yticks([])
        axes.set_xticks([])
        draw(axes)
        if axes.get_gid() == "timed":
            timed.append(axes)
    _time_axis(timed, start, duration)
    end = start + duration
    name = f"{Path(video_path).name}   {clock(start, end)} to {clock(end, end)}"
    above = 1 - 0.3 / height
    figure.text(left / WIDTH, above, name, fontsize=11, weight="bold", color=INK, parse_math=False)
    figure.text(1 - RIGHT / WIDTH, above, note, fontsize=8, color=INK, ha="right")
    if badge:
        box = {"facecolor": "#FFF3D6", "edgecolor": ORANGE, "boxstyle": "round,pad=0.4"}
        figure.text(
            left / WIDTH + 0.006, 1 - (TOP + LINE * 0.8) / height, badge, fontsize=9, color=INK, bbox=box
        )
    with files.whole_file(out) as part:
        figure.savefig(part, dpi=DPI, format="png")
    return out


def _time_axis(timed: list[Axes], start: float, duration: float) -> None:
    """One time scale for all panels, written below the last."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    end = start + duration
    for axes in timed:
        axes.xaxis.set_major_locator(MaxNLocator(12, steps=[1, 2, 3, 5, 6, 10]))
        axes.grid(axis="x", color="#E3E5E8", linewidth=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ""))
    last = timed[-1]
    long = end >= LONG_S
    last.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: clock(value, end) if long else f"{value:g}")
    )
    last.set_xlabel("minutes:seconds" if long else "seconds", fontsize=9, color=INK)


# --- panels ---


def _strip(video_path: str | os.PathLike[str], start: float, duration: float, width: float) -> Panel:
    """About ten pictures, each over the stretch of time it stands for; none over a hole that shows nothing."""
    count = 9
    shown = read_frames(video_path, count, start_s=start, end_s=start + duration, resize=shrink(THUMBNAIL))
    aspect = shown.pixels.shape[3] / shown.pixels.shape[2]
    tile = width / count
    tall = min(max(tile / aspect, 0.6), 1.7)
    share = 0.97 * min(1.0, tall * aspect / tile)  # of its stretch that a picture of this shape fills
    pictures = shown.pixels.permute(0, 2, 3, 1).numpy()

    clip = shown.stretch
    # Beside a hole that is most of the video, true widths would be slivers: the first picture of each side stands.
    step = (clip.seen_s if clip.seen_s > duration / 2 else duration) / count

    def draw(axes: Axes) -> None:
        half, taken = share / 2 * step, -np.inf
        for centre, picture in zip(clip.centres(count), pictures, strict=True):
            place = min(max(centre, start + step / 2), start + duration - step / 2)
            if place - step / 2 >= taken - 1e-6 * duration:
                axes.imshow(picture, extent=(place - half, place + half, 0, 1), aspect="auto")
                taken = place + step / 2
        axes.set_xlim(start, start + duration)
        axes.set_ylim(0, 1)

    return tall, draw


def header(text: str, characters: int = CHARACTERS, *, colour: str = INK, mark: str = "") -> Panel:
    """A sentence over the panels it belongs to, on at most two lines of so many characters.

    ``mark`` is one bold sign in ``colour`` before it, such as a tick.
    """
    lines = textwrap.wrap(" ".join(text.split()), characters) or [""]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1][: characters - 2].rsplit(' ', 1)[0]} …"]
    look: dict[str, Any] = {"va": "bottom", "fontsize": 10, "linespacing": 1.25}
    tall = LINE * len(lines) + 0.05

    def draw(axes: Axes) -> None:
        height, place = 0.12 / len(lines), 0.0
        if mark:
            at_first = 1 - (LINE + 0.05) / tall + height
            axes.text(0, at_first, mark, transform=axes.transAxes, color=colour, weight="bold", **look)
            place = 0.018
        said = "\n".join(lines)
        ink = INK if mark else colour
        axes.text(place, height, said, transform=axes.transAxes, parse_math=False, color=ink, **look)

    return tall, draw


def gap(height: float = GAP) -> Panel:
    return height, lambda axes: None


def time_scale() -> Panel:
    """Where the time axis is written, below panels that end with text."""
    return 0.04, lambda axes: axes.set_gid("timed")


def indicator_curve(found: Moments, start: float, duration: float) -> Panel:
    """Indicator probability over time, the best moment shaded."""
    values = np.asarray(found.curve)
    times = np.asarray(found.curve_times or Stretch(start, duration).centres(len(values)))
    colour = GREY if found.absent or not found.familiar else BLUE

    def draw(axes: Axes) -> None:
        axes.set_gid("timed")
        axes.fill_between(times, values, color=colour, alpha=0.18, linewidth=0)
        axes.plot(times, values, color=colour, linewidth=1.6)
        if found.absent:
            _say_absent(axes, found.presence)
        elif found.items and found.familiar:
            axes.axvspan(found.items[0].start, found.items[0].end, color=ORANGE, alpha=0.22, linewidth=0)
        elif found.told is not None:
            _say(axes, "the answer names no moment that could be read")
        _unit_scale(axes)

    return CURVE, draw


def clip_bars(
    times: Sequence[float],
    scores: Sequence[float],
    end: float,
    *,
    height: float = CURVE,
    colour: str = BLUE,
    absent: float | None = None,
    label: str | None = None,
) -> Panel:
    """Saliency in [0, 1] of the clip that begins at each time; the last may be shorter.

    ``absent`` is the presence of an event that is not there; ``label`` stands in place of the scale.
    """
    edges = np.append(np.asarray(times, dtype=float), end)

    def draw(axes: Axes) -> None:
        axes.set_gid("timed")
        face = colour if absent is None else GREY
        axes.bar(edges[:-1], scores, np.diff(edges) * 0.94, align="edge", color=face, alpha=0.75)
        if absent is not None:
            _say_absent(axes, absent)
        _unit_scale(axes)
        if label is not None:
            axes.set_yticks([0.5], [label])

    return height, draw


def _say_absent(axes: Axes, presence: float) -> None:
    _say(axes, f"not in this video (presence {presence:.2f})")


def _say(axes: Axes, text: str) -> None:
    box = {"facecolor": "white", "edgecolor": GREY, "boxstyle": "round"}
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10, "color": INK, "bbox": box}
    axes.text(0.5, 0.5, text, transform=axes.transAxes, **look)


def _unit_scale(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(GREY)


def lanes(
    moments: Sequence[Moment],
    start: float,
    duration: float,
    *,
    label: str = "",
    colour: str = ORANGE,
    texts: Sequence[str] = (),
    room: float = ROOM,
    ranked: bool = False,
    most: int = MAX_MOMENTS,
) -> list[Panel]:
    """The first ``most`` moments as bars, in as many lanes as keep them apart; the best in the first.

    texts    one for each moment, written beside its bar and ``room`` of the width long; or none
    ranked   the first moment stands out, by a stronger colour and a bold text
    """
    apart = 2 * room * duration if texts else 0.0  # for the text beside each of two neighbours
    rows: list[list[tuple[Moment, int]]] = [[]]
    for rank, moment in enumerate(moments[:most]):
        for row in rows:
            if all(moment.start - m.end >= apart or m.start - moment.end >= apart for m, _ in row):
                row.append((moment, rank))
                break
        else:
            rows.append([(moment, rank)])
    edges = (start, start + duration)
    names = [label] + [""] * (len(rows) - 1)
    draw = partial(_lane, colour=colour, texts=texts, room=room, ranked=ranked, edges=edges)
    return [(LANE, partial(draw, lane=row, label=name)) for row, name in zip(rows, names, strict=True)]


def found_lanes(
    moments: Sequence[Moment], start: float, duration: float, absent: bool, label: str | None = None
) -> list[Panel]:
    """What the model found, with scores; grey guesses where it says that there is nothing to find."""
    shown = worth_showing(moments)
    name, colour = ("guess", GREY) if absent else ("found", ORANGE)
    scores = [f"{m.score:.2f}" for m in shown]
    name = name if label is None else label
    return lanes(shown, start, duration, label=name, colour=colour, texts=scores, ranked=True)


def _lane(
    axes: Axes,
    lane: list[tuple[Moment, int]],
    label: str,
    colour: str,
    texts: Sequence[str],
    room: float,
    ranked: bool,
    edges: Window,
) -> None:
    axes.set_gid("timed")
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], [label])
    span = edges[1] - edges[0]
    for moment, rank in lane:
        first = rank == 0 or not ranked
        width = max(moment.end - moment.start, 0.002 * span)  # a moment of no length is still seen
        strength = 0.95 if first else 0.45
        axes.barh(0.5, width, left=moment.start, height=0.62, color=colour, alpha=strength, linewidth=0)
        if not texts or not texts[rank]:
            continue
        if moment.end + room * span <= edges[1]:
            place, align = moment.end + 0.004 * span, "left"
        elif moment.start - room * span >= edges[0]:
            place, align = moment.start - 0.004 * span, "right"
        else:
            place, align = (moment.start + moment.end) / 2, "center"
        look: dict[str, Any] = {"ha": align, "va": "center", "fontsize": 8, "color": INK}
        if align == "center":  # upon the bar, whatever its colour
            look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.text(place, 0.46, texts[rank], weight="bold" if ranked and rank == 0 else "normal", **look)
