"""Answers to export: made by hand, about videos that need not be there."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from videoexpert.export import Answers, Clock
from videoexpert.export.timecode import Rate
from videoexpert.types import Captions, MediaInfo, Moment

FILM = Fraction(24000, 1001)
VIDEO = Fraction(30000, 1001)
DOUBLE = Fraction(60000, 1001)
RATES = [
    Rate(FILM),
    Rate(Fraction(24)),
    Rate(Fraction(25)),
    Rate(VIDEO),
    Rate(VIDEO, drop=True),
    Rate(Fraction(30)),
    Rate(Fraction(50)),
    Rate(DOUBLE),
    Rate(DOUBLE, drop=True),
    Rate(Fraction(60)),
]
HOURS = 36_000.0
AWKWARD = [
    'say "hi" & <b>go</b> --> now',
    "00:00:01,000 --> 00:00:02,000",
    "a\n\n2\n00:00:05,000 --> 00:00:07,000\nb",
    "שלום --> עולם \u202e gnirts \u202c",
    "🐕‍🦺🏳️‍🌈 e\u0301",
    "]]> <![CDATA[ &#x0; &amp;",
    "a=b;#c\\\r\n[CHAPTER]\nSTART=9",
    "\x00\x1b[31m\ud800\ufffe\x85\u2028end",
    " |C:ResolveColorRed |M:x |D:1",
    "* FROM CLIP NAME: other.mov\n003  AX V C",
    "NOTE\nWEBVTT",
    '=HYPERLINK("http://a.b")',
    "{\\an8}{\\p1}",
    " spaces \t tab ",
    "12",
    "-",
]


def media(rate: Rate, duration: float = HOURS, timecode: str | None = None, sound: bool = True) -> MediaInfo:
    """A film of ten hours at a rate."""
    channels, hertz = (2, 48_000) if sound else (0, 0)
    return MediaInfo("/films/A film.mp4", rate.fps, True, duration, 1920, 1080, channels, hertz, timecode)


def told(
    spans: Sequence[tuple[float, float]],
    titles: Sequence[str] = ("a dog runs",),
    rate: Rate = RATES[2],
    start: int | None = None,
    duration: float = HOURS,
    timecode: str | None = None,
    sound: bool = True,
) -> Answers:
    """Captions of a film; the titles are repeated as needed."""
    moments = [Moment(a, b, 0.9, titles[i % len(titles)]) for i, (a, b) in enumerate(spans)]
    return Answers(
        "films/A film.mp4",
        duration,
        "shipped",
        Captions(moments),
        media=media(rate, duration, timecode, sound),
        clock=Clock(rate, start),
    )
