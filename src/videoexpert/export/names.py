"""File names that say what is inside and that every file system takes."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 120  # bytes of a name without its ending: encrypting file systems stop at 143
_APART = re.compile(
    r"[^\w.]+"
)  # to hyphens: separators, quotes, wildcards, emoji, white space, bidi controls
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(?=\.|$)", re.IGNORECASE)


def safe_name(text: str, longest: int = LONGEST) -> str:
    """Letters and digits of any script, points and underscores; hyphens for the rest; at most ``longest`` bytes.

    Composed (NFC), so that file systems which compose names do not change it; no device name of Windows; no point
    or hyphen at either end. Empty where nothing is left.
    """
    plain = _APART.sub("-", unicodedata.normalize("NFC", text))
    plain = plain.encode("utf-8", "ignore")[:longest].decode("utf-8", "ignore").strip("-.")
    return _DEVICES.sub(r"\1_", plain) if _DEVICES.match(plain) else plain


def time_name(seconds: float) -> str:
    """``0m03.20s``, ``1h02m03.20s``: ascends in a list of files within an hour's digits, and has no colon."""
    hundredths = round(seconds * 100)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    head = f"{hours}h{minutes:02d}m" if hours else f"{minutes}m"
    return f"{head}{rest // 100:02d}.{rest % 100:02d}s"


def clip_name(number: int, video: str, start: float, end: float, sentence: str) -> str:
    """Name of the ``number``-th clip, without ending: video, times, sentence."""
    span = f"{time_name(start)}-{time_name(end)}"
    head = f"{number:03d}_{safe_name(video, 40) or 'video'}_{span}"
    said = safe_name(sentence, LONGEST - len(head.encode()) - 1)
    return f"{head}_{said}" if said else head
