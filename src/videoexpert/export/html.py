"""An answer as a fragment of a page, for notebooks: bars on the video's time, and a card a moment.

No script, no style sheet and no file of its own: notebooks strip those. Colours follow the page's, light or dark.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from itertools import zip_longest

from ..types import Answer, Captions, Highlights, Moment, Moments, Source, worth_showing
from .text import clock, not_understood, one_line

MOST_CARDS = 12
WIDE, TALL = 1000, 60  # of the drawing, which stretches to the page's width
BAR, CURVE, GREY = (
    "#3b8fc4",
    "#e0932f",
    "#9aa0a6",
)  # distinct for the colour-blind, visible on white and black
_TRACK = "rgba(128,128,128,.18)"
_FAINT = "opacity:.7;font-size:.9em"
Found = Moments | Highlights | Captions | Answer


def cards_of(found: Found) -> tuple[Moment, ...]:
    """The moments that get a card, in their given order."""
    if isinstance(found, Captions):
        moments: Sequence[Moment] = found
    elif isinstance(found, Answer):
        moments = worth_showing(found.moments)
    else:
        ranked = found.moments if isinstance(found, Highlights) else found.items
        moments = worth_showing(ranked)[: 1 if found.absent or found.guess else None]
    return tuple(moments[:MOST_CARDS])


def fragment(found: Found, pictures: Sequence[bytes] = (), address: str | None = None) -> str:
    """The answer drawn.

    pictures   a JPEG for each of ``cards_of``; none where the video is not at hand
    address    of the video, for players of the spans; None where the page cannot reach it
    """
    start, end = _stretch(found)
    parts = [_head(found, end), _drawing(found, start, end), _choices(found)]
    cards = [
        _card(moment, picture, address, end)
        for moment, picture in zip_longest(cards_of(found), pictures)
        if moment is not None
    ]
    left = len(found) - MOST_CARDS if isinstance(found, Captions) else 0
    more = f'<div style="{_FAINT}">and {left} more</div>' if left > 0 else ""
    style = "max-width:1000px;font-family:system-ui,sans-serif;line-height:1.4"
    wall = f'<div style="display:flex;flex-wrap:wrap;gap:12px;margin-top:8px">{"".join(cards)}</div>'
    return f'<div style="{style}">{"".join(parts)}{wall if cards else ""}{more}</div>'


def _stretch(found: Found) -> tuple[float, float]:
    """The time that is drawn: the part that was looked at, or else what the answer reaches."""
    source: Source | None = found.source
    if source is not None:
        return source.start, source.start + source.duration
    moments: Sequence[Moment] = found if isinstance(found, Captions | Moments) else found.moments
    ends = [m.end for m in moments]
    if isinstance(found, Highlights):
        ends += [time + found.clip_s for time in found.times[-1:]]
    return 0.0, max(ends, default=1.0) or 1.0


def _head(found: Found, end: float) -> str:
    if isinstance(found, Captions):
        said = f"{len(found)} events" if len(found) != 1 else "one event"
        return f"<div><b>{said if found else 'no event'}</b></div>"
    if isinstance(found, Answer):
        guess = f" ({_text(not_understood(found.unknown_words))})" if found.unknown_words else ""
        return (
            f"<div><b>{_text(found.question)}</b></div><div>{_text(found.text) or 'no answer'}{guess}</div>"
        )
    said = f"presence {found.presence:.2f}"
    if found.unknown_words:
        unknown = _text(not_understood(found.unknown_words))
        said = unknown if found.guess else f"{said}; {unknown}"
    if found.absent:
        said = f"not in this video ({said})"
        best = cards_of(found)
        if best:
            said += f"; best guess {_span(best[0], end)}"
    return f'<div><b>“{_text(found.query)}”</b> <span style="{_FAINT}">{said}</span></div>'


def _drawing(found: Found, start: float, end: float) -> str:
    """Bars of the moments on a track, with the curve or the clips above."""

    def x(seconds: float) -> float:
        return min(max((seconds - start) / (end - start), 0.0), 1.0) * WIDE

    shapes = [f'<rect x="0" y="{TALL - 12}" width="{WIDE}" height="12" fill="{_TRACK}"/>']
    absent = not isinstance(found, Captions) and found.guess
    absent = absent or (not isinstance(found, Captions | Answer) and found.absent)
    for moment in cards_of(found):
        wide = max(x(moment.end) - x(moment.start), 2.0)
        colour = GREY if absent else BAR
        shapes.append(
            f'<rect x="{x(moment.start):.1f}" y="{TALL - 12}" width="{wide:.1f}" height="12" fill="{colour}" '
            f'fill-opacity="{0.35 + 0.65 * moment.score:.2f}"/>'
        )
    if isinstance(found, Highlights):
        for time, score in zip(found.times, found.scores, strict=True):
            wide = max(x(time + found.clip_s) - x(time) - 1, 1.0)
            tall = score * (TALL - 16)
            shapes.append(
                f'<rect x="{x(time):.1f}" y="{TALL - 14 - tall:.1f}" width="{wide:.1f}" height="{tall:.1f}" '
                f'fill="{CURVE}" fill-opacity=".75"/>'
            )
    if isinstance(found, Moments) and found.curve:
        points = " ".join(
            f"{x(t):.1f},{TALL - 14 - v * (TALL - 16):.1f}" for t, v in _curve(found, start, end)
        )
        shapes.append(f'<polyline points="{points}" fill="none" stroke="{CURVE}" stroke-width="2"/>')
    has_curve = isinstance(found, Highlights) or (isinstance(found, Moments) and bool(found.curve))
    tall = TALL if has_curve else 12
    style = f"width:100%;height:{tall}px;display:block;margin-top:6px"
    box = f"0 {TALL - tall} {WIDE} {tall}"
    drawn = (
        f'<svg viewBox="{box}" preserveAspectRatio="none" role="img" aria-label="timeline" style="{style}">'
    )
    row = f"display:flex;justify-content:space-between;{_FAINT}"
    below = f'<div style="{row}"><span>{clock(start, end)}</span><span>{clock(end, end)}</span></div>'
    return f"{drawn}{''.join(shapes)}</svg>{below}"


def _curve(found: Moments, start: float, end: float) -> list[tuple[float, float]]:
    count = len(found.curve)
    times = found.curve_times or [start + (i + 0.5) / count * (end - start) for i in range(count)]
    return list(zip(times, found.curve, strict=True))


def _choices(found: Found) -> str:
    """How likely each choice is."""
    if not isinstance(found, Answer) or not found.choices:
        return ""
    rows = []
    for number, (choice, score) in enumerate(zip(found.choices, found.choice_scores, strict=False)):
        weight = "bold" if number == found.choice else "normal"
        bar = f'<div style="background:{BAR};height:8px;width:{score:.1%}"></div>'
        rows.append(
            f'<tr><td style="text-align:left;font-weight:{weight}">{_text(choice)}</td><td>{score:.2f}</td>'
            f'<td style="width:200px"><div style="background:{_TRACK}">{bar}</div></td></tr>'
        )
    return f'<table style="margin-top:6px">{"".join(rows)}</table>'


def _card(moment: Moment, picture: bytes | None, address: str | None, end: float) -> str:
    """A player of the span, or its picture, above its time, score and sentence."""
    image = "" if picture is None else f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"
    style = "width:220px;max-height:160px;display:block;background:#000"
    span = _span(moment, end)
    if address is not None:
        # a media fragment: the player starts there and stops at its end
        source = escape(f"{address}#t={moment.start:.3f},{max(moment.end, moment.start + 0.1):.3f}")
        poster = f' poster="{image}"' if image else ""
        shown = f'<video controls preload="none" src="{source}"{poster} style="{style}"></video>'
    elif image:
        shown = f'<img src="{image}" alt="{span}" style="{style}">'
    else:
        shown = ""
    text = f"<div>{_text(moment.text)}</div>" if moment.text else ""
    below = f'<div style="{_FAINT}">{span} · {moment.score:.2f}</div>'
    return f'<div style="width:220px">{shown}{below}{text}</div>'


def _span(moment: Moment, end: float) -> str:
    return f"{clock(moment.start, end)} to {clock(moment.end, end)}"


def _text(text: str) -> str:
    return escape(one_line(text))
