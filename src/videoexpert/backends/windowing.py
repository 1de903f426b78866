"""Whether a video is looked at in one piece or in windows, and how long those are."""

from __future__ import annotations

from ..errors import InputError

AUTO, OFF = "auto", "off"
Window = float | str  # seconds, "auto" or "off"
AS_TRAINED = 2.0  # lengths of the training videos that one window takes, if "auto"
OVERLAP = 0.25  # of a window, shared with the one before


def window_of(
    window: Window, overlap: float | None, trained_s: float | None, duration_s: float
) -> tuple[float, float] | None:
    """Seconds of a window, and those it shares with the one before; None where one window takes the whole video.

    ``auto`` keeps one window up to twice ``trained_s``, and for a model that does not know it. Raises InputError for
    another word, a window that is not positive, or an overlap that is not inside it.
    """
    if window == OFF or (window == AUTO and (trained_s is None or duration_s <= AS_TRAINED * trained_s)):
        if overlap is not None and window == OFF:
            raise InputError(f"overlap is {overlap}, but there is one window; leave it out.")
        return None
    seconds = trained_s if window == AUTO else window
    if isinstance(seconds, str) or seconds is None or not seconds > 0:
        raise InputError(f"window is {window!r}, expected seconds above 0, 'auto' or 'off'.")
    shared = OVERLAP * seconds if overlap is None else overlap
    if not 0 <= shared < seconds:
        raise InputError(f"overlap is {shared:g}, expected from 0 to below the window of {seconds:g} s.")
    return (seconds, shared) if duration_s > seconds else None
