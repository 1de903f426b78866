"""Free conversations about times as training examples: times in answers become ``<LOC>``.

The model neither reads nor writes digits of a time. A turn that asks with times is left out with its answer,
and so is an answer with a start but no end.
"""

from __future__ import annotations

import re
from typing import Any

from ..annotations.samples import Sample, Window
from ..language.conversation import Exchange
from ..language.prompter import Prompter
from ..marks import plain
from .batches import Example

SPAN = re.compile(
    r"(?:\b(?:from|during|between|at|in)\s+)?<s(\d+)>\s*(?:to|and|until|-|–)\s*<e(\d+)>", re.IGNORECASE
)
PLACEHOLDER = re.compile(r"<[a-z]\d+>")
SENTENCE_START = re.compile(r"(?:^|[.!?]\s*)$")


def usable_turns(sample: Sample, config: Any) -> tuple[list[Exchange], list[tuple[Window, ...]]]:
    """The exchanges that can be trained on, ``<LOC>`` in place, and the window of each ``<LOC>``.

    "From <s0> to <e0>, he runs." becomes "During <LOC>, he runs." (paper III-D).
    """
    times = dict(sample.times)
    turns: list[Exchange] = []
    windows: list[tuple[Window, ...]] = []
    for question, answer in zip(sample.turns[::2], sample.turns[1::2], strict=False):
        if PLACEHOLDER.search(question.text):
            continue
        text, own, end, rest = "", [], 0, ""
        for match in SPAN.finditer(answer.text):
            if match[1] != match[2]:
                continue
            rest += answer.text[end : match.start()]
            text += plain(answer.text[end : match.start()])
            opening = config.moment_prefix if SENTENCE_START.search(text) else config.moment_prefix.lower()
            text += f"{opening} {config.loc_text}"
            own.append(((times[f"<s{match[1]}>"], times[f"<e{match[2]}>"]),))
            end = match.end()
        text += plain(answer.text[end:])
        if PLACEHOLDER.search(rest + answer.text[end:]):
            continue
        turns.append(Exchange(plain(question.text), text))
        windows += own
    return turns, windows


def conversation_example(prompter: Prompter, sample: Sample, duration_s: float) -> Example:
    """The example of a conversation with at least one usable exchange."""
    turns, windows = usable_turns(sample, prompter.config)
    return Example(prompter.conversation(turns), tuple(windows), duration_s)


__all__ = ["conversation_example", "usable_turns"]
