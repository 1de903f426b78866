"""Which rows go through the language model together: passes of bounded size, rows of like length in one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ..language.sequence import Segment


@dataclass(frozen=True)
class Row:
    """One question: the video it is about, its place in the call, and how many of its ids are read."""

    video: int
    place: int
    segment: Segment
    read: int


def flat_rows(asked: Sequence[Sequence[Segment]], read: Callable[[Segment], int]) -> list[Row]:
    """The questions on each video as rows, numbered through; those of which nothing is read are left out."""
    pairs = [(video, segment) for video, own in enumerate(asked) for segment in own]
    rows = [Row(video, place, segment, read(segment)) for place, (video, segment) in enumerate(pairs)]
    return [row for row in rows if row.read > 0]


def blocks(counts: Sequence[int], most_videos: int, most_rows: int) -> Iterator[range]:
    """Consecutive videos whose prefixes are in memory at a time; a video with more rows than that is a block alone."""
    start, rows = 0, 0
    for video, count in enumerate(counts):
        if video > start and (video - start == most_videos or rows + count > most_rows):
            yield range(start, video)
            start, rows = video, 0
        rows += count
    if start < len(counts):
        yield range(start, len(counts))


def passes(rows: Sequence[Row], most_tokens: int) -> Iterator[list[Row]]:
    """Rows of like length together, at most ``most_tokens`` positions with their padding; rows of a video adjoin."""
    ordered = sorted(rows, key=lambda row: (row.read, row.place))
    current: list[Row] = []
    for row in ordered:
        if current and (len(current) + 1) * row.read > most_tokens:
            yield sorted(current, key=lambda r: (r.video, r.place))
            current = []
        current.append(row)
    if current:
        yield sorted(current, key=lambda r: (r.video, r.place))


def videos_and_counts(owners: Sequence[int]) -> tuple[list[int], list[int]]:
    """The videos of rows that adjoin by video, and how many rows each has."""
    videos: list[int] = []
    counts: list[int] = []
    for video in owners:
        if not videos or videos[-1] != video:
            videos.append(video)
            counts.append(0)
        counts[-1] += 1
    return videos, counts
