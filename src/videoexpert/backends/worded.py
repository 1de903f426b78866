"""Answers that say which words of a question the model does not know, and claim nothing about those."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ..engine import Opened
from ..language.words import Words
from ..types import Answer, Moments
from .answers import HeadAnswers, Question


def told_of(found: Moments, unknown: tuple[str, ...]) -> Moments:
    """The moments with the unknown words of their query: its event is not said to be absent then."""
    return replace(found, absent=found.absent and not unknown, unknown_words=unknown)


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
        return [
            [told_of(replace(m, query=q), self.words.unknown(q)) for q, m in zip(*pair, strict=True)]
            for pair in zip(queries, found, strict=True)
        ]

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
