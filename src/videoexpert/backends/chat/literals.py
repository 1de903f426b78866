"""Times as chat models write them: ``12.5``, ``12.5 s``, ``00:12.50``, ``1m 12s``, ``2 minutes``.

``find`` lists them with their places; ``joined`` pairs neighbours that a dash or a word connects.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import pairwise

_SECONDS = r"s(?:ec(?:ond)?s?)?"
_MINUTES = r"min(?:ute)?s?"
_HOURS = r"h(?:ours?|rs?)?"
_LITERAL = re.compile(
    rf"""
    (?<![\w.:])
    (?:
        (?:(?P<hours>\d{{1,4}}):)? (?P<minutes>\d{{1,4}}) : (?P<seconds>[0-5]\d (?:[.,]\d{{1,6}}(?![\d:]))?)
            (?![\d:])                                             # [HH:]MM:SS[.ff], comma as in subtitles
      | (?P<m>\d{{1,6}}) \s? (?:m|{_MINUTES}) [\s,]* (?:and\s+)? (?P<s>\d{{1,6}}(?:\.\d+)?) \s? {_SECONDS} (?!\w)
      | (?P<number>\d+(?:\.\d+)?) (?!\.?\d)
            (?: [\s-]? (?: (?P<unit_s>{_SECONDS}) | (?P<unit_m>{_MINUTES}) | (?P<unit_h>{_HOURS}) ) (?!\w)
              | (?! \s?% | \s?fps\b | \s?frames?\b | \w ) )
    )
    """,
    re.IGNORECASE | re.VERBOSE,
)
LONGEST_BETWEEN = 60  # characters between two times of one moment
_PER_UNIT = {"unit_s": 1.0, "unit_m": 60.0, "unit_h": 3600.0}
# what may appear between two times of one moment: brackets and quotes around them, one connecting sign or word
_CLOSING, _OPENING = r"""[\s\])}>"'’*`]*""", r"""[\s\[({<"'‘*`]*"""
_SIGNS = r"-{1,3}|[–—−~→]|-?->|\.\.\.?|…"
_WORDS = r"to|until|till|through|and"
_FILLER = r"(?:(?:at|about|around|approximately|roughly|second|seconds|timestamp|t\s?=)\s*)*"
_BETWEEN = re.compile(
    rf"^{_CLOSING},?{_CLOSING}(?:{_SIGNS}|\b(?:{_WORDS})\b){_OPENING}{_FILLER}{_OPENING}$", re.IGNORECASE
)
_BETWEEN_WORD = re.compile(r"\bbetween\b[^.;]*$", re.IGNORECASE)
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
    """All times of the text in order; percentages, frame counts and numbers inside words are none."""
    found = []
    for match in _LITERAL.finditer(text):
        seconds, clock, unit = _value(match)
        if math.isfinite(seconds):
            found.append(Literal(match.start(), match.end(), seconds, clock, unit))
    return found


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
    before, after = text[max(0, a.start - 3) : a.start].rstrip(), text[b.end : b.end + 3].lstrip()
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
