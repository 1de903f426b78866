"""What the session answers about one video: moments, highlights, captions."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from ..export import Answers
from ..types import Answer, Captions, Highlights, Moment, Moments
from .panels import (
    CURVE,
    GAP,
    GREEN,
    Panel,
    Window,
    clip_bars,
    compose,
    found_lanes,
    gap,
    header,
    indicator_curve,
    lanes,
)

UNFAMILIAR = "This model was never shown videos like this one: its answers are guesses."


def plot_answers(item: Answers, out: str | os.PathLike[str]) -> Path:
    """What one command answered about a video; a PNG at ``out``. Raises VideoError for one that gives no frames."""
    start, found = item.start or 0.0, item.found
    if isinstance(found, Highlights):
        return plot_highlights(item.video, found, item.duration, start, out)
    if isinstance(found, Captions):
        return plot_captions(item.video, found, item.duration, start, out, item.familiar is not False)
    if isinstance(found, Answer):
        known = item.familiar is not False
        found = (Moments(f"{found.question}   {found.text}", found.moments, familiar=known),)
    return plot_grounding(item.video, found, item.duration, start, out)


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
            panels += [header(f"“{found.query}”"), indicator_curve(found, start, duration)]
        else:
            panels.append(header(found.query))
        panels += found_lanes(found.items, start, duration, found.absent or not found.familiar)
        if truth is not None and truth[number]:
            windows = [Moment(a, b) for a, b in truth[number]]
            panels += lanes(windows, start, duration, label="true", colour=GREEN)
        panels.append(gap())
    note = "curve: probability that a frame is inside the moment" if any(m.curve for m in moments) else ""
    badge = "" if all(m.familiar for m in moments) else UNFAMILIAR
    return compose(video_path, panels, start, duration, Path(out), note, badge=badge)


def plot_highlights(
    video_path: str | os.PathLike[str],
    highlights: Highlights,
    duration: float,
    start: float,
    out: str | os.PathLike[str],
) -> Path:
    """Film strip, the saliency of each clip as bars, and the best moments; a PNG at ``out``."""
    absent = highlights.presence if highlights.absent else None
    panels: list[Panel] = [
        header(f"“{highlights.query}”"),
        clip_bars(highlights.times, highlights.scores, start + duration, height=CURVE * 1.4, absent=absent),
        *found_lanes(highlights.moments, start, duration, highlights.absent or not highlights.familiar),
        gap(),
    ]
    note = f"bars: saliency of each clip of {highlights.clip_s:g} s"
    badge = "" if highlights.familiar else UNFAMILIAR
    return compose(video_path, panels, start, duration, Path(out), note, badge=badge)


def plot_captions(
    video_path: str | os.PathLike[str],
    captions: Sequence[Moment],
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    familiar: bool = True,
) -> Path:
    """Film strip, and each sentence over the bar of its moment; a PNG at ``out``."""
    panels: list[Panel] = []
    for caption in captions:
        bar = found_lanes([caption], start, duration, not familiar, label="")
        panels += [header(caption.text or ""), *bar]
        panels.append(gap(GAP / 2))
    if not captions:
        panels += [header("no event described"), *lanes([], start, duration)]
    return compose(video_path, panels, start, duration, Path(out), badge="" if familiar else UNFAMILIAR)
