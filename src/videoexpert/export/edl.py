"""CMX3600 edit decision list: the moments one after the other, each cut out of the video."""

from __future__ import annotations

import re

from ..errors import UnsupportedError
from .answers import Answers
from .timeline import Timeline, timeline

MOST = 999  # event numbers have three digits
REEL = 8  # characters of a reel's name


def write(item: Answers) -> str:
    """An event a moment, by time; out points are exclusive, and the record starts at 01:00:00:00.

    Raises UnsupportedError for more events than the format numbers.
    """
    cut = timeline(item, "01:00:00:00")
    return header(cut) + "".join(
        f"{number:03d}  {reel(cut.name):<8} V     C        {times}\n"
        f"* FROM CLIP NAME: {cut.file_name}\n"
        f"* LOC: {record} BLUE    {event.title}\n\n"
        for number, event in enumerate(cut.events, 1)
        for times, record in [_times(cut, event.first, event.length, event.placed)]
    )


def header(cut: Timeline) -> str:
    """Title and frame code mode. Raises UnsupportedError for more events than the format numbers."""
    if len(cut.events) > MOST:
        raise UnsupportedError(
            f"{cut.media.path}: there are {len(cut.events)} moments, and an EDL numbers at most {MOST}: ask for fewer "
            "with --top-k, or choose otio."
        )
    mode = "DROP FRAME" if cut.rate.drop else "NON-DROP FRAME"
    return f"TITLE: {cut.name}\nFCM: {mode}\n\n"


def reel(name: str) -> str:
    """The reel of a file: eight letters and digits of its name, AX where it has none."""
    return re.sub(r"[^A-Z0-9]", "", name.upper())[:REEL] or "AX"


def _times(cut: Timeline, first: int, length: int, placed: int) -> tuple[str, str]:
    source, record = cut.media_start + first, cut.start + placed
    code = cut.rate.timecode
    times = " ".join(code(frame) for frame in (source, source + length, record, record + length))
    return times, code(record)
