"""Small pictures of a video, at a second or spread over parts of it."""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image

from ..errors import VideoWarning
from .decode import Resize
from .glance import glance
from .stream import read_clips

QUALITY = 80
# the clip that represents an instant
INSTANT_S = 0.04


def shrink(width: int, height: int | None = None) -> Resize:
    """A ``resize`` into a box, square without a height; pictures keep their shape, and none grows."""

    def resize(picture: np.ndarray) -> torch.Tensor:
        image = Image.fromarray(picture)
        image.thumbnail((width, height or width))
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)

    return resize


def thumbnails(
    path: str | os.PathLike[str], spans: Sequence[tuple[float, float]], count: int = 1, *, resize: Resize
) -> list[np.ndarray]:
    """Of each span ``(start_s, end_s)``, in any order, ``count`` pictures spread over it; one pass over the file.

    Each (count, height, width, 3) uint8 RGB, upright. A span is cut to the video; one that is a point, or behind the
    end, gives the picture on show there, or the last one. Raises VideoError for a file that gives no frames.
    """
    length = glance(path).duration_s
    starts = [min(max(start, 0.0), max(length - INSTANT_S, 0.0)) for start, _ in spans]
    clips = [(a, min(max(b, a + INSTANT_S), length)) for a, (_, b) in zip(starts, spans, strict=True)]
    order = sorted(range(len(clips)), key=lambda place: clips[place][0])
    found: dict[int, np.ndarray] = {}
    with warnings.catch_warnings():
        # the warning was given when the video was opened
        warnings.simplefilter("ignore", VideoWarning)
        read = read_clips(path, [clips[place] for place in order], count, resize=resize)
        for place, frames in zip(order, read, strict=True):
            found[place] = frames.pixels.permute(0, 2, 3, 1).numpy()
    return [found[place] for place in range(len(clips))]


def thumbnail(path: str | os.PathLike[str], time_s: float, width: int = 160) -> bytes:
    """The upright picture on show at a second, at most ``width`` pixels wide, as JPEG bytes.

    A second behind the end gives the last picture. Raises VideoError for a file that gives no frames.
    """
    (pictures,) = thumbnails(path, [(time_s, time_s)], resize=shrink(width, 4 * width))
    return jpeg(pictures[0])


def jpeg(picture: np.ndarray) -> bytes:
    """(height, width, 3) uint8 RGB as the bytes of a JPEG file."""
    made = io.BytesIO()
    Image.fromarray(picture).save(made, "JPEG", quality=QUALITY)
    return made.getvalue()
