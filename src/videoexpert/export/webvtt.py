"""WebVTT subtitles for browsers: a point before the milliseconds; ``&``, ``<`` and ``>`` as entities."""

from __future__ import annotations

import html

from .answers import Answers
from .subrip import cues
from .text import timestamp


def write(item: Answers) -> str:
    """A cue a moment, by time."""
    blocks = [
        f"{timestamp(start, '.')} --> {timestamp(end, '.')}\n{_text(title)}\n"
        for start, end, title in cues(item)
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _text(title: str) -> str:
    """Style tags from SRT, which many readers strip, are plain text here."""
    return html.escape(title, quote=False).replace("{\\", "&#123;\\")
