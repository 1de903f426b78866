"""Texts as segments of one model: its tokenizer, its conversation style, its ``<LOC>``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from ..config import VideoExpertConfig
from ..errors import CheckpointError
from . import prompt
from .conversation import Conversation, Exchange, PromptLists, tokenize_many
from .sequence import Segment
from .time_text import Span, with_length, write_times


class Prompter:
    """Turns questions and answers into what precedes and follows the video in the prompt.

    prefix_ids      ids before the video; the same for every question, so the video's prefix is computed once

    Raises CheckpointError for a tokenizer that loses what it is given.
    """

    def __init__(self, config: VideoExpertConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.has_head = config.times == "head"
        asked = self._tokenized([(Exchange("video"),)])[0]
        if not asked.ids[asked.after :]:
            raise CheckpointError("the tokenizer makes no token of a question; copy the model again.")
        self.prefix_ids: list[int] = asked.ids[: asked.after - 1]

    def segment(self, question: str, answer: str | None = None) -> Segment:
        """What follows the video. With an ``answer`` its tokens are supervised; without, the text ends asking."""
        return self.conversation((Exchange(question, answer),))

    def segments(self, pairs: Sequence[tuple[str, str | None]]) -> list[Segment]:
        """``segment`` of many questions and answers, all with an answer or none, tokenised together."""
        return self._segments([(Exchange(question, answer),) for question, answer in pairs])

    def conversation(self, turns: Sequence[Exchange]) -> Segment:
        """Several turns on one video; the answers are supervised where the last turn has one."""
        return self._segments([turns])[0]

    def grounding(self, query: str) -> Segment:
        """The whole exchange of a grounding query; the answer is known, so nothing has to be decoded."""
        return self.groundings([query])[0]

    def groundings(self, queries: Sequence[str]) -> list[Segment]:
        """``grounding`` of many queries, tokenised together."""
        answer = prompt.grounding_answer(self.config)
        return self.segments([(prompt.grounding_question(query, self.config), answer) for query in queries])

    @cached_property
    def grounding_stem(self) -> tuple[int, ...]:
        """Ids with which every grounding question begins: the wording before the query."""
        one, other = (segment.ids for segment in self.groundings(["a", "zebra 9"]))
        shared = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), 0)
        return one[:shared]

    def with_times(
        self, answer: str, groups: Sequence[Sequence[Span]], duration_s: float
    ) -> tuple[str, bool]:
        """An answer with the spans of each ``<LOC>`` as this model learns it, and whether its ``<LOC>`` stay.

        A model with a head keeps them and is given the spans as targets; one without writes the spans as text.
        """
        if self.has_head:
            return answer, True
        return write_times(answer, groups, self.config, duration_s), False

    def with_length(self, question: str, duration_s: float) -> str:
        """The question as this model is asked it: one that answers in seconds has to know how long the video is."""
        return with_length(question, duration_s, self.config)

    def answered(self, question: Segment, answer_ids: list[int]) -> Segment:
        """A question with the ids that the model answered, for reading its ``<LOC>``."""
        ids = (*question.ids, *answer_ids)
        first = len(question.ids)
        locs = tuple(i for i in range(first, len(ids)) if ids[i] == self.config.loc_token_id)
        return Segment(ids, (), locs)

    def decode(self, ids: list[int]) -> str:
        """Answer ids as text for people, ``<LOC>`` in place."""
        text = str(self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return re.sub(r"\s+([.,;:!?])", r"\1", text)  # word-splitting tokenizers leave a space there

    def _segments(self, conversations: Sequence[Sequence[Exchange]]) -> list[Segment]:
        found = []
        for turns, told in zip(conversations, self._tokenized(conversations), strict=True):
            first = told.after
            labels = tuple(told.labels[first:]) if turns[-1].answer is not None else ()
            found.append(Segment(tuple(told.ids[first:]), labels, tuple(p - first for p in told.locs)))
        return found

    def _tokenized(self, conversations: Sequence[Sequence[Exchange]]) -> list[PromptLists]:
        """Conversations that all have a last answer, or none."""
        return tokenize_many(
            [Conversation(tuple(turns), self.config.system_text) for turns in conversations],
            self.tokenizer,
            style=self.config.conversation,
            loc_token_id=int(self.config.loc_token_id or 0),
            supervise=bool(conversations) and conversations[0][-1].answer is not None,
        )
