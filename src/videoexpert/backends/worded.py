"""Answers that say which words of a question the model does not know, and claim nothing about those.

An answer stands in spite of an unknown word where the word makes no difference: the rest of the query is long enough to
be one of its own (``Words.rest``), and asked alone it is found at the same place. Otherwise it is a guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..engine import Opened
from ..language.words import Words
from ..types import Answer, Moments
from ..windows import iou
from .answers import HeadAnswers, Question

SAME = 0.5  # IoU from which on two best moments are at the same place


def told_of(found: Moments, unknown: tuple[str, ...], rest: Moments | None = None) -> Moments:
    """The moments with the unknown words of their query: its event is not said to be absent then.

    ``rest`` is what was found without those words, where that was asked.
    """
    if not unknown:
        return found
    return replace(found, absent=False, unknown_words=unknown, guess=rest is None or not _agree(found, rest))


def _agree(found: Moments, rest: Moments) -> bool:
    """Whether both are found, and their best moments at the same place."""
    if found.absent or rest.absent or not found.items or not rest.items:
        return False
    best, other = found.items[0], rest.items[0]
    return iou((best.start, best.end), (other.start, other.end)) >= SAME


class Worded:
    """``answers`` of a model, asked in letters that it knows; they speak of the questions as they were put."""

    def __init__(self, answers: HeadAnswers, words: Words) -> None:
        self.answers, self.words = answers, words
        self.captions = answers.captions

    def ground(
        self, videos: Sequence[Opened], queries: Sequence[Sequence[str]], top_k: int | None
    ) -> list[list[Moments]]:
        """As of HeadAnswers."""
        spelled = [[self.words.spelled(query) for query in own] for own in queries]
        found = self.answers.ground(videos, spelled, top_k)
        rests = self._rests(videos, queries)
        return [
            [
                told_of(replace(m, query=q), self.words.unknown(q), rest.get(q))
                for q, m in zip(own, ms, strict=True)
            ]
            for own, ms, rest in zip(queries, found, rests, strict=True)
        ]

    def _rests(self, videos: Sequence[Opened], queries: Sequence[Sequence[str]]) -> list[dict[str, Moments]]:
        """Of each video the best moments of its queries without their unknown words, where those can be asked."""
        rests = [{q: rest for q in own if (rest := self.words.rest(q))} for own in queries]
        asked = [number for number, own in enumerate(rests) if own]
        if not asked:
            return [{} for _ in videos]
        found = self.answers.ground([videos[n] for n in asked], [list(rests[n].values()) for n in asked], 1)
        by_video = dict(zip(asked, found, strict=True))
        return [dict(zip(own, by_video.get(n, ()), strict=True)) for n, own in enumerate(rests)]

    def ask(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[Question]], max_new_tokens: int
    ) -> list[list[Answer]]:
        """As of HeadAnswers."""
        spelled = [[self._spelled(question) for question in own] for own in questions]
        found = self.answers.ask(videos, spelled, max_new_tokens)
        return [
            [self._as_asked(*one) for one in zip(*pair, strict=True)]
            for pair in zip(questions, found, strict=True)
        ]

    def _spelled(self, question: Question) -> Question:
        return Question(self.words.spelled(question.text), tuple(map(self.words.spelled, question.choices)))

    def _as_asked(self, asked: Question, found: Answer) -> Answer:
        text = found.text if found.choice is None else asked.choices[found.choice]
        unknown = self.words.unknown(asked.text, *asked.choices)
        return replace(found, question=asked.text, choices=asked.choices, text=text, unknown_words=unknown)


__all__ = ["Worded", "told_of"]
