"""What formats of labels share: how a video is named there, and windows inside of what was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from .answers import Answers, Mark
from .text import milliseconds, one_line


def clip_name(item: Answers, *, part: bool = True) -> str:
    """The file's name without its ending; with ``part``, that of a part is ``NAME_START_END``."""
    stem = one_line(PurePath(item.video).stem) or "video"
    if not part or item.start is None:
        return stem
    return f"{stem}_{round(item.start, 3)}_{round(item.end, 3)}"


def windows_ms(item: Answers, marks: Sequence[Mark]) -> list[tuple[int, int]]:
    """(start, end) in milliseconds from the start of what was looked at, and inside of it; one at least."""
    begin, last = item.start or 0.0, max(1, milliseconds(item.duration))
    found = []
    for mark in marks:
        start = min(max(milliseconds(mark.start - begin), 0), last - 1)
        found.append((start, min(max(milliseconds(mark.end - begin), start + 1), last)))
    return found
