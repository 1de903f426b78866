"""A video that shows nothing: what a backend answers without evidence."""

from __future__ import annotations

import tempfile
from pathlib import Path

from .base import Backend, OpenVideo

GREY = 112  # of every pixel
SIDE, RATE = 224, 2.0  # pixels, and pictures a second, of a blank file
MOST = 200  # pictures of one


def open_blank(backend: Backend, duration_s: float) -> OpenVideo:
    """A grey video of that length: the backend's own where it makes one without a file, else a file it opens."""
    own = getattr(backend, "open_blank", None)
    if own is not None:
        video: OpenVideo = own(duration_s)
        return video
    with tempfile.TemporaryDirectory() as folder:
        return backend.open(write_blank(Path(folder) / "blank.mp4", duration_s))


def write_blank(file: Path, duration_s: float) -> Path:
    """A grey mp4 of that length. Raises WriteError."""
    import numpy as np

    from ..video.write import write_video

    count = int(min(max(duration_s * RATE, 1), MOST))
    picture = np.full((SIDE, SIDE, 3), GREY, dtype=np.uint8)
    write_video(
        file, [picture] * count, [i * duration_s / count for i in range(count)], duration_s=duration_s
    )
    return file


__all__ = ["open_blank", "write_blank"]
