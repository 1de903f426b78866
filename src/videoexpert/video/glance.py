"""Length and number of pictures of a video, from one read of its packets."""

from __future__ import annotations

import os
from dataclasses import dataclass

from ..types import Stretch
from .container import open_video
from .packets import read_packets
from .sandbox import apart
from .timeline import timeline_of


@dataclass(frozen=True)
class Glance:
    """What a file's packets say without decoding: quick even for a film of hours, exact but for damaged files.

    stretch       the video, or the part asked for, on the players' clock, with the holes that show nothing
    frame_count   pictures that the packets promise to begin there
    problems      one phrase for each way in which the file's own clock is not sound
    """

    stretch: Stretch
    frame_count: int
    problems: tuple[str, ...] = ()

    @property
    def duration_s(self) -> float:
        """Of the whole video, from the players' zero to the end of the last picture, or of the part."""
        return self.stretch.duration_s

    @property
    def average_fps(self) -> float:
        return self.frame_count / self.stretch.seen_s


@apart
def glance(
    path: str | os.PathLike[str], *, start_s: float | None = None, end_s: float | None = None
) -> Glance:
    """Length and number of pictures of a video or of its part, from one read of the packets; decodes nothing.

    Raises:
        VideoError: not one readable local video file. InputError: a part outside the video.
    """
    with open_video(path) as source:
        timeline = timeline_of(source, read_packets(source))
    part = timeline.part(*timeline.clip(start_s, end_s, os.fspath(path)))
    times = timeline.seconds(timeline.ticks)
    count = int(((times >= part.start_s) & (times < part.end_s)).sum())
    return Glance(part, count, timeline.problems)
