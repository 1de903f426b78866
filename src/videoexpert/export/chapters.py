"""Chapters for a YouTube description, or one sentence why there can be none.

YouTube silently ignores a list that breaks one of its rules: the first chapter at 0:00, at least three, each of ten
seconds or more, in order.
"""

from __future__ import annotations

from itertools import pairwise

from ..errors import UnsupportedError
from .answers import Answers
from .text import one_line, whole_seconds

FEWEST = 3
SHORTEST_S = 10
OPENING = "Start"  # titles what comes before a first event that begins later than a chapter is short


def write(item: Answers) -> str:
    """A line a chapter: its start in whole seconds, and its title.

    The first is moved to 0:00 where its event begins in the first ten seconds; otherwise a chapter comes before it.
    Raises UnsupportedError where YouTube would ignore the list.
    """
    starts = [(int(mark.start), one_line(mark.title)) for mark in item.marks()]
    if starts and starts[0][0] >= SHORTEST_S:
        starts.insert(0, (0, OPENING))
    elif starts:
        starts[0] = (0, starts[0][1])
    if len(starts) < FEWEST:
        raise UnsupportedError(
            f"{item.video}: {_chapters(len(starts))} found, and YouTube wants at least {FEWEST}: ask for more events, "
            "or choose another format such as ffmetadata."
        )
    for (start, title), (end, _) in pairwise([*starts, (int(item.end), "")]):
        if end - start < SHORTEST_S:
            raise UnsupportedError(
                f"{item.video}: the chapter {title!r} at {whole_seconds(start)} would last {end - start} s, and "
                f"YouTube wants at least {SHORTEST_S} s of each: choose another format such as ffmetadata."
            )
    return "".join(f"{whole_seconds(start)} {title}\n" for start, title in starts)


def _chapters(count: int) -> str:
    return {0: "no chapter was", 1: "one chapter was"}.get(count, f"{count} chapters were")
