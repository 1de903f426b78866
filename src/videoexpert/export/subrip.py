"""SRT subtitles: numbered from 1, a comma before the milliseconds, a blank line between cues."""

from __future__ import annotations

import html
import re

from .answers import Answers
from .text import milliseconds, one_line, timestamp

# What a reader would take for a tag, a mark of style, times or an entity. SRT can only write these as entities, which
# readers that know tags know too; every other &, <, { and colon stays as it is.
_TAG = re.compile(r"<(?=/?[a-zA-Z][^>]*>|\d[\d:.]*>)")
_TIME = re.compile(r"(?<=\d):(?=\d\d?:\d\d?[.,]\d)")
_ENTITY = re.compile(r"&#?\w+;?")


def write(item: Answers) -> str:
    """A cue a moment, by time."""
    return "\n".join(
        f"{number}\n{timestamp(start, ',')} --> {timestamp(end, ',')}\n{_text(title)}\n"
        for number, (start, end, title) in enumerate(cues(item), 1)
    )


def cues(item: Answers) -> list[tuple[int, int, str]]:
    """(start, end, text) in milliseconds; a cue lasts at least one."""
    found = []
    for mark in item.marks():
        start = milliseconds(mark.start)
        found.append((start, max(milliseconds(mark.end), start + 1), one_line(mark.title)))
    return found


def _text(title: str) -> str:
    entities = _ENTITY.sub(lambda m: m[0] if html.unescape(m[0]) == m[0] else "&amp;" + m[0][1:], title)
    plain = _TIME.sub("&#58;", _TAG.sub("&lt;", entities))
    return plain.replace("-->", "--&gt;").replace("{\\", "&#123;\\")
