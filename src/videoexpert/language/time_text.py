"""Times as text, in one of three forms: what the paper compares its head with (Table VII, row 5).

    text     From 28 to 71.              percents of the duration in two digits, as VTimeLLM writes them
    seconds  From 5.6s to 14.2s.         seconds in tenths; the question says how long the video is
    tokens   From <t28> to <t71>.        percents, each a word of its own in the vocabulary

Answers are composed with ``<LOC>`` like all others and rewritten here, so all forms say the same; reading goes the
other way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..config import VideoExpertConfig
from ..errors import InputError

Span = tuple[float, float]  # start and end as fractions of the duration

ABSENT = "Not in this video"
LAST = 99  # two digits: the end of the video is 99, as in VTimeLLM
TIME_TOKENS = tuple(f"<t{number:02d}>" for number in range(LAST + 1))


@dataclass(frozen=True)
class Form:
    """How one time is said: ``say`` and ``read`` turn (fraction, duration) into a text, and (text, duration) back.

    ``pattern`` is a regular expression with one group, what ``read`` is given.
    """

    say: Callable[[float, float], str]
    pattern: str
    read: Callable[[str, float], float]

    @property
    def span(self) -> str:
        return f"from {self.pattern} to {self.pattern}"

    @property
    def group(self) -> re.Pattern[str]:
        """The spans of one moment, joined by "and"."""
        return re.compile(rf"{self.span}(?:\s*and {self.span})*", re.IGNORECASE)


def percent(fraction: float) -> int:
    """0 to 99, nearest."""
    return min(max(round(fraction * 100), 0), LAST)


FORMS: dict[str, Form] = {
    "text": Form(lambda f, _: f"{percent(f):02d}", r"(\d{1,2})", lambda said, _: int(said) / 100),
    "seconds": Form(
        lambda f, duration_s: f"{f * duration_s:.1f}s",
        r"(\d+(?:\.\d+)?)\s?s",
        lambda said, duration_s: min(float(said) / duration_s, 1.0),
    ),
    "tokens": Form(lambda f, _: TIME_TOKENS[percent(f)], r"<t(\d\d)>", lambda said, _: int(said) / 100),
}


def add_time_tokens(tokenizer: Any) -> None:
    """The words of form "tokens" in a tokenizer; those it has stay."""
    tokenizer.add_tokens(list(TIME_TOKENS))


def with_length(question: str, duration_s: float, config: VideoExpertConfig) -> str:
    """The question of a model that answers in seconds says how long the video is."""
    return f"The video lasts {duration_s:.1f}s. {question}" if config.times == "seconds" else question


def write_times(
    answer: str, groups: Sequence[Sequence[Span]], config: VideoExpertConfig, duration_s: float
) -> str:
    """``answer`` with the k-th ``During <LOC>`` replaced by the times of the k-th group.

    Several spans of one group are joined by "and"; an empty group says that the event is absent. Raises InputError
    unless there are as many groups as ``<LOC>``.
    """
    opening = f"{config.moment_prefix} {config.loc_text}"
    parts = answer.split(opening)
    if len(parts) != len(groups) + 1:
        raise InputError(f"{len(groups)} moments for {len(parts) - 1} {config.loc_text}, expected as many.")
    said = [_say(group, FORMS[config.times], duration_s) for group in groups]
    return parts[0] + "".join(text + rest for text, rest in zip(said, parts[1:], strict=True))


def _say(spans: Sequence[Span], form: Form, duration_s: float) -> str:
    if not spans:
        return ABSENT
    pairs = ((form.say(a, duration_s), form.say(b, duration_s)) for a, b in spans)
    text = " and ".join(f"from {a} to {b}" for a, b in pairs)
    return text[0].upper() + text[1:]


def read_times(text: str, config: VideoExpertConfig, duration_s: float) -> list[Span]:
    """Every span that a text says, in order; one said backwards is turned round."""
    form = FORMS[config.times]
    pairs = re.findall(form.span, text, re.IGNORECASE)
    found = [(form.read(a, duration_s), form.read(b, duration_s)) for a, b in pairs]
    return [(min(span), max(span)) for span in found]


def read_captions(text: str, config: VideoExpertConfig, duration_s: float) -> list[tuple[Span, str]]:
    """(span, sentence) of dense captions; what comes before the first time, or has no sentence, is left out."""
    groups = list(FORMS[config.times].group.finditer(text))
    found = []
    for number, group in enumerate(groups, start=1):
        end = groups[number].start() if number < len(groups) else len(text)
        sentence = text[group.end() : end].strip().lstrip(",:. ").strip()
        if sentence:
            found.append((read_times(group.group(), config, duration_s)[0], sentence))
    return found


def without_times(text: str, config: VideoExpertConfig) -> str:
    """What an answer says besides its times."""
    return FORMS[config.times].group.sub(" ", text).replace(ABSENT, " ")


__all__ = [
    "ABSENT",
    "FORMS",
    "TIME_TOKENS",
    "add_time_tokens",
    "percent",
    "read_captions",
    "read_times",
    "with_length",
    "without_times",
    "write_times",
]
