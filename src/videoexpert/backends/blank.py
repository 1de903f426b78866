"""A video that shows nothing: what a backend answers without evidence."""

from __future__ import annotations

import tempfile
from pathlib import Path

from ..types import Evidence, Moments
from ..windows import iou
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


def evidence_of(seen: Moments, guessed: Moments) -> Evidence:
    """The best moments with the video and without it, side by side."""
    a, b = (found[0] if found else None for found in (seen, guessed))
    overlap, shift = 0.0, None
    if a is not None and b is not None:
        overlap = iou((a.start, a.end), (b.start, b.end))
        shift = (abs(a.start - b.start) + abs(a.end - b.end)) / 2
    return Evidence(seen.query, a, b, seen.presence, guessed.presence, overlap, shift)


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


__all__ = ["evidence_of", "open_blank", "write_blank"]
