"""Frames for a chat model: at a rate, within budgets of frames and pixels, each with its own presentation time."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from ...errors import InputError
from ...types import Frames
from ...video.decode import read_frames
from ...video.glance import glance

LEAST_SIDE = 16  # pixels; a narrower picture shows nothing


@dataclass(frozen=True)
class Budget:
    """How much of a video a model is shown.

    fps           frames a second, lowered where the video would have more than ``max_frames``
    max_frames    most frames
    frame_pixels  most pixels of one frame
    total_pixels  most pixels of all frames together; longer videos get smaller frames
    """

    fps: float = 2.0
    max_frames: int = 768
    frame_pixels: int = 512 * 512
    total_pixels: int = 16384 * 32 * 32 * 2

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (math.isfinite(value) and value > 0):
                raise InputError(f"{name} is {value:g}, expected a positive number.")

    def count(self, duration: float, multiple: int = 1) -> int:
        """Frames of a video of so many seconds: a multiple of ``multiple``, at least one."""
        most = max(multiple, self.max_frames // multiple * multiple)
        return min(most, max(1, math.ceil(round(duration * self.fps) / multiple)) * multiple)

    def pixels(self, count: int) -> int:
        """Most pixels of each of ``count`` frames."""
        return min(self.frame_pixels, max(LEAST_SIDE**2, self.total_pixels // count))

    def describe(self) -> dict[str, Any]:
        return asdict(self)


Size = Callable[[int, int], tuple[int, int]]  # (height, width) of a picture -> of what the model is shown


def read(
    path: str | os.PathLike[str],
    budget: Budget,
    size_for: Callable[[int], Size],
    *,
    start: float | None = None,
    end: float | None = None,
    count: int | None = None,
    multiple: int = 1,
) -> Frames:
    """The frames of a video, or of its part, resized as they are decoded.

    ``size_for`` maps the number of frames to a rule for their size; ``count`` overrides the rate. Raises VideoError for
    a file that gives no frames, InputError for a part outside the video or a count below 1.
    """
    if count is None:
        whole = glance(path).stretch
        until = whole.duration_s if end is None else min(end, whole.duration_s)
        count = budget.count(max(0.0, whole.seen_at(until) - whole.seen_at(start or 0.0)), multiple)
    return read_frames(path, count, start_s=start, end_s=end, resize=Resizer(size_for(count)))


class Resizer:
    """Scales upright pictures as torchvision's tensor path does: bicubic, antialiased, in uint8."""

    def __init__(self, size: Size) -> None:
        self.size = size

    def __call__(self, picture: np.ndarray) -> torch.Tensor:
        """(height, width, 3) uint8 -> (3, h, w) uint8."""
        height, width = self.size(*picture.shape[:2])
        pixels = torch.from_numpy(picture).permute(2, 0, 1)
        if pixels.shape[1:] == (height, width):
            return pixels
        scaled = torch.nn.functional.interpolate(
            pixels[None], (height, width), mode="bicubic", antialias=True
        )
        return scaled[0]


def within(pixels: int) -> Size:
    """Pictures of more than ``pixels`` are scaled down to it, their shape kept."""

    def size(height: int, width: int) -> tuple[int, int]:
        scale = min(1.0, math.sqrt(pixels / (height * width)))
        return max(LEAST_SIDE, round(height * scale)), max(LEAST_SIDE, round(width * scale))

    return size


def times_of(frames: Frames) -> list[float]:
    """Seconds of each frame from the start of what was opened; the one on show at the start is at 0."""
    return [max(0.0, float(time) - frames.start_s) for time in frames.times_s]
