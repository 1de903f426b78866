"""Segments as Whisper's JSON has them, for the many tools that read those."""

from __future__ import annotations

import json

from .answers import Answers
from .text import one_line


def write(item: Answers) -> str:
    """A segment a moment, by time. Whisper's measures of speech are left out: nothing was heard."""
    marks = item.marks()
    segments = [
        {
            "id": number,
            "start": round(mark.start, 3),
            "end": round(mark.end, 3),
            "text": one_line(mark.title),
            "score": round(mark.score, 4),
        }
        for number, mark in enumerate(marks)
    ]
    text = " ".join(one_line(mark.title) for mark in marks)
    return json.dumps({"text": text, "segments": segments}, indent=2, ensure_ascii=False) + "\n"
