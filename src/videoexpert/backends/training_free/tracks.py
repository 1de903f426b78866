"""Frames of a video as an image-text tower sees them: without black pictures and repetitions, with their times."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from ...types import Stretch
from ...vision.image_text import ImageTextTower
from .signal import Floats

BLACK = 12.0  # mean grey level of a picture's brightest ninth, from which on it shows something
SAME = 2.0  # grey levels by which some part of a picture has to change for it to be another one
GRAIN = 8  # a picture is compared in GRAIN x GRAIN parts


@dataclass(frozen=True)
class Track:
    """The K frames kept of N sampled ones. Bin i of the N covers ``[i, i + 1) / rate`` seconds of pictures.

    features    (K, C) float16 unit rows
    times_s     (K,) presentation time of each, on the players' clock
    bins        (K, 2) the bins it covers, ``[first, end)``: those of its repetitions too, black ones in none
    """

    features: NDArray[np.float16]
    times_s: Floats
    bins: NDArray[np.int64]
    count: int
    rate: float
    stretch: Stretch

    def seconds(self, first: int, end: int) -> tuple[float, float]:
        """Start and end of frames ``[first, end)`` on the players' clock."""
        low, high = int(self.bins[first, 0]), int(self.bins[end - 1, 1])
        seen = self.stretch.seen_s
        start = self.stretch.at(min(low / self.rate, seen))
        return start, max(start, self.stretch.at(min(high / self.rate, seen), end=True))

    @property
    def curve_times(self) -> tuple[float, ...]:
        """(N,) seconds that the bins cover if they are not spread evenly over the clip; else empty."""
        if not self.stretch.holes:
            return ()
        return tuple(
            self.stretch.at(min((i + 0.5) / self.rate, self.stretch.seen_s)) for i in range(self.count)
        )

    def spread(self, values: Floats) -> Floats:
        """(K,) values of the kept frames -> (N,) of the bins; black ones get the lowest value."""
        found = np.full(self.count, values.min() if len(values) else 0.0)
        for (first, end), value in zip(self.bins, values, strict=True):
            found[first:end] = value
        return found


def track(
    frames: Iterable[tuple[float, Tensor]],
    tower: ImageTextTower,
    rate: float,
    stretch: Stretch,
    batch_size: int,
) -> Track:
    """Encode a stream of (time, picture), ``batch_size`` kept pictures at a time; nothing else is held in memory.

    A video of black pictures alone keeps them all.
    """
    kept = _Kept()
    rows: list[Tensor] = []
    waiting: list[Tensor] = []
    black: list[tuple[int, float, Tensor]] = []
    for number, (time_s, picture) in enumerate(frames):
        kept.count = number + 1
        if is_black(picture):
            black = black or [(number, time_s, picture)]
            kept.previous = None
            continue
        if kept.repeats(picture):
            kept.bins[-1][1] = number + 1
            continue
        kept.add(number, time_s, picture)
        waiting.append(picture)
        if len(waiting) == batch_size:
            rows.append(tower.encode_images(torch.stack(waiting), batch_size).half())
            waiting = []
    if not kept.bins and black:
        kept.add(*black[0])
        kept.bins[0] = [0, kept.count]
        waiting = [black[0][2]]
    if waiting:
        rows.append(tower.encode_images(torch.stack(waiting), batch_size).half())
    features = torch.cat(rows).numpy()
    return Track(features, np.array(kept.times), np.array(kept.bins), kept.count, rate, stretch)


class _Kept:
    """The frames kept so far."""

    def __init__(self) -> None:
        self.bins: list[list[int]] = []
        self.times: list[float] = []
        self.count = 0
        self.previous: Tensor | None = None
        self._coarse: Tensor | None = None

    def repeats(self, picture: Tensor) -> bool:
        """True for the picture that was kept last, again."""
        if self.previous is None or self._coarse is None:
            return False
        if picture is self.previous:
            return True
        return float((coarse(picture) - self._coarse).abs().max()) < SAME

    def add(self, number: int, time_s: float, picture: Tensor) -> None:
        self.bins.append([number, number + 1])
        self.times.append(time_s)
        self.previous, self._coarse = picture, coarse(picture)


def coarse(picture: Tensor) -> Tensor:
    """(3, h, w) uint8 -> (3, GRAIN, GRAIN) mean grey levels."""
    return F.adaptive_avg_pool2d(picture.float(), GRAIN)


def is_black(picture: Tensor) -> bool:
    """True where even the brightest ninth of the picture is dark."""
    return float(F.adaptive_avg_pool2d(picture.float().mean(0, keepdim=True), 3).max()) < BLACK
