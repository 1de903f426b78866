"""Times as chat models write them: ``12.5``, ``12.5 s``, ``00:12.50``, ``1m 12s``, ``2 minutes``, ``3,5 s``, ``3秒``.

``find`` lists them with their places; ``joined`` pairs neighbours that a dash or a word connects. Units and connecting
words are those of some large languages: models answer in the language of the question.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

_ASIAN = r"\u1100-\u11ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"  # letters that are written without blanks
_INSIDE = rf"(?:(?![{_ASIAN}])\w)"  # a letter or digit that belongs to the same word
_SECONDS = r"(?:s(?:ecs?|econd(?:e|o|i)?s?|egundos?|ek(?:unden?)?)?|с(?:ек(?:унд\w*)?)?|秒|초)"
_MINUTES = r"(?:min(?:ut(?:e[ns]?|os?|i)?|s)?|мин(?:ут\w*)?|分钟?|분)"
_HOURS = r"(?:h(?:ours?|rs?)?|小时|時間|시간)"
_LITERAL = re.compile(
    rf"""
    (?<!{_INSIDE}) (?<!:) (?<!\d\.)
    (?:
        (?:(?P<hours>\d{{1,4}}):)? (?P<minutes>\d{{1,4}}) : (?P<seconds>[0-5]?\d (?:[.,]\d{{1,6}}(?![\d:]))?)
            (?![\d:])                                             # [HH:]MM:SS[.ff], comma as in subtitles
      | (?P<m>\d{{1,6}}) \s? (?:m|{_MINUTES}) [\s,]* (?:and\s+)? (?P<s>\d{{1,6}}(?:\.\d+)?) \s? {_SECONDS} (?!{_INSIDE})
      | (?P<number>\d+(?:\.\d+)?|(?<!\.)\.\d+) (?![.:]?\d)
            (?: [\s-]? (?: (?P<unit_ms>ms|msecs?|milliseconds?) | (?P<unit_s>{_SECONDS}) | (?P<unit_m>{_MINUTES})
                         | (?P<unit_h>{_HOURS}) ) (?!{_INSIDE})
              | (?! \s?% | \s?fps\b | \s?frames?\b | {_INSIDE} | [{_ASIAN}] ) )
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
LONGEST_BETWEEN = 60  # characters between two times of one moment
_QUOTES = " \t\n\"'<>"
_PER_UNIT = {"unit_ms": 0.001, "unit_s": 1.0, "unit_m": 60.0, "unit_h": 3600.0}
# what may appear between two times of one moment: brackets and quotes around them, one connecting sign or word
_CLOSING, _OPENING = r"""[\s\])}>"'’*`]*""", r"""[\s\[({<"'‘*`]*"""
_SIGNS = r"-{1,3}|[‐‑‒–—―−~～〜→]|-?->|\.\.\.?|…"
_WORDS = r"to|until|till|through|bis|à|a|al|hasta|até|do|до|по"
_ASIAN_WORDS = r"(?:から|부터)|[到至]"
_FILLER = r"(?:(?:at|about|around|approximately|roughly|second|seconds|timestamp|mark|第|t\s?=)\s*)*"
_BETWEEN = re.compile(
    rf"^{_CLOSING}[,.]?{_CLOSING}(?:{_SIGNS}|\b(?:{_WORDS}|and)\b|{_ASIAN_WORDS}){_OPENING}{_FILLER}{_OPENING}$",
    re.IGNORECASE,
)
_BETWEEN_WORD = re.compile(r"\bbetween\b[^.;]*$", re.IGNORECASE)
# 3,5: a comma between digits, in a text that writes no decimal points
_DECIMAL = re.compile(r"(?<![\d.,:])(\d+),(\d{1,3})(?![\d:]|[.,]\d)")
_WORDS_ALONE = re.compile(r"[^\d\n\[\](){};|]*[^\W\d_]{2}[^\d\n\[\](){};|]*")
_POINT = re.compile(r"\d\.\d")
_UNIT_BEHIND = re.compile(rf"\s?(?:{_SECONDS}|{_MINUTES})(?!{_INSIDE})", re.IGNORECASE)
_CONNECTOR = rf"{_CLOSING}(?:{_SIGNS}|\b(?:{_WORDS})\b){_OPENING}"
_CONNECTOR_BEHIND = re.compile(_CONNECTOR + r"\d", re.IGNORECASE)
_CONNECTOR_BEFORE = re.compile(rf"\d\s?(?:{_SECONDS})?{_CONNECTOR}$", re.IGNORECASE)
_FRAME = re.compile(
    r"(?:(?<![a-z])(?<!time.)frames?(?:_?(?:number|index|no|id))?|_ms)[\s\"'#:=._]*$", re.IGNORECASE
)
_COMMA = re.compile(rf"^{_CLOSING}[,;]{_OPENING}$")


@dataclass(frozen=True)
class Literal:
    """One time: ``text[start:end]``, its value, whether it was written as a clock, whether it had a unit."""

    start: int
    end: int
    seconds: float
    clock: bool = False
    unit: float | None = None


def find(text: str) -> list[Literal]:
    """All times of the text in order; percentages, numbers of frames and numbers inside words are none."""
    text = _with_points(text)
    found: list[Literal] = []
    frame: int | None = None  # the end of the last number that counts frames
    for match in _LITERAL.finditer(text):
        seconds, clock, unit = _value(match)
        before = text[max(0, match.start() - LONGEST_BETWEEN) : match.start()]
        if unit is None and (_FRAME.search(before) or _same_frames(text, frame, match.start())):
            frame = match.end()
        elif math.isfinite(seconds):
            found.append(Literal(match.start(), match.end(), seconds, clock, unit))
    return found


def _same_frames(text: str, frame: int | None, start: int) -> bool:
    """ "frames 10 to 20": the second number goes on from one of frames."""
    return (
        frame is not None
        and start - frame <= LONGEST_BETWEEN
        and _BETWEEN.match(text[frame:start]) is not None
    )


def _with_points(text: str) -> str:
    """Decimal commas as points, at the same places: "3,5 - 7,2 s". "3,7" alone, or in brackets, is a list of two."""
    if "," not in text or _POINT.search(text):
        return text
    found = list(_DECIMAL.finditer(text))
    # "starts at 3,5 and ends at 7,2"
    worded = [_WORDS_ALONE.fullmatch(text[a.end() : b.start()]) is not None for a, b in pairwise(found)]
    for i, match in enumerate(found):
        if any(worded[max(0, i - 1) : i + 1]) or _is_decimal(text, match):
            text = f"{text[: match.end(1)]}.{text[match.end(1) + 1 :]}"
    return text


def _is_decimal(text: str, match: re.Match[str]) -> bool:
    if _UNIT_BEHIND.match(text, match.end()):
        return True
    before = (
        _CONNECTOR_BEFORE.search(text[max(0, match.start() - LONGEST_BETWEEN) : match.start()]) is not None
    )
    behind = _CONNECTOR_BEHIND.match(text[match.end() : match.end() + LONGEST_BETWEEN]) is not None
    return before != behind  # "3-7,10-12" are two ranges


def _value(match: re.Match[str]) -> tuple[float, bool, float | None]:
    if match["minutes"] is not None:
        rest = float(match["seconds"].replace(",", "."))
        return int(match["hours"] or 0) * 3600 + int(match["minutes"]) * 60 + rest, True, 1.0
    if match["m"] is not None:
        return int(match["m"]) * 60 + float(match["s"]), True, 1.0
    unit = next((size for name, size in _PER_UNIT.items() if match[name]), None)
    return float(match["number"]) * (unit or 1.0), False, unit


def joined(text: str, times: list[Literal], *, comma: bool = False) -> list[tuple[Literal, Literal]]:
    """Neighbours that make one moment: ``a - b``, ``a to b``, and with ``comma`` also ``a, b``.

    A start without unit takes its end's: "1 to 2 minutes" begins at 60 s.
    """
    pairs = []
    i = 0
    while i + 1 < len(times):
        a, b = times[i], times[i + 1]
        between = text[a.end : b.start]
        if a.clock == b.clock and _connects(between, text[: a.start], comma):
            if a.unit is None and b.unit is not None:
                a = Literal(a.start, a.end, a.seconds * b.unit, a.clock, b.unit)
            pairs.append((a, b))
            i += 2
        else:
            i += 1
    return pairs


def bracketed(text: str, times: list[Literal]) -> list[tuple[Literal, Literal]]:
    """Neighbouring times alone in brackets: ``(a, b)``, ``[a, b]``."""
    return [(a, b) for a, b in pairwise(times) if _in_brackets(text, a, b)]


def _in_brackets(text: str, a: Literal, b: Literal) -> bool:
    before = text[max(0, a.start - 3) : a.start].rstrip(_QUOTES)
    after = text[b.end : b.end + 3].lstrip(_QUOTES)
    between = text[a.end : b.start]
    closed = before[-1:] + after[:1] in ("()", "[]")
    return closed and len(between) <= LONGEST_BETWEEN and _COMMA.match(between) is not None


def _connects(between: str, before: str, comma: bool) -> bool:
    # the patterns below are quadratic in long runs of blanks
    if len(between) > LONGEST_BETWEEN:
        return False
    if comma and _COMMA.match(between):
        return True
    if not _BETWEEN.match(between):
        return False
    # "between 3 and 7" is one moment, "at 3 and 7" are two points
    return "and" not in between.lower() or _BETWEEN_WORD.search(before[-30:]) is not None
