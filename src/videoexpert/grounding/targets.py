"""Target spans and foreground mask of one query, from its ground-truth windows (paper Section III-E)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ..errors import InputError


class Targets(NamedTuple):
    """Labels of the N frames for one query.

    foreground  (N,) bool, the frame is inside a window
    spans       (N, 2) float32, start and end of the frame's window as fractions of the duration;
                zero, and read by no loss, for background frames
    """

    foreground: Tensor
    spans: Tensor


def frame_centres(
    num_frames: int, convention: str = "centre", device: torch.device | str | None = None
) -> Tensor:
    """(N,) float32 time of each frame as a fraction of the duration, ascending.

    ``centre``: (i + 0.5)/N, the middle of the frame's bin (paper). ``end``: (i + 1)/N (released code).
    Raises InputError for another convention.
    """
    if convention not in ("centre", "end"):
        raise InputError(f"frame_times is {convention!r}, expected 'centre' or 'end'.")
    shift = 0.5 if convention == "centre" else 1.0
    return (torch.arange(num_frames, dtype=torch.float32, device=device) + shift) / num_frames


def make_targets(
    windows: Sequence[Sequence[float]],
    duration_s: float,
    num_frames: int,
    *,
    frame_times: str = "centre",
    short_moments: str = "nearest",
) -> Targets:
    """Labels from ``windows``, (start, end) in seconds from the start of the clip looked at.

    A frame is foreground if start <= its time <= end (both ends, in float32) and regresses that window; where
    windows overlap, the later in the list wins. No window at all (the event is absent) makes every frame
    background. A window may reach past either end of the video: its label keeps the annotated time.

    ``short_moments`` decides about a window with no frame time inside. ``nearest`` (a deviation from the
    released code, which loses the sample or divides by zero): the frame nearest to its middle becomes
    foreground; such windows are placed last so that a longer one does not bury them. ``released``, for
    comparison with the released code: it gets no frame, and a lone one labels every (background) frame.

    Raises InputError for a duration that is not positive, a window that is not two finite numbers in order,
    or, with ``nearest``, one that does not touch the video.
    """
    if short_moments not in ("nearest", "released"):
        raise InputError(f"short_moments is {short_moments!r}, expected 'nearest' or 'released'.")
    checked = check_windows(windows, duration_s, must_touch=short_moments == "nearest")
    centres = frame_centres(num_frames, frame_times)
    foreground = torch.zeros(num_frames, dtype=torch.bool)
    spans = torch.zeros(num_frames, 2)
    bounds = torch.tensor(checked, dtype=torch.float32).reshape(-1, 2) / duration_s
    short = []
    for span in bounds:
        inside = (span[0] <= centres) & (centres <= span[1])
        if inside.any():
            foreground |= inside
            spans[inside] = span
        else:
            short.append(span)
    if short_moments == "nearest":
        for span in short:
            nearest = (centres - span.mean()).abs().argmin()
            foreground[nearest] = True
            spans[nearest] = span
    elif len(bounds) == 1 and short:
        spans[:] = bounds[0]
    return Targets(foreground, spans)


def check_windows(
    windows: Sequence[Sequence[float]], duration_s: float, must_touch: bool = True
) -> list[tuple[float, float]]:
    """The windows as pairs of floats; raises InputError as ``make_targets`` says."""
    if not (math.isfinite(duration_s) and duration_s > 0):
        raise InputError(f"duration_s is {duration_s}, expected a positive number of seconds.")
    checked = []
    for window in windows:
        if len(window) != 2 or not all(math.isfinite(float(time)) for time in window):
            raise InputError(f"window {list(window)} is not a moment, expected two finite times in seconds.")
        start, end = float(window[0]), float(window[1])
        if start > end:
            raise InputError(f"window [{start}, {end}] ends before it starts, expected start <= end.")
        if must_touch and (end < 0 or start > duration_s):
            raise InputError(
                f"window [{start}, {end}] lies outside the video of {duration_s} s; correct or drop it."
            )
        checked.append((start, end))
    return checked
