"""A film strip, and below it on one time axis what was found.

Every picture is a stack of panels of fixed height (inches), so nothing overlaps whatever the number of rows
or the length of the sentences. matplotlib's Agg canvas is used directly: no window, no global state.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import files
from ..export.text import LONG_S, clock, not_understood
from ..look import (
    BLUE,
    CREAM,
    DIM,
    DPI,
    GREEN,
    GREY,
    INK,
    LABEL,
    ORANGE,
    RULE,
    SMALL,
    TEXT,
    TITLE,
    WIDTH,
    drawable,
    fit_fonts,
    round_step,
)
from ..types import Highlights, Moment, Moments, Stretch, worth_showing
from ..video.decode import read_frames
from ..video.thumbnails import shrink

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Window = tuple[float, float]
Panel = tuple[float, Callable[["Axes"], None]]  # height in inches, and what draws it

LEFT, RIGHT, TOP, BOTTOM = 0.75, 0.3, 0.45, 0.44  # inches
CURVE, LANE, LINE, GAP, KEY = 0.75, 0.22, 0.22, 0.16, 0.24
ROOM = 0.06  # of the width, for a score beside a bar
THUMBNAIL = 240  # pixels of the longer side
MAX_MOMENTS, MAX_LINES, CHARACTERS = 5, 2, 95
FAINTEST = 0.05  # a best moment that scores less is a guess


@dataclass(frozen=True)
class Key:
    """One entry of the legend: a sign (``bar``, ``line`` or nothing) in a colour, and what it means."""

    text: str
    colour: str = INK
    sign: str = ""


FOUND = Key("found", ORANGE, "bar")
RANKED = Key("found, the best in full colour", ORANGE, "bar")
GUESS = Key("guess", GREY, "bar")
TRUE = Key("true", GREEN, "bar")
INSIDE = Key("chance that a frame is inside", BLUE, "line")
SCORE = Key("numbers: scores, 1 is best")
CALIBRATED = Key("numbers: chance of being right")


def compose(
    video_path: str | os.PathLike[str],
    panels: list[Panel],
    start: float,
    duration: float,
    out: Path,
    note: str = "",
    left: float = LEFT,
    badge: str = "",
    keys: Sequence[Key] = (),
) -> Path:
    """Panels from top to bottom under the film strip; a PNG, SVG or PDF, as ``out`` ends.

    ``note`` is at the top right, ``badge`` warns, ``keys`` explain signs and numbers below; ``left`` inches
    are kept for the labels of lanes. Raises VideoError for a video that gives no frames.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [*_strip(video_path, start, duration, WIDTH - left - RIGHT), gap(GAP / 2), *panels]
    top = TOP + (LINE * 1.6 if badge else 0.0)
    bottom = BOTTOM + (KEY if keys else 0.0)
    height = top + sum(panel[0] for panel in panels) + bottom
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    inner = (WIDTH - left - RIGHT) / WIDTH
    below = height - top
    timed: list[Axes] = []
    for tall, draw in panels:
        below -= tall
        axes = figure.add_axes((left / WIDTH, below / height, inner, tall / height))
        _bare(axes)
        axes.set_xlim(start, start + duration)
        draw(axes)
        if axes.get_gid() == "timed":
            timed.append(axes)
    _time_axis(timed, start, duration)
    end = start + duration
    name = drawable(f"{Path(video_path).name}   {_mark(start, end)} to {_mark(end, end)}")
    name += "" if end >= LONG_S else " s"
    above = 1 - 0.3 / height
    figure.text(left / WIDTH, above, name, fontsize=TITLE, weight="bold", color=INK, parse_math=False)
    figure.text(
        1 - RIGHT / WIDTH, above, drawable(note), fontsize=SMALL, color=DIM, ha="right", parse_math=False
    )
    if badge:
        box = {"facecolor": CREAM, "edgecolor": ORANGE, "boxstyle": "round,pad=0.4"}
        place = 1 - (TOP + LINE * 0.8) / height
        figure.text(left / WIDTH + 0.008, place, badge, fontsize=LABEL, color=INK, bbox=box)
    if keys:
        _legend(figure.add_axes((left / WIDTH, 0.04 / height, inner, KEY / height)), keys)
    fit_fonts(figure)
    with files.whole_file(out) as part:
        figure.savefig(part, dpi=DPI, format=out.suffix[1:].lower() or "png")
    return out


def _bare(axes: Axes) -> None:
    """Nothing but what a panel draws."""
    axes.patch.set_alpha(0.0)
    for side in axes.spines.values():
        side.set_visible(False)
    axes.tick_params(length=0, labelsize=SMALL, colors=INK)
    axes.set_yticks([])
    axes.set_xticks([])


def _legend(axes: Axes, keys: Sequence[Key]) -> None:
    """The signs in a row, each with what it means."""
    _bare(axes)
    figure = axes.get_figure()
    assert figure is not None
    inches = axes.get_position().width * WIDTH
    axes.set_xlim(0, inches)
    axes.set_ylim(0, 1)
    place = 0.0
    for key in keys:
        if key.sign == "bar":
            axes.barh(0.5, 0.3, left=place, height=0.5, color=key.colour)
        elif key.sign:
            axes.plot([place, place + 0.3], [0.5, 0.5], color=key.colour, linewidth=1.6)
        place += 0.36 if key.sign else 0.0
        text = axes.text(place, 0.46, key.text, fontsize=SMALL, color=DIM, va="center")
        place += text.get_window_extent().width / figure.dpi + 0.28


def _mark(value: float, end: float) -> str:
    """A time on the axis and in the title, both alike: ``5`` or ``2:05``, with tenths where there are any."""
    text = clock(value, end).removesuffix(" s")
    return text.removesuffix(".0")


def _time_axis(timed: list[Axes], start: float, duration: float) -> None:
    """One time scale for all panels, written below the last."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator, MultipleLocator

    end = start + duration
    long = end >= LONG_S
    for axes in timed:
        marks = MultipleLocator(round_step(duration)) if long else MaxNLocator(12, steps=[1, 2, 3, 5, 6, 10])
        axes.xaxis.set_major_locator(marks)
        axes.grid(axis="x", color=RULE, linewidth=0.7)
        axes.set_axisbelow(True)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: ""))
    last = timed[-1]
    last.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: _mark(value, end) if long else f"{value:g}")
    )
    hours = "hours:minutes:seconds" if end >= 3600 else "minutes:seconds"
    last.set_xlabel(hours if long else "seconds", fontsize=LABEL, color=INK)


# --- panels ---


def _strip(video_path: str | os.PathLike[str], start: float, duration: float, width: float) -> list[Panel]:
    """About ten pictures, each over the stretch of time it shows, and their times; none over a hole."""
    count = 9
    shown = read_frames(video_path, count, start_s=start, end_s=start + duration, resize=shrink(THUMBNAIL))
    aspect = shown.pixels.shape[3] / shown.pixels.shape[2]
    tile = width / count
    tall = min(max(tile / aspect, 0.6), 1.7)
    share = 0.97 * min(1.0, tall * aspect / tile)  # of its stretch that a picture of this shape fills
    pictures = shown.pixels.permute(0, 2, 3, 1).numpy()
    clip = shown.stretch
    # Beside a hole that is most of the video, true widths would be slivers: the first picture of each side is kept.
    step = (clip.seen_s if clip.seen_s > duration / 2 else duration) / count
    placed: list[tuple[float, float, Any]] = []  # centre on the axis, time of the picture, picture
    taken = -np.inf
    for centre, time, picture in zip(clip.centres(count), shown.times_s.tolist(), pictures, strict=True):
        place = min(max(centre, start + step / 2), start + duration - step / 2)
        if place - step / 2 >= taken - 1e-6 * duration:
            placed.append((place, time, picture))
            taken = place + step / 2

    def draw(axes: Axes) -> None:
        half = share / 2 * step
        for place, _, picture in placed:
            axes.imshow(picture, extent=(place - half, place + half, 0, 1), aspect="auto")
        axes.set_xlim(start, start + duration)
        axes.set_ylim(0, 1)

    def write(axes: Axes) -> None:
        end = start + duration
        axes.set_ylim(0, 1)
        for place, time, _ in placed:
            axes.text(place, 0.45, clock(time, end), ha="center", va="center", fontsize=SMALL, color=DIM)

    return [(tall, draw), (0.2, write)]


def header(text: str, characters: int = CHARACTERS, *, colour: str = INK, mark: str = "") -> Panel:
    """A sentence over the panels it belongs to, on at most two lines of so many characters.

    ``mark`` is one bold sign in ``colour`` before it, such as a tick.
    """
    lines = textwrap.wrap(drawable(" ".join(text.split())), characters) or [""]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1][: characters - 2].rsplit(' ', 1)[0]} …"]
    look: dict[str, Any] = {"va": "bottom", "fontsize": TEXT, "linespacing": 1.2}
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
    colour = GREY if found.absent or found.cannot_tell else BLUE

    def draw(axes: Axes) -> None:
        axes.set_gid("timed")
        axes.fill_between(times, values, color=colour, alpha=0.18, linewidth=0)
        axes.plot(times, values, color=colour, linewidth=1.6)
        if found.items and not found.cannot_tell and not found.absent:
            axes.axvspan(found.items[0].start, found.items[0].end, color=ORANGE, alpha=0.22, linewidth=0)
        _unit_scale(axes)

    return CURVE, draw


def clip_bars(
    times: Sequence[float],
    scores: Sequence[float],
    end: float,
    *,
    height: float = CURVE,
    colour: str = BLUE,
    label: str | None = None,
) -> Panel:
    """Saliency in [0, 1] of the clip that begins at each time; the last may be shorter.

    ``label`` replaces the scale.
    """
    edges = np.append(np.asarray(times, dtype=float), end)

    def draw(axes: Axes) -> None:
        axes.set_gid("timed")
        axes.bar(edges[:-1], scores, np.diff(edges) * 0.94, align="edge", color=colour, alpha=0.75)
        _unit_scale(axes)
        if label is not None:
            axes.set_yticks([0.5], [label])

    return height, draw


def verdict(found: Moments | Highlights, moments: Sequence[Moment], end: float) -> list[Panel]:
    """A line under the sentence where there is nothing to find, or nothing that could be read; else no panel."""
    if found.absent:
        said = f"not in this video (presence {found.presence:.2f})"
        if moments:
            said += f"; best guess {clock(moments[0].start, end)} to {clock(moments[0].end, end)}"
        return [header(said, colour=DIM)]
    if found.unknown_words:
        rest = "" if found.cannot_tell else ": this answers the rest"
        return [header(not_understood(found.unknown_words) + rest, colour=DIM)]
    if found.told is not None and not moments and found.familiar:
        return [header("the answer names no moment that could be read", colour=DIM)]
    return []


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
    ranked   the first moment is emphasised by a stronger colour and bold text
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
    """What the model found, with scores; one grey guess where it says that there is nothing to find, or hardly."""
    shown = worth_showing(moments)
    guess = absent or (bool(shown) and shown[0].score < FAINTEST)
    name, colour = ("guess", GREY) if guess else ("found", ORANGE)
    shown = shown[:1] if guess else shown
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
        look: dict[str, Any] = {"ha": align, "va": "center", "fontsize": SMALL, "color": INK}
        if align == "center":  # upon the bar, whatever its colour
            look["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
        axes.text(place, 0.46, texts[rank], weight="bold" if ranked and rank == 0 else "normal", **look)
