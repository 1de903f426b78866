"""Text on its way into files: what no format can hold goes, the rest stays as it was."""

from __future__ import annotations

import re
from collections.abc import Sequence

LONG_S = 120.0  # videos from here on have their times written m:ss

# Control characters but tab and newline, halves of surrogate pairs, and code points that are no characters:
# no text file, and no XML, may hold them.
_UNUSABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_LINE_END = re.compile("\r\n?|\x85|\u2028|\u2029")


def clean(text: str) -> str:
    """Line ends as newlines, unusable characters as spaces."""
    return _UNUSABLE.sub(" ", _LINE_END.sub("\n", text))


def one_line(text: str) -> str:
    """``clean``, with each run of white space as one space."""
    return " ".join(clean(text).split())


def clock(value: float, end: float) -> str:
    """For people, to the tenth: ``3.2 s``; in videos that end after two minutes ``2:05.3`` or ``1:02:05.3``."""
    if end < LONG_S:
        return f"{value:.1f} s"
    seconds, tenth = divmod(round(value * 10), 10)
    return f"{whole_seconds(seconds)}.{tenth}"


MOST_WORDS = 6  # that a sentence names


def not_understood(words: Sequence[str]) -> str:
    """What is said of a question with words that the model was never shown; '' where there are none."""
    if not words:
        return ""
    named = [f'"{word if len(word) <= 30 else word[:29] + "…"}"' for word in words[:MOST_WORDS]]
    more = f" and {len(words) - MOST_WORDS} more" if len(words) > MOST_WORDS else ""
    return f"the model does not know the word{'s' if len(words) > 1 else ''} {', '.join(named)}{more}"


def whole_seconds(value: int) -> str:
    """``2:05`` or ``1:02:05``."""
    minutes, rest = divmod(value, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def milliseconds(value: float) -> int:
    """The nearest millisecond."""
    return int(value * 1000 + 0.5)


def timestamp(ms: int, mark: str) -> str:
    """``HH:MM:SS`` with milliseconds after the mark, as subtitles have it; hours may pass 99."""
    seconds, rest = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}{mark}{rest:03d}"
