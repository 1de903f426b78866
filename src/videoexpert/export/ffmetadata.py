"""Chapters in FFmpeg's metadata format: ``ffmpeg -i VIDEO -i FILE -map_metadata 1 -codec copy OUT``."""

from __future__ import annotations

import re

from .answers import Answers
from .text import clean, milliseconds

_SPECIAL = re.compile(r"[=;#\\\n]")


def write(item: Answers) -> str:
    """A chapter a moment, by time, in milliseconds."""
    chapters = [
        f"[CHAPTER]\nTIMEBASE=1/1000\nSTART={milliseconds(mark.start)}\nEND={milliseconds(mark.end)}\n"
        f"title={_escaped(mark.title)}\n"
        for mark in item.marks()
    ]
    return "\n".join([";FFMETADATA1\n", *chapters])


def _escaped(title: str) -> str:
    return _SPECIAL.sub(lambda match: "\\" + match[0], clean(title).strip())
