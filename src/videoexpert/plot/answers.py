"""What the session answers about one video: moments, highlights, captions, answers to questions."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..export import Answers
from ..export.text import not_understood
from ..look import BLUE, DIM, GREEN, GREY, INK, LABEL, drawable
from ..types import Answer, Captions, Highlights, Moment, Moments, worth_showing
from .panels import (
    CALIBRATED,
    CURVE,
    FAINTEST,
    FOUND,
    GAP,
    GUESS,
    INSIDE,
    LANE,
    RANKED,
    SCORE,
    TRUE,
    Key,
    Panel,
    Window,
    clip_bars,
    compose,
    found_lanes,
    gap,
    header,
    indicator_curve,
    lanes,
    verdict,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

UNFAMILIAR = "This model was never shown videos like this one: its answers are guesses."
MOST_LETTERS = 60  # of a choice


def plot_answers(item: Answers, out: str | os.PathLike[str]) -> Path:
    """What one command answered about a video; a picture at ``out``. Raises VideoError for one without frames."""
    start, found, seconds = item.start or 0.0, item.found, item.duration
    known, said = item.familiar is not False, (item.model, item.calibrated)
    if isinstance(found, Highlights):
        return plot_highlights(item.video, found, seconds, start, out, *said)
    if isinstance(found, Captions):
        return plot_captions(item.video, found, seconds, start, out, known, *said)
    if isinstance(found, Answer):
        return plot_answer(item.video, found, seconds, start, out, known, *said)
    return plot_grounding(item.video, found, seconds, start, out, None, *said)


def plot_grounding(
    video_path: str | os.PathLike[str],
    moments: Sequence[Moments],
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    truth: Sequence[Sequence[Window]] | None = None,
    model: str = "",
    calibrated: bool | None = None,
) -> Path:
    """Film strip, and for each query its sentence, indicator curve and ranked moments; a picture at ``out``.

    ``duration`` seconds from ``start`` on are shown. ``truth`` gives the true windows of each query, none
    where its event is absent. ``model`` is named, and ``calibrated`` says whether scores are probabilities.
    The picture is a PNG, SVG or PDF, as ``out`` ends. Raises VideoError for a video that gives no frames.
    """
    panels: list[Panel] = []
    for number, found in enumerate(moments):
        panels += [header(f"“{found.query}”"), *verdict(found, found.items, start + duration)]
        if found.curve:
            panels.append(indicator_curve(found, start, duration))
        panels += found_lanes(found.items, start, duration, found.absent or found.cannot_tell)
        if truth is not None and truth[number]:
            windows = [Moment(a, b) for a, b in truth[number]]
            panels += lanes(windows, start, duration, label="true", colour=GREEN)
        panels.append(gap())
    keys = _keys(
        calibrated,
        found=max((_shown(m.items) for m in moments if not (m.absent or m.cannot_tell)), default=0),
        guess=any(m.items and (m.absent or m.cannot_tell) for m in moments),
        curve=any(m.curve for m in moments),
        truth=truth is not None and any(truth),
    )
    badge = "" if all(m.familiar for m in moments) else UNFAMILIAR
    return compose(video_path, panels, start, duration, Path(out), _by(model), badge=badge, keys=keys)


def plot_highlights(
    video_path: str | os.PathLike[str],
    highlights: Highlights,
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    model: str = "",
    calibrated: bool | None = None,
) -> Path:
    """Film strip, the saliency of each clip as bars, and the best moments; otherwise as ``plot_grounding``."""
    nothing = highlights.absent or highlights.cannot_tell
    panels: list[Panel] = [
        header(f"“{highlights.query}”"),
        *verdict(highlights, highlights.moments, start + duration),
        clip_bars(
            highlights.times,
            highlights.scores,
            start + duration,
            height=CURVE * 1.4,
            colour=GREY if nothing else BLUE,
        ),
        *found_lanes(highlights.moments, start, duration, nothing),
        gap(),
    ]
    bars = Key(f"saliency of each clip of {highlights.clip_s:g} s", GREY if nothing else BLUE, "bar")
    there = bool(highlights.moments)
    keys = [
        *_keys(calibrated, found=0 if nothing else _shown(highlights.moments), guess=there and nothing),
        bars,
    ]
    badge = "" if highlights.familiar else UNFAMILIAR
    return compose(video_path, panels, start, duration, Path(out), _by(model), badge=badge, keys=keys)


def plot_captions(
    video_path: str | os.PathLike[str],
    captions: Sequence[Moment],
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    familiar: bool = True,
    model: str = "",
    calibrated: bool | None = None,
) -> Path:
    """Film strip, and each sentence over the bar of its moment, by time; otherwise as ``plot_grounding``."""
    panels: list[Panel] = []
    for caption in sorted(captions, key=lambda m: (m.start, m.end)):
        bar = found_lanes([caption], start, duration, not familiar, label="")
        panels += [header(caption.text or ""), *bar]
        panels.append(gap(GAP / 2))
    if not captions:
        panels += [header("no event described"), *lanes([], start, duration)]
    keys = _keys(calibrated, found=int(bool(captions) and familiar), guess=bool(captions) and not familiar)
    badge = "" if familiar else UNFAMILIAR
    return compose(video_path, panels, start, duration, Path(out), _by(model), badge=badge, keys=keys)


def plot_answer(
    video_path: str | os.PathLike[str],
    answer: Answer,
    duration: float,
    start: float,
    out: str | os.PathLike[str],
    familiar: bool = True,
    model: str = "",
    calibrated: bool | None = None,
) -> Path:
    """Film strip, the question, how likely each choice is, the answer and its moments; as ``plot_grounding``."""
    panels: list[Panel] = [header(f"question: {answer.question}", colour=DIM)]
    if answer.choices:
        panels += [_choices(answer), gap(GAP / 2)]
    panels.append(header(f"answer: {answer.text}" if answer.text else "the model gives no answer"))
    if answer.unknown_words:
        panels.append(header(f"a guess: {not_understood(answer.unknown_words)}", colour=DIM))
    moments = answer.moments if answer.text else ()
    faint = not familiar or answer.guess or (bool(moments) and moments[0].score < FAINTEST)
    panels += [*(found_lanes(moments, start, duration, faint) or lanes([], start, duration)), gap()]
    keys = _keys(calibrated, found=0 if faint else _shown(moments), guess=bool(moments) and faint)
    badge = "" if familiar else UNFAMILIAR
    return compose(video_path, panels, start, duration, Path(out), _by(model), badge=badge, keys=keys)


def _choices(answer: Answer) -> Panel:
    """A bar as long as each choice is likely, its words beside it; the chosen one in colour."""
    count = len(answer.choices)

    def draw(axes: Axes) -> None:
        low, high = axes.get_xlim()
        span = high - low
        axes.set_ylim(count - 0.5, -0.5)
        for place, text in enumerate(answer.choices):
            chosen = place == answer.choice
            score = answer.choice_scores[place] if answer.choice_scores else None
            if score is not None:
                colour = BLUE if chosen else GREY
                axes.barh(place, 0.15 * span * score, left=low, height=0.6, color=colour)
                axes.text(low + 0.16 * span, place, f"{score:.2f}", va="center", fontsize=LABEL, color=INK)
            letters = text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"
            said = drawable(f"{'→ ' if chosen and score is None else ''}{letters}")
            weight = "bold" if chosen else "normal"
            where = low + (0.21 if score is not None else 0.0) * span
            axes.text(
                where, place, said, va="center", fontsize=LABEL, color=INK, weight=weight, parse_math=False
            )

    return LANE * count, draw


def _shown(moments: Sequence[Moment]) -> int:
    """How many of an answer's ranked moments ``found_lanes`` draws."""
    return len(worth_showing(moments))


def _keys(
    calibrated: bool | None,
    *,
    found: int = 0,
    guess: bool = False,
    curve: bool = False,
    truth: bool = False,
) -> list[Key]:
    """What the signs in a picture mean, of those that are in it. Guesses alone have no calibrated scores.

    ``found``: the most moments that one answer shows.
    """
    number = CALIBRATED if calibrated and found else SCORE
    inside = INSIDE if found or not guess else Key(INSIDE.text, GREY, "line")
    wanted: Iterable[tuple[Key, bool]] = (
        (RANKED if found > 1 else FOUND, found > 0),
        (GUESS, guess),
        (TRUE, truth),
        (inside, curve),
        (number, found > 0 or guess),
    )
    return [key for key, there in wanted if there]


def _by(model: str) -> str:
    return f"model: {model}" if model else ""
