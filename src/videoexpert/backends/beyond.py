"""What is said of a video that was looked at otherwise than the model was trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..export.text import clock

FAR = 2.0  # times the training length, or the trained number of frames, from which on it is said


def beyond_training(config: Any, looked_at: Mapping[str, float] | None) -> tuple[str, ...]:
    """A sentence for each thing that training never showed: the length of a window, the number of its frames.

    ``config`` of a VideoExpert, and ``windows``, ``window`` and ``frames`` of what it looked at; nothing is known about
    other models.
    """
    trained_s = getattr(config, "trained_seconds", None)
    if config is None or not looked_at:
        return ()
    window, frames = looked_at["window"], looked_at["frames"] / looked_at["windows"]
    found = []
    if trained_s is not None and window > FAR * trained_s:
        found.append(
            f"the model was trained on videos of about {trained_s:g} s and looked at {clock(window, window)} in one "
            f"piece, a frame every {window / frames:.1f} s: it may miss what is there; --window auto (open_long in "
            "Python) looks in windows"
        )
    if not config.num_frames / FAR <= frames <= FAR * config.num_frames:
        found.append(
            f"the model was trained with {config.num_frames} frames and looked at {frames:.0f}: scores may be off"
        )
    return tuple(found)
