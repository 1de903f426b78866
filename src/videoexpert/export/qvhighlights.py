"""QVHighlights' lines, one a sentence: answers as labels that ``data import qvhighlights`` reads."""

from __future__ import annotations

import json
from typing import Any

from ..errors import UnsupportedError
from ..types import Highlights
from ..windows import CLIP_S, clip_count
from .answers import Answers, AnswerSet, Sentence
from .labels import clip_name, windows_ms
from .text import milliseconds, one_line

# the best mark that an annotator gives a clip; a saliency of 1
VERY_GOOD = 4


def write(found: AnswerSet) -> str:
    """A record a sentence; an absent event has no windows. Marks of clips are those of ``highlight``, from 0 to 4.

    The whole video's name is the file's without its ending; a part is ``NAME_START_END``, and its times count from its
    start, as in the data set. Raises UnsupportedError for highlights in clips of another length.
    """
    pairs = [
        (item, sentence)
        for item in found.answers
        for sentence in item.sentences()
        if sentence.marks or sentence.absent
    ]
    return "".join(
        json.dumps(_record(item, sentence, number), ensure_ascii=False) + "\n"
        for number, (item, sentence) in enumerate(pairs, 1)
    )


def _record(item: Answers, sentence: Sentence, number: int) -> dict[str, Any]:
    windows = windows_ms(item, sentence.marks)
    record: dict[str, Any] = {
        "qid": number,
        "query": one_line(sentence.text),
        "duration": milliseconds(item.duration) / 1000,
        "vid": clip_name(item),
        "relevant_windows": [[start / 1000, end / 1000] for start, end in windows],
    }
    if isinstance(item.found, Highlights):
        clips = sorted({clip for window in windows for clip in _clips(*window)})
        saliency = _saliency(item.found, item)
        record |= {
            "relevant_clip_ids": clips,
            "saliency_scores": [[round(VERY_GOOD * saliency.get(clip, 0.0), 4)] for clip in clips],
        }
    return record


def _clips(start: int, end: int) -> range:
    """The clips that a window, in milliseconds, touches."""
    return range(int(start / 1000 // CLIP_S), clip_count(end / 1000))


def _saliency(found: Highlights, item: Answers) -> dict[int, float]:
    if found.clip_s != CLIP_S:
        raise UnsupportedError(
            f"QVHighlights rates clips of {CLIP_S:g} s, and these are {found.clip_s:g} s long: ask for clips of "
            f"{CLIP_S:g} s, or choose another format."
        )
    begin = item.start or 0.0
    return {
        round((time - begin) / CLIP_S): score for time, score in zip(found.times, found.scores, strict=True)
    }
