"""Where in time the N frames of a video are. Pure arithmetic; seconds as floats, container time as exact
integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np


def bin_centres(num_frames: int, start_s: float, duration_s: float) -> np.ndarray:
    """(N,) seconds: centres of the N equal bins of ``[start_s, start_s + duration_s)``."""
    return start_s + (np.arange(num_frames) + 0.5) / num_frames * duration_s


def centre_ticks(
    num_frames: int, start: Fraction, duration: Fraction, holes: Sequence[tuple[Fraction, Fraction]] = ()
) -> list[int]:
    """N bin centres of ``duration`` from ``start`` on, all in ticks of a container's clock, rounded down.

    ``holes`` (ascending, from ``start`` on) are skipped: no centre is in one, and ``duration`` is what remains.

    Exact: a picture shown at the very centre of a bin counts as shown there, which floats would get wrong
    half of the time (20 pictures a second, 10 seconds and N = 100 put every centre on a picture).
    """
    centres = [start + duration * Fraction(2 * i + 1, 2 * num_frames) for i in range(num_frames)]
    for low, high in holes:
        centres = [centre + (high - low) if centre >= low else centre for centre in centres]
    return [centre // 1 for centre in centres]


def shown_at(picture_ticks: np.ndarray, ticks: Sequence[int]) -> np.ndarray:
    """Index of the picture on show at each tick: the last one that began at or before it, else the first.

    picture_ticks (T,) ascending. Returns (N,) integers.
    """
    return np.maximum(np.searchsorted(picture_ticks, np.asarray(ticks), side="right") - 1, 0)


def linspace_indices(num_pictures: int, num_frames: int) -> np.ndarray:
    """(N,) picture indices at ``linspace(0, T - 1, N)``, rounded down, as the released code samples."""
    return np.linspace(0, num_pictures - 1, num_frames).astype(np.int64)
