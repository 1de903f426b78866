"""Times as text, in VTimeLLM's form: ``From 28 to 71.``, percents of the duration in two digits.

What the paper compares its head with (Table VII, row 5). Answers are composed with ``<LOC>`` like all others and
rewritten here, so both forms say the same; reading goes the other way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ..config import VideoExpertConfig
from ..errors import InputError

Span = tuple[float, float]  # start and end as fractions of the duration

ABSENT = "Not in this video"
LAST = 99  # two digits: the end of the video is 99, as in VTimeLLM
_TIMES = r"from (\d{1,2}) to (\d{1,2})"
_GROUP = re.compile(rf"{_TIMES}(?:\s*and {_TIMES})*", re.IGNORECASE)


def percent(fraction: float) -> int:
    """0 to 99, nearest."""
    return min(max(round(fraction * 100), 0), LAST)


def write_times(answer: str, groups: Sequence[Sequence[Span]], config: VideoExpertConfig) -> str:
    """``answer`` with the k-th ``During <LOC>`` replaced by the times of the k-th group.

    Several spans of one group are joined by "and"; an empty group says that the event is absent. Raises InputError
    unless there are as many groups as ``<LOC>``.
    """
    opening = f"{config.moment_prefix} {config.loc_text}"
    parts = answer.split(opening)
    if len(parts) != len(groups) + 1:
        raise InputError(f"{len(groups)} moments for {len(parts) - 1} {config.loc_text}, expected as many.")
    said = [_say(group) for group in groups]
    return parts[0] + "".join(text + rest for text, rest in zip(said, parts[1:], strict=True))


def _say(spans: Sequence[Span]) -> str:
    if not spans:
        return ABSENT
    text = " and ".join(f"from {percent(a):02d} to {percent(b):02d}" for a, b in spans)
    return text[0].upper() + text[1:]


def read_times(text: str) -> list[Span]:
    """Every span that a text says, in order; one said backwards is turned round."""
    found = [(int(a) / 100, int(b) / 100) for a, b in re.findall(_TIMES, text, re.IGNORECASE)]
    return [(min(span), max(span)) for span in found]


def read_captions(text: str) -> list[tuple[Span, str]]:
    """(span, sentence) of dense captions; what comes before the first time, or has no sentence, is left out."""
    groups = list(_GROUP.finditer(text))
    found = []
    for number, group in enumerate(groups, start=1):
        end = groups[number].start() if number < len(groups) else len(text)
        sentence = text[group.end() : end].strip().lstrip(",:. ").strip()
        if sentence:
            found.append((read_times(group.group())[0], sentence))
    return found


def without_times(text: str) -> str:
    """What an answer says besides its times."""
    return _GROUP.sub(" ", text).replace(ABSENT, " ")


__all__ = ["ABSENT", "Span", "percent", "read_captions", "read_times", "without_times", "write_times"]
