"""Times as chat models write them: ``12.5``, ``12.5 s``, ``00:12.50``, ``1m 12s``, ``2 minutes``, ``3,5 s``, ``3秒``.

``find`` lists them with their places; ``joined`` pairs neighbours that a dash or a word connects. Units and connecting
words are those of some large languages: models answer in the language of the question.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
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
      | (?P<number>\d+(?:_\d{{3}})*(?:\.\d+)?|(?<!\.)\.\d+) (?![.:]?\d)
            (?: (?:st|nd|rd|th) (?=\s+seconds?\b) )?              # "the 3rd second"
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
_FILLER = r"(?:(?:the|at|about|around|approximately|roughly|second|seconds|timestamp|mark|第|t\s?=)\s*)*"
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
# "1,234.5 s": a comma between thousands, told from a list of two by the point behind it
_THOUSANDS = re.compile(r"(?<![\d.,:])\d{1,3}(?:,\d{3})+\.\d+")
# a length of time is no place in the video: "for 2 seconds", "a 30-second clip", "30 s long"
_LENGTH_BEFORE = re.compile(
    r"\b(?:for|last(?:s|ed|ing)?|duration|length|first|every|within|total)\b"
    r"(?:\W+(?:is|of|a|the|about|around|approximately|only|time))*\W*$",
    re.IGNORECASE,
)
_LENGTH_BEHIND = re.compile(r"[\s-]{0,2}(?:long|later|duration|video|clip|film|footage)\b", re.IGNORECASE)
_AS_ADJECTIVE = re.compile(r"\d-[^\W\d_]")
_MARK_BEHIND = re.compile(r"\s+(?:mark|point|timestamp)\b", re.IGNORECASE)
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d\b")
# what stands before a number that is a time though it bears no unit
_AT = re.compile(
    r"\b(?:at|from|to|until|till|by|(?:start|begin|end|finish|stop)\w*|seconds?|times?|timestamps?|mark"
    r"|bei|nach|ab|um|vers|sekunden?|segundos?|secondes?|с|до|на)\b"
    r"(?:\s+(?:about|around|approximately|roughly))?[\s:=~\"'*`(<\[]*$",
    re.IGNORECASE,
)
_NO_WORD_BEFORE = re.compile(r"(?:^|[^\w\s/]|\d|\n|\b(?:is|are|and|or)\b)[\s\"'*`]*$", re.IGNORECASE)
# "2 men", "4/5"; "2 and", "2 or" count nothing
_COUNTED = re.compile(r"\s?/|[\s-]+(?!(?:and|or|und|et|y|и|to)\b)[^\W\d_]", re.IGNORECASE)


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
    text = _with_points(_DATE.sub(lambda match: "_" * len(match[0]), text))
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
    """Decimal commas as points, at the same places: "3,5 - 7,2 s".

    "3,7" alone, or in brackets, is a list of two: one number would be no moment, and who writes decimal commas writes
    a unit, or both ends.
    """
    if "," not in text:
        return text
    if _POINT.search(text):
        return _without_thousands(text)
    found = list(_DECIMAL.finditer(text))
    # "starts at 3,5 and ends at 7,2"
    worded = [_WORDS_ALONE.fullmatch(text[a.end() : b.start()]) is not None for a, b in pairwise(found)]
    for i, match in enumerate(found):
        if any(worded[max(0, i - 1) : i + 1]) or _is_decimal(text, match):
            text = f"{text[: match.end(1)]}.{text[match.end(1) + 1 :]}"
    return text


def _without_thousands(text: str) -> str:
    """ "1,234.5 - 1,250.0 s" with underscores for commas, which ``float`` takes. "(1,234.5)" is a list of two."""
    for match in _THOUSANDS.finditer(text):
        if _in_range(text, match) or _UNIT_BEHIND.match(text, match.end()):
            text = text[: match.start()] + match[0].replace(",", "_") + text[match.end() :]
    return text


def _is_decimal(text: str, match: re.Match[str]) -> bool:
    return _UNIT_BEHIND.match(text, match.end()) is not None or _in_range(text, match)


def _in_range(text: str, match: re.Match[str]) -> bool:
    """True for a number with a dash or a word such as "to" on one side; "3-7,10-12" are two ranges."""
    before = text[max(0, match.start() - LONGEST_BETWEEN) : match.start()]
    behind = text[match.end() : match.end() + LONGEST_BETWEEN]
    return (_CONNECTOR_BEFORE.search(before) is None) != (_CONNECTOR_BEHIND.match(behind) is None)


def _value(match: re.Match[str]) -> tuple[float, bool, float | None]:
    if match["minutes"] is not None:
        rest = float(match["seconds"].replace(",", "."))
        return int(match["hours"] or 0) * 3600 + int(match["minutes"]) * 60 + rest, True, 1.0
    if match["m"] is not None:
        return int(match["m"]) * 60 + float(match["s"]), True, 1.0
    unit = next((size for name, size in _PER_UNIT.items() if match[name]), None)
    return float(match["number"]) * (unit or 1.0), False, unit


def placed(text: str, times: Sequence[Literal]) -> list[Literal]:
    """Without lengths, which are no places in the video: "for 2 seconds", "a 30-second clip"."""
    return [time for time in times if not _is_length(text, time)]


def points(text: str, times: Sequence[Literal]) -> list[Literal]:
    """Those of the times that say when something is, where only words connect them.

    Where some bear a unit or are clocks, bare numbers are none: in "the 2 men run at 3.5 s" one of two is a time. Where
    none does, a bare number has to stand as a time does: "at 5", not "2 men".
    """
    measured = [time for time in times if time.unit is not None]
    return placed(text, measured) if measured else [time for time in times if stands_as_time(text, time)]


def in_rows(text: str, times: Sequence[Literal]) -> list[tuple[Literal, Literal]]:
    """Moments of a table with bars: two times in each row, behind the row's number where it has one."""
    lines: dict[int, list[Literal]] = {}  # by where a line begins
    for time in times:
        lines.setdefault(text.rfind("\n", 0, time.start) + 1, []).append(time)
    rows = [row for begin, row in lines.items() if "|" in text[begin : row[0].start]]
    numbers = [row[0].seconds for row in rows if len(row) == 3 and row[0].unit is None]
    if rows and numbers == list(range(1, len(rows) + 1)):
        rows = [row[1:] for row in rows]
    return [(row[0], row[1]) for row in rows] if all(len(row) == 2 for row in rows) else []


def stands_as_time(text: str, time: Literal) -> bool:
    """True with a unit, and for a number behind "at", "from", "ends"..., or on its own; false for "2 men", "4/5"."""
    before = text[max(0, time.start - LONGEST_BETWEEN) : time.start]
    if time.unit is not None or _AT.search(before):
        return True
    return _NO_WORD_BEFORE.search(before) is not None and _COUNTED.match(text, time.end) is None


def _is_length(text: str, time: Literal) -> bool:
    if time.unit is None:
        return False
    before = text[max(0, time.start - LONGEST_BETWEEN) : time.start]
    adjective = _AS_ADJECTIVE.search(text[time.start : time.end]) is not None
    return (
        (adjective and _MARK_BEHIND.match(text, time.end) is None)
        or _LENGTH_BEFORE.search(before) is not None
        or _LENGTH_BEHIND.match(text, time.end) is not None
    )


def joined(text: str, times: list[Literal], *, comma: bool = False) -> list[tuple[Literal, Literal]]:
    """Neighbours that make one moment: ``a - b``, ``a to b``, and with ``comma`` also ``a, b``.

    A start without unit takes its end's: "1 to 2 minutes" begins at 60 s. Of three that follow each other, a first one
    without unit is the number of the event: "event 1 - 3.5 s to 7 s".
    """
    pairs = []
    i = 0
    while i + 1 < len(times):
        a, b = times[i], times[i + 1]
        numbered = a.unit is None and b.unit is not None and _are_joined(text, times[i + 1 : i + 3], False)
        if not numbered and _are_joined(text, times[i : i + 2], comma):
            if a.unit is None and b.unit is not None:
                a = Literal(a.start, a.end, a.seconds * b.unit, a.clock, b.unit)
            pairs.append((a, b))
            i += 2
        else:
            i += 1
    return pairs


def _are_joined(text: str, two: list[Literal], comma: bool) -> bool:
    if len(two) < 2:
        return False
    a, b = two
    return a.clock == b.clock and _connects(text[a.end : b.start], text[: a.start], comma)


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
