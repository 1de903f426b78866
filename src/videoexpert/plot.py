"""Pictures of answers: a film strip, and below it on one time axis what was found.

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

from .types import Highlights, Moment, Moments, worth_showing
from .video.decode import read_frames

if TYPE_CHECKING:
    import torch
    from matplotlib.axes import Axes

Window = tuple[float, float]
Panel = tuple[float, Callable[["Axes"], None]]  # height in inches, and what draws it

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 12.0, 0.75, 0.3, 0.45, 0.55  # inches
CURVE, LANE, LINE, GAP = 0.75, 0.2, 0.21, 0.16
DPI = 130
MAX_MOMENTS, MAX_LINES, CHARACTERS = 5, 2, 145
LONG_S = 120.0  # from here on times are written m:ss
# Okabe and Ito's colours: told apart by everyone
BLUE, ORANGE, GREEN, GREY, INK = "#0072B2", "#E69F00", "#009E73", "#9AA0A6", "#202124"


def plot_grounding(
    video_path: str | os.PathLike[str],
    moments: Sequence[Moments],
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    truth: Sequence[Sequence[Window]] | None = None,
) -> Path:
    """Film strip, and for each query its sentence, indicator curve and ranked moments; a PNG at ``out``.

    ``duration`` seconds from ``start`` on are shown. ``truth`` gives the true windows of each query, none
    where its event is absent. Raises VideoError for a video that gives no frames.
    """
    panels: list[Panel] = []
    for number, found in enumerate(moments):
        if found.curve:
            curve = partial(_curve, found=found, start=start, duration=duration)
            panels += [_header(f"“{found.query}”"), (CURVE, curve)]
        else:
            panels.append(_header(found.query))
        panels += _found(found.items, start, duration, found.absent)
        if truth is not None and truth[number]:
            windows = [Moment(a, b) for a, b in truth[number]]
            panels += _lanes(windows, start, duration, label="true", colour=GREEN, scores=False)
        panels.append(_gap())
    note = "curve: probability that a frame is inside the moment" if any(m.curve for m in moments) else ""
    return _compose(video_path, panels, start, duration, Path(out), note)


def plot_highlights(
    video_path: str | os.PathLike[str],
    highlights: Highlights,
    duration: float,
    start: float,
    out: str | os.PathLike[str],
) -> Path:
    """Film strip, the saliency of each clip as bars, and the best moments; a PNG at ``out``."""
    bars = partial(_bars, found=highlights, end=start + duration)
    panels: list[Panel] = [
        _header(f"“{highlights.query}”"),
        (CURVE * 1.4, bars),
        *_found(highlights.moments, start, duration, highlights.absent),
        _gap(),
    ]
    note = f"bars: saliency of each clip of {highlights.clip_s:g} s"
    return _compose(video_path, panels, start, duration, Path(out), note)


def plot_captions(
    video_path: str | os.PathLike[str],
    captions: Sequence[Moment],
    duration: float,
    start: float,
    out: str | os.PathLike[str],
) -> Path:
    """Film strip, and each sentence over the bar of its moment; a PNG at ``out``."""
    panels: list[Panel] = []
    for caption in captions:
        panels += [_header(caption.text or ""), *_lanes([caption], start, duration), _gap(GAP / 2)]
    if not captions:
        panels += [_header("no event described"), *_lanes([], start, duration)]
    return _compose(video_path, panels, start, duration, Path(out))


def _compose(
    video_path: str | os.PathLike[str],
    panels: list[Panel],
    start: float,
    duration: float,
    out: Path,
    note: str = "",
) -> Path:
    """Panels from top to bottom under the film strip; ``note`` says what a curve means."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_strip(video_path, start, duration), _gap(), *panels]
    height = TOP + sum(panel[0] for panel in panels) + BOTTOM
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    FigureCanvasAgg(figure)
    inner = (WIDTH - LEFT - RIGHT) / WIDTH
    below = height - TOP
    timed: list[Axes] = []
    for tall, draw in panels:
        below -= tall
        axes = figure.add_axes((LEFT / WIDTH, below / height, inner, tall / height))
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
    name = f"{Path(video_path).name}   {_seconds(start, end)} to {_seconds(end, end)}"
    above = 1 - 0.3 / height
    figure.text(LEFT / WIDTH, above, name, fontsize=11, weight="bold", color=INK, parse_math=False)
    figure.text(1 - RIGHT / WIDTH, above, note, fontsize=8, color=INK, ha="right")
    figure.savefig(out, dpi=DPI, format="png")
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
        FuncFormatter(lambda value, _: _seconds(value, end) if long else f"{value:g}")
    )
    last.set_xlabel("minutes:seconds" if long else "seconds", fontsize=9, color=INK)


def _seconds(value: float, end: float) -> str:
    if end < LONG_S:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes}:{rest:02d}"


# --- panels ---


def _strip(video_path: str | os.PathLike[str], start: float, duration: float) -> Panel:
    """About ten pictures, each over the stretch of time it stands for."""
    count = 9
    shown = read_frames(video_path, count, start_s=start, end_s=start + duration, resize=_thumbnail)
    aspect = shown.pixels.shape[3] / shown.pixels.shape[2]
    tile = (WIDTH - LEFT - RIGHT) / count
    tall = min(max(tile / aspect, 0.6), 1.7)
    share = 0.97 * min(1.0, tall * aspect / tile)  # of its stretch that a picture of this shape fills
    pictures = shown.pixels.permute(0, 2, 3, 1).numpy()

    def draw(axes: Axes) -> None:
        for i, picture in enumerate(pictures):
            centre, half = start + (i + 0.5) / count * duration, share / 2 * duration / count
            axes.imshow(picture, extent=(centre - half, centre + half, 0, 1), aspect="auto")
        axes.set_xlim(start, start + duration)
        axes.set_ylim(0, 1)

    return tall, draw


def _thumbnail(picture: np.ndarray) -> torch.Tensor:
    """(height, width, 3) -> (3, h, w) of at most 240 pixels a side, same shape of picture."""
    import torch
    from PIL import Image

    height, width = picture.shape[:2]
    scale = min(1.0, 240 / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = np.array(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))
    return torch.from_numpy(small).permute(2, 0, 1)


def _header(text: str) -> Panel:
    """A sentence over the panels it belongs to, on at most two lines."""
    lines = textwrap.wrap(" ".join(text.split()), CHARACTERS) or [""]
    if len(lines) > MAX_LINES:
        lines = [*lines[: MAX_LINES - 1], f"{lines[MAX_LINES - 1][: CHARACTERS - 2].rsplit(' ', 1)[0]} …"]
    look: dict[str, Any] = {"va": "bottom", "fontsize": 10, "linespacing": 1.25, "color": INK}

    def draw(axes: Axes) -> None:
        height = 0.12 / len(lines)
        axes.text(0, height, "\n".join(lines), transform=axes.transAxes, parse_math=False, **look)

    return LINE * len(lines) + 0.05, draw


def _gap(height: float = GAP) -> Panel:
    return height, lambda axes: None


def _curve(axes: Axes, found: Moments, start: float, duration: float) -> None:
    """Indicator probability over time, the best moment shaded."""
    axes.set_gid("timed")
    values = np.asarray(found.curve)
    times = start + (np.arange(len(values)) + 0.5) / len(values) * duration
    colour = GREY if found.absent else BLUE
    axes.fill_between(times, values, color=colour, alpha=0.18, linewidth=0)
    axes.plot(times, values, color=colour, linewidth=1.6)
    if found.absent:
        _say_absent(axes, found.presence)
    elif found.items:
        axes.axvspan(found.items[0].start, found.items[0].end, color=ORANGE, alpha=0.22, linewidth=0)
    _unit_scale(axes)


def _bars(axes: Axes, found: Highlights, end: float) -> None:
    """Saliency of each clip; the last may be shorter."""
    axes.set_gid("timed")
    edges = np.append(np.asarray(found.times), end)
    colour = GREY if found.absent else BLUE
    axes.bar(edges[:-1], found.scores, np.diff(edges) * 0.94, align="edge", color=colour, alpha=0.75)
    if found.absent:
        _say_absent(axes, found.presence)
    _unit_scale(axes)


def _say_absent(axes: Axes, presence: float) -> None:
    box = {"facecolor": "white", "edgecolor": GREY, "boxstyle": "round"}
    look: dict[str, Any] = {"ha": "center", "va": "center", "fontsize": 10, "color": INK, "bbox": box}
    axes.text(0.5, 0.5, f"not in this video (presence {presence:.2f})", transform=axes.transAxes, **look)


def _unit_scale(axes: Axes) -> None:
    axes.set_ylim(0, 1.02)
    axes.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    axes.spines["bottom"].set_visible(True)
    axes.spines["bottom"].set_color(GREY)


def _lanes(
    moments: Sequence[Moment],
    start: float,
    duration: float,
    *,
    label: str = "",
    colour: str = ORANGE,
    scores: bool = True,
) -> list[Panel]:
    """Moments as bars with their scores, in as many lanes as keep them apart; the best in the first."""
    room = 0.1 * duration if scores else 0.0  # for a score beside each of two neighbours
    lanes: list[list[tuple[Moment, int]]] = [[]]
    for rank, moment in enumerate(moments[:MAX_MOMENTS]):
        for lane in lanes:
            if all(moment.start - m.end >= room or m.start - moment.end >= room for m, _ in lane):
                lane.append((moment, rank))
                break
        else:
            lanes.append([(moment, rank)])
    edges = (start, start + duration)
    labels = [label] + [""] * (len(lanes) - 1)
    draw = partial(_lane, colour=colour, scores=scores, edges=edges)
    return [(LANE, partial(draw, lane=lane, label=text)) for lane, text in zip(lanes, labels, strict=True)]


def _found(moments: Sequence[Moment], start: float, duration: float, absent: bool) -> list[Panel]:
    """Lanes of what the model found; grey guesses where it says that there is nothing to find."""
    label, colour = ("guess", GREY) if absent else ("found", ORANGE)
    return _lanes(worth_showing(moments), start, duration, label=label, colour=colour)


def _lane(
    axes: Axes, lane: list[tuple[Moment, int]], label: str, colour: str, scores: bool, edges: Window
) -> None:
    axes.set_gid("timed")
    axes.set_ylim(0, 1)
    axes.set_yticks([0.5], [label])
    span = edges[1] - edges[0]
    for moment, rank in lane:
        strength = 0.95 if rank == 0 or not scores else 0.45
        width = max(moment.end - moment.start, 0.002 * span)  # a moment of no length is still seen
        axes.barh(0.5, width, left=moment.start, height=0.62, color=colour, alpha=strength, linewidth=0)
        if not scores:
            continue
        if moment.end + 0.05 * span <= edges[1]:
            place, align = moment.end + 0.004 * span, "left"
        elif moment.start - 0.05 * span >= edges[0]:
            place, align = moment.start - 0.004 * span, "right"
        else:
            place, align = (moment.start + moment.end) / 2, "center"
        look: dict[str, Any] = {"ha": align, "va": "center", "fontsize": 8, "color": INK}
        axes.text(place, 0.46, f"{moment.score:.2f}", weight="bold" if rank == 0 else "normal", **look)


__all__ = ["plot_captions", "plot_grounding", "plot_highlights"]
