"""What chat models are asked. Grounding models answer well only in the words they were trained with.

Sources: the model cards of TimeLens2, TimeLens and Time-R1, and the Qwen team's example of dense captions. Choices
are lettered; the answer wanted is one letter, so that its likelihood can be read.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ...errors import InputError
from ...marks import plain

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_SPANS = (
    'Given the query: "{query}", return ALL time spans (in seconds) where the query is relevant.\n'
    "Output format MUST be a JSON array of [start, end] pairs, e.g. [[0, 3.5], [10, 12]]."
)
_SPAN = (
    "Please find the visual event described by the sentence '{query}', determining its starting and ending times. "
    "The format should be: 'The event happens in <start time> - <end time> seconds'."
)
_THOUGHT = (
    'To accurately pinpoint the event "{query}" in the video, determine the precise time period of the event.\n\n'
    "Output your thought process within the <think> </think> tags, including analysis with either specific time "
    "ranges (xx.xx to xx.xx) in <timestep> </timestep> tags.\n\n"
    "Then, provide the start and end times (in seconds, precise to two decimal places) in the format "
    '"start time to end time" within the <answer> </answer> tags. For example: "12.54 to 17.83".'
)
_CAPTIONS = (
    "Localize a series of activity events in the video, output the start and end timestamp for each event, and "
    "describe each event with sentences. Provide the result in json format with 'mm:ss.ff' format for time depiction: "
    'a list of objects with "start", "end" and "description".'
)
_QUESTION = "{question}\nAnswer in one short sentence."
_CHOICES = "{question}\n{choices}\nAnswer with the letter of the best choice only."
_PREFACE = "These are {count} frames of a video of {duration:.1f} seconds, in order, each behind its time."


@dataclass(frozen=True)
class Prompts:
    """The words for each verb; ``name`` goes into result files. ``thinks``: answers begin with a long thought."""

    name: str
    ground: str
    caption: str = _CAPTIONS
    question: str = _QUESTION
    choices: str = _CHOICES
    thinks: bool = False

    def grounding(self, query: str) -> str:
        """Texts of users come out as ``marks.plain`` leaves them; what talks to the model settles them."""
        return _filled(self.ground, query=plain(query.strip()))

    def asking(self, question: str, choices: Sequence[str] = ()) -> str:
        """An open question, or one with its choices lettered."""
        if not choices:
            return _filled(self.question, question=plain(question.strip()))
        listed = "\n".join(
            f"{letter}. {plain(choice)}" for letter, choice in zip(LETTERS, choices, strict=False)
        )
        return _filled(self.choices, question=plain(question.strip()), choices=listed)

    def describe(self) -> dict[str, Any]:
        """All words, for a result file."""
        return asdict(self)


def _filled(template: str, **words: str) -> str:
    """The template with each ``{name}`` replaced once: braces in what is put in stay as they are."""
    return re.sub(r"\{(\w+)\}", lambda match: words.get(match[1], match[0]), template)


STYLES = {
    prompts.name: prompts
    for prompts in (
        Prompts("spans", _SPANS),
        Prompts("span", _SPAN),
        Prompts("thought", _THOUGHT, thinks=True),
    )
}
_STYLE_OF = {"timelens2": "spans", "timelens": "span", "timer1": "thought"}  # first match, in this order


def prompts_for(model: str, style: str | None = None) -> Prompts:
    """The prompts of ``style``, or those that a model of this name was trained with; "spans" for any other.

    Raises InputError for an unknown style.
    """
    if style is None:
        name = "".join(c for c in model.lower() if c.isalnum())
        style = next((known for part, known in _STYLE_OF.items() if part in name), "spans")
    if style not in STYLES:
        raise InputError(f"the prompt style is {style!r}, expected one of {', '.join(STYLES)}.")
    return STYLES[style]


def preface(count: int, duration: float) -> str:
    """The text before frames that are sent as pictures between their times."""
    return _PREFACE.format(count=count, duration=duration)


def stamp(seconds: float) -> str:
    """A frame's time as Qwen3-VL writes it."""
    return f"<{seconds:.1f} seconds>"
