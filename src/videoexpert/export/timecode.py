"""Seconds to frames and SMPTE timecode, exactly.

A rate is a fraction (30000/1001, never 29.97), and a time becomes a frame number once: ``round(seconds * rate)``.
Drop frame leaves out numbers, not pictures: the first two of each minute but every tenth at 30000/1001, the first
four at 60000/1001, so that the clock keeps up with the wall. No other rate has it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from fractions import Fraction

from ..errors import InputError, UnsupportedError

STANDARD = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "30": Fraction(30),
    "47.952": Fraction(48000, 1001),
    "48": Fraction(48),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "60": Fraction(60),
    "119.88": Fraction(120000, 1001),
    "120": Fraction(120),
}
_DROPS = {Fraction(30000, 1001): 2, Fraction(60000, 1001): 4}
_ALIASES = {"23.98": "23.976", "47.95": "47.952"}
_RATE = re.compile(r"(\d+(?:\.\d+)?|\d+/\d+)\s*(df|ndf)?", re.IGNORECASE)
_TIMECODE = re.compile(r"(\d{2}):([0-5]\d):([0-5]\d)([:;])(\d{2,3})")
_FASTEST = 1000
_HOURS = 24


@dataclass(frozen=True)
class Rate:
    """Frames a second; ``drop`` says how their numbers are written, not how many there are."""

    fps: Fraction
    drop: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= _FASTEST:
            raise InputError(f"the rate is {float(self.fps):g}, expected 1 to {_FASTEST} frames a second.")
        if self.drop and self.fps not in _DROPS:
            raise InputError(
                f"drop frame was asked for at {self.name[:-2]} frames a second, expected 29.97 or 59.94: "
                "leave df, or the semicolon of the timecode, out."
            )

    @property
    def nominal(self) -> int:
        """Numbers a second on the clock face: 30 at 30000/1001."""
        return math.floor(self.fps + Fraction(1, 2))

    @property
    def ntsc(self) -> bool:
        """Whether the rate is a whole number times 1000/1001."""
        return self.fps != self.nominal and self.fps == Fraction(self.nominal * 1000, 1001)

    @property
    def name(self) -> str:
        """As ``parse_rate`` reads it."""
        known = next((name for name, fps in STANDARD.items() if fps == self.fps), str(self.fps))
        return known + ("df" if self.drop else "")

    def frame(self, seconds: float | Fraction) -> int:
        """The frame number nearest to a time."""
        return math.floor(Fraction(seconds) * self.fps + Fraction(1, 2))

    def seconds(self, frame: int) -> Fraction:
        """The time of a frame."""
        return frame / self.fps

    def timecode(self, frame: int) -> str:
        """``HH:MM:SS:FF``, and ``HH:MM:SS;FF`` with drop frame.

        Raises UnsupportedError outside the 24 hours that a timecode counts.
        """
        number = frame + self._left_out(frame)
        whole, rest = divmod(number, self.nominal)
        hours, minutes = divmod(whole // 60, 60)
        if not 0 <= hours < _HOURS:
            raise UnsupportedError(
                f"frame {frame} lies outside the {_HOURS} hours that a timecode counts: export less of the video, "
                "or choose a smaller --start-timecode."
            )
        width = len(str(self.nominal - 1))
        mark = ";" if self.drop else ":"
        return f"{hours:02d}:{minutes:02d}:{whole % 60:02d}{mark}{rest:0{max(width, 2)}d}"

    def parse(self, text: str) -> int:
        """The frame of a timecode at this rate. Raises InputError for a text that is none, or a number left out."""
        match = _TIMECODE.fullmatch(text.strip())
        if match is None or int(match[1]) >= _HOURS or int(match[5]) >= self.nominal:
            raise InputError(
                f"the timecode is {text!r}, expected HH:MM:SS:FF with FF below {self.nominal} at {self.name} frames "
                "a second."
            )
        hours, minutes, seconds, frames = (int(match[i]) for i in (1, 2, 3, 5))
        number = ((hours * 60 + minutes) * 60 + seconds) * self.nominal + frames
        if not self.drop:
            return number
        drops = _DROPS[self.fps]
        if seconds == 0 and frames < drops and minutes % 10:
            raise InputError(
                f"the timecode {text!r} does not exist with drop frame, expected FF from {drops:02d} on in the "
                "first second of a minute that is not a multiple of ten."
            )
        past = hours * 60 + minutes
        return number - drops * (past - past // 10)

    def _left_out(self, frame: int) -> int:
        """How many numbers drop frame has left out before this frame."""
        if not self.drop:
            return 0
        drops = _DROPS[self.fps]
        minute = self.nominal * 60 - drops
        ten_minutes = minute * 10 + drops
        tens, rest = divmod(frame, ten_minutes)
        # the first minute of ten leaves nothing out
        minutes = max(0, rest - drops) // minute
        return drops * (9 * tens + minutes)


def parse_rate(text: str) -> Rate:
    """``25``, ``29.97``, ``29.97df``, ``30000/1001``. Raises InputError."""
    match = _RATE.fullmatch(text.strip())
    if match is None or match[1].endswith("/0"):
        raise InputError(
            f"the rate is {text!r}, expected frames a second such as {', '.join(STANDARD)}, 29.97df for drop frame, "
            "or a fraction such as 30000/1001."
        )
    number = _ALIASES.get(match[1], match[1])
    return Rate(STANDARD.get(number) or Fraction(number), (match[2] or "").lower() == "df")


def nearest(fps: Fraction) -> Rate:
    """The standard rate for another: the smallest that is a multiple of it, else the nearest."""
    multiples = [standard for standard in STANDARD.values() if (standard / fps).denominator == 1]
    return Rate(min(multiples or STANDARD.values(), key=lambda standard: abs(standard - fps)))


def check_timecode(text: str) -> None:
    """Raises InputError for a text that is not a timecode at any rate."""
    if _TIMECODE.fullmatch(text.strip()) is None:
        raise InputError(f"the timecode is {text!r}, expected HH:MM:SS:FF, or HH:MM:SS;FF with drop frame.")


def parse_start(text: str, rate: Rate) -> tuple[Rate, int]:
    """The rate and the frame that a start timecode means; a semicolon asks for drop frame.

    Raises InputError where the rate has none.
    """
    if ";" in text and not rate.drop:
        rate = replace(rate, drop=True)
    return rate, rate.parse(text)
