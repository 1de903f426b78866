"""Markers for DaVinci Resolve: Timelines, Import, Timeline Markers from EDL."""

from __future__ import annotations

from .answers import Answers
from .edl import header
from .timeline import timeline

COLOUR = "ResolveColorBlue"


def write(item: Answers) -> str:
    """A marker a moment, with its length, on a timeline that holds the whole video from its start on.

    Resolve's timelines start at 01:00:00:00. Raises UnsupportedError for more events than an EDL numbers.
    """
    cut = timeline(item, "01:00:00:00")
    text = header(cut)
    for number, event in enumerate(cut.events, 1):
        first = cut.start + event.first
        span = f"{cut.rate.timecode(first)} {cut.rate.timecode(first + 1)}"
        name = event.title.replace("|", "/")
        text += (
            f"{number:03d}  001      V     C        {span} {span}\n"
            f" |C:{COLOUR} |M:{name} |D:{event.length}\n\n"
        )
    return text
