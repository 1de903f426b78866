"""WebVTT subtitles for browsers: a point before the milliseconds; ``&``, ``<`` and ``>`` as entities."""

from __future__ import annotations

import html

from .answers import Answers
from .subrip import cues
from .text import timestamp


def write(item: Answers) -> str:
    """A cue a moment, by time."""
    blocks = [
        f"{timestamp(start, '.')} --> {timestamp(end, '.')}\n{html.escape(title, quote=False)}\n"
        for start, end, title in cues(item)
    ]
    return "\n".join(["WEBVTT\n", *blocks])
