"""Our own JSON lines (docs/own-data.md): answers as labels that training, scoring and ``data check jsonl`` read."""

from __future__ import annotations

import json
from typing import Any

from ..types import Answer, Captions, Highlights
from ..windows import CLIP_S
from .answers import Answers, AnswerSet
from .labels import windows_ms
from .text import milliseconds, one_line


def write(found: AnswerSet) -> str:
    """A line a sentence, a question, or all captions of a video; an absent event has no moments."""
    return "".join(
        json.dumps(_about(item) | record, ensure_ascii=False) + "\n"
        for item in found.answers
        for record in _records(item)
    )


def _about(item: Answers) -> dict[str, Any]:
    duration = milliseconds(item.duration) / 1000
    about: dict[str, Any] = {"video": one_line(item.video), "duration": duration}
    if item.start is not None:
        begin = milliseconds(item.start) / 1000
        about["clip"] = [begin, round(begin + duration, 3)]
    return about


def _records(item: Answers) -> list[dict[str, Any]]:
    found = item.found
    if isinstance(found, Captions):
        marks = [mark for mark in item.marks() if one_line(mark.title)]
        told = {"moments": _moments(item, marks), "captions": [one_line(mark.title) for mark in marks]}
        return [told] if marks else []
    if isinstance(found, Answer):
        return [_answer(item, found)]
    return [
        {"query": one_line(sentence.text), "moments": _moments(item, sentence.marks)} | _saliency(item)
        for sentence in item.sentences()
    ]


def _answer(item: Answers, found: Answer) -> dict[str, Any]:
    (sentence,) = item.sentences()
    record: dict[str, Any] = {"question": one_line(found.question)}
    if sentence.marks:
        record["moments"] = _moments(item, sentence.marks)
    if found.choices:
        record["choices"] = [one_line(choice) for choice in found.choices]
    answer = found.choice if found.choices else one_line(found.text) or None
    return record | ({} if answer is None else {"answer": answer})


def _moments(item: Answers, marks: Any) -> list[list[float]]:
    return [[start / 1000, end / 1000] for start, end in windows_ms(item, marks)]


def _saliency(item: Answers) -> dict[str, Any]:
    """A score a clip, where clips are as long as the schema's."""
    found = item.found
    if not isinstance(found, Highlights) or found.clip_s != CLIP_S or not found.scores:
        return {}
    return {"saliency": [[round(max(score, 0.0), 4)] for score in found.scores]}
