"""What a feature store's index says of one video."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..types import Hole

_LONGEST_S = 1e9  # a longer time is damage


@dataclass(frozen=True)
class Entry:
    """One video in a store. ``content`` is the hash of its file, ``frames`` the N it was looked at with.

    Raises TypeError or ValueError for what no store writes.
    """

    key: str
    content: str
    shard: str
    row: int
    duration_s: float
    start_s: float
    frames: int
    holes: Sequence[Hole] = ()

    def __post_init__(self) -> None:
        times = (self.duration_s, self.start_s, *(edge for hole in self.holes for edge in hole))
        sound = (
            all(isinstance(text, str) for text in (self.key, self.content))
            and all(isinstance(number, int) and number >= 0 for number in (self.row, self.frames))
            and all(isinstance(time, (int, float)) and abs(time) <= _LONGEST_S for time in times)
            and all(len(hole) == 2 for hole in self.holes)
        )
        if not sound:
            raise ValueError(f"{self} is not what a video of a store is")


__all__ = ["Entry"]
