"""Charades-STA's lines, ``VIDEO START END##sentence``: answers as labels that ``data import charades-sta`` reads."""

from __future__ import annotations

from pathlib import PurePath

from ..errors import UnsupportedError
from .answers import AnswerSet
from .text import milliseconds, one_line


def write(found: AnswerSet) -> str:
    """A line a moment, by video and time. Raises UnsupportedError for a video whose name has white space."""
    return "".join(
        f"{_name(item.video)} {start / 1000} {end / 1000}##{one_line(mark.title)}\n"
        for item in found.answers
        for mark in item.marks()
        for start in [milliseconds(mark.start)]
        for end in [max(milliseconds(mark.end), start + 1)]
    )


def _name(video: str) -> str:
    stem = one_line(PurePath(video).stem)
    if not stem or " " in stem:
        raise UnsupportedError(
            f"{video}: a line of Charades-STA begins with the video's name, which ends at the first space: rename the "
            "file, or choose another format."
        )
    return stem
