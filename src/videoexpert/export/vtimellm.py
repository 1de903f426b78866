"""VTimeLLM's instruction data: answers as conversations that ``data import vtimellm`` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from itertools import groupby
from typing import Any

from ..types import Answer, Captions
from .answers import Answers, AnswerSet
from .labels import clip_name, windows_ms
from .text import milliseconds, one_line

WHEN = "When does this happen: {query}"
ABSENT = "It does not happen in this video."
DESCRIBE = "What happens in this video, and when?"
_PLACEHOLDER = re.compile(r"<([a-z])(\d{1,6})>")


def write(found: AnswerSet) -> str:
    """A record a video: its questions and answers as one conversation, times as placeholders.

    Answers about one video that follow each other share a record. A text that names its times itself (``<s0>`` to
    ``<e0>`` is the first moment) stays as it is; elsewhere the times come before the sentence.
    """
    records = []
    for (_, start, _), items in groupby(found.answers, lambda item: (item.video, item.start, item.duration)):
        own = list(items)
        talk = _Talk()
        for item in own:
            for question, answer, windows in _turns(item):
                talk.add(question, answer, windows)
        if talk.turns:
            records.append(_record(own[0], start, talk))
    return json.dumps(records, indent=2, ensure_ascii=False) + "\n"


def _record(item: Answers, start: float | None, talk: _Talk) -> dict[str, Any]:
    duration = milliseconds(item.duration) / 1000
    meta: dict[str, Any] = {"duration": duration, "token": talk.times}
    if start is not None:
        begin = milliseconds(start) / 1000
        meta = {"split": [begin, round(begin + duration, 3)], **meta}
    return {"id": clip_name(item, part=False), "conversations": talk.turns, "meta": meta}


class _Talk:
    """A conversation as it grows; moments are numbered through it."""

    def __init__(self) -> None:
        self.turns: list[dict[str, str]] = []
        self.times: dict[str, float] = {}

    def add(self, question: str, answer: str, windows: Sequence[tuple[int, int]]) -> None:
        first = len(self.times) // 2
        for number, window in enumerate(windows, first):
            for letter, time in zip("se", window, strict=True):
                self.times[f"<{letter}{number}>"] = time / 1000
        asked = question if self.turns else f"<video>\n{question}"
        told = _PLACEHOLDER.sub(lambda m: f"<{m[1]}{int(m[2]) + first}>", answer)
        self.turns += [{"from": "human", "value": asked}, {"from": "gpt", "value": told}]


def _turns(item: Answers) -> list[tuple[str, str, list[tuple[int, int]]]]:
    """Question, answer with placeholders from 0 on, and the windows of these, in milliseconds."""
    found = item.found
    if isinstance(found, Captions):
        marks = item.marks()
        lines = [f"<s{n}> to <e{n}>: {_plain(mark.title)}" for n, mark in enumerate(marks)]
        return [(DESCRIBE, "\n".join(lines), windows_ms(item, marks))] if marks else []
    if isinstance(found, Answer):
        (sentence,) = item.sentences()
        windows = windows_ms(item, sentence.marks)
        said = one_line(found.text).replace("<video>", "< video>")
        placed = _places(said, len(windows))
        told = said if placed else " ".join([*_spans(windows), _plain(said)]).strip()
        return [(_question(found), told, windows)] if told else []
    turns = []
    for sentence in item.sentences():
        windows = windows_ms(item, sentence.marks)
        asked = WHEN.format(query=_plain(sentence.text))
        turns.append((asked, " ".join(_spans(windows)) or ABSENT, windows))
    return turns


def _question(found: Answer) -> str:
    choices = [f"({chr(ord('A') + number % 26)}) {_plain(text)}" for number, text in enumerate(found.choices)]
    return "\n".join([_plain(found.question), *choices])


def _spans(windows: Sequence[tuple[int, int]]) -> list[str]:
    return [f"From <s{n}> to <e{n}>." for n in range(len(windows))]


def _places(text: str, moments: int) -> bool:
    """Whether a text names both times of each moment, and no others."""
    named = {(letter, int(number)) for letter, number in _PLACEHOLDER.findall(text)}
    return bool(named) and named == {(letter, n) for letter in "se" for n in range(moments)}


def _plain(text: str) -> str:
    """A text on one line; what would be read as a time or as the video is split."""
    return _PLACEHOLDER.sub(r"< \1\2>", one_line(text)).replace("<video>", "< video>")
