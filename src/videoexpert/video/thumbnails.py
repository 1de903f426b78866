"""Small pictures of a video at a second, as JPEG."""

from __future__ import annotations

import io
import os
import warnings

import numpy as np
import torch
from PIL import Image

from .decode import read_frames
from .pictures import VideoWarning
from .stream import glance

QUALITY = 80
# the clip that stands for an instant
INSTANT_S = 0.04


def thumbnail(path: str | os.PathLike[str], time_s: float, width: int = 160) -> bytes:
    """The upright picture on show at a second, at most ``width`` pixels wide, as JPEG bytes.

    A second behind the end gives the last picture. Raises VideoError for a file that gives no frames.
    """

    def shrink(picture: np.ndarray) -> torch.Tensor:
        image = Image.fromarray(picture)
        image.thumbnail((width, 4 * width))
        return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)

    end = glance(path).duration_s
    start = min(max(time_s, 0.0), max(end - INSTANT_S, 0.0))
    with warnings.catch_warnings():
        # who opened the video was told already
        warnings.simplefilter("ignore", VideoWarning)
        frames = read_frames(path, 1, start_s=start, end_s=min(start + INSTANT_S, end), resize=shrink)
    made = io.BytesIO()
    Image.fromarray(frames.pixels[0].permute(1, 2, 0).numpy()).save(made, "JPEG", quality=QUALITY)
    return made.getvalue()
