"""JSON lines: the documented object of one video a line, as each is done."""

from __future__ import annotations

import json

from .answers import Answers, AnswerSet, Failed
from .answers_json import document


def write(found: AnswerSet) -> str:
    """A line a video, failed ones too."""
    return "".join(line(item) for item in found.items)


def line(item: Answers | Failed) -> str:
    """One video's line with its end."""
    return json.dumps(document(item), ensure_ascii=False) + "\n"
