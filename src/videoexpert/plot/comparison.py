"""Answers of several systems to one video, one above the other, under what is annotated (paper Figs. 6 and 7)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..evaluation.voices import Item, Voice
from ..export.text import clock
from ..look import DIM, GREEN, GREY, INK, SYSTEMS, drawable
from ..look import RED as WRONG
from ..types import worth_showing
from .panels import (
    GAP,
    Panel,
    clip_bars,
    compose,
    gap,
    header,
    lanes,
    time_scale,
)

MOST_MOMENTS, MOST_SENTENCES, MOST_LETTERS = 3, 8, 22
BARS, NUMBER, IOU = 0.45, 0.02, 0.055  # inches of saliency; shares of the width for texts beside bars


def plot_comparison(
    video_path: str | os.PathLike[str],
    items: Sequence[Item],
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    *,
    clip_s: float = 2.0,
    note: str = "",
) -> Path:
    """Film strip, and for each question what is annotated and what each system says; a PNG at ``out``.

    ``duration`` seconds from ``start`` on are shown, ``clip_s`` is the length of a clip of saliency. Raises
    VideoError for a video that gives no frames.
    """
    panels: list[Panel] = []
    voices = [voice for item in items for voice in (item.truth, *item.systems)]
    for item in items:
        if item.kind != "caption":
            panels.append(header(f"“{item.question}”"))
        if item.choices:
            options = "; ".join(f"({chr(97 + i)}) {c}" for i, c in enumerate(item.choices))
            panels.append(header(options, colour=DIM))
        colours = (GREEN, *(SYSTEMS[i % len(SYSTEMS)] for i in range(len(item.systems))))
        for voice, colour in zip((item.truth, *item.systems), colours, strict=True):
            ranked = voice is not item.truth  # the annotators' moments are equals, and all are shown
            panels += _voice(item.kind, voice, colour, ranked, start, duration, clip_s)
        panels.append(gap())
    panels.append(time_scale())
    left = 0.35 + 0.075 * max(len(_short(voice.name)) for voice in voices)
    return compose(video_path, panels, start, duration, Path(out), note, left)


def _voice(
    kind: str, voice: Voice, colour: str, ranked: bool, start: float, duration: float, clip_s: float
) -> list[Panel]:
    """The panels of one voice: its answer, its saliency, its moments, its sentences; what there is of them."""
    name = _short(voice.name)
    if voice.silent:
        return [_remark(name, "no prediction")]
    panels: list[Panel] = []
    if voice.answer is not None or voice.right is not None:
        mark = "" if voice.right is None else "✓" if voice.right else "✗"
        sign = GREEN if voice.right else WRONG if mark else INK
        panels.append(_named(header(voice.answer or "no answer", mark=mark, colour=sign), name))
        name = ""  # the answer's line bears it
        if not voice.moments:
            return panels
    if voice.saliency:
        times = [start + i * clip_s for i in range(len(voice.saliency))]
        panels.append(
            clip_bars(times, voice.saliency, start + duration, height=BARS, colour=colour, label=name)
        )
        panels.append(gap(GAP / 4))
        name = ""
    if kind == "caption":
        return [*panels, *_told(voice, name, colour, start, duration), gap(GAP / 2)]
    if not voice.moments:
        return panels if voice.saliency else [*panels, _remark(name, "no moment")]
    shown = worth_showing(voice.moments)[:MOST_MOMENTS] if ranked else voice.moments
    texts = [] if voice.overlap is None else [f"IoU {voice.overlap:.2f}", *[""] * (len(shown) - 1)]
    panels += lanes(
        shown,
        start,
        duration,
        label=name,
        colour=colour,
        texts=texts,
        room=IOU,
        ranked=ranked,
        most=len(shown),
    )
    return [*panels, gap(GAP / 3)] if voice.saliency else panels


def _told(voice: Voice, name: str, colour: str, start: float, duration: float) -> list[Panel]:
    """Numbered bars, and below them the sentences with their numbers and times."""
    if not voice.moments:
        return [_remark(name, "no event described")]
    shown, end = voice.moments[:MOST_SENTENCES], start + duration
    numbers = [str(i) for i in range(1, len(shown) + 1)]
    panels = lanes(
        shown, start, duration, label=name, colour=colour, texts=numbers, room=NUMBER, most=len(shown)
    )
    for number, moment in zip(numbers, shown, strict=True):
        times = f"{clock(moment.start, end)} to {clock(moment.end, end)}"
        panels.append(header(f"{number}. {times}: {moment.text or ''}"))
    left_out = len(voice.moments) - len(shown)
    return [*panels, header(f"and {left_out} more", colour=GREY)] if left_out else panels


def _named(panel: Panel, name: str) -> Panel:
    """A panel of text with a name in the margin."""
    tall, draw_text = panel

    def draw(axes):  # type: ignore[no-untyped-def]  # matplotlib's Axes, imported late
        draw_text(axes)
        axes.set_ylim(0, 1)
        axes.set_yticks([0.45], [name])
        axes.tick_params(axis="y", pad=8)

    return tall, draw


def _remark(name: str, text: str) -> Panel:
    """A lane that says why it is empty."""
    return _named(header(text, colour=GREY), name)


def _short(name: str) -> str:
    name = drawable(name)
    return name if len(name) <= MOST_LETTERS else f"{name[: MOST_LETTERS - 1]}…"
