"""Texts as segments of one model: its tokenizer, its conversation style, its ``<LOC>``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..config import VideoExpertConfig
from . import prompt
from .sequence import Segment
from .time_text import Span, with_length, write_times


class Prompter:
    """Turns questions and answers into what stands before and after the video in the prompt.

    prefix_ids      ids before the video; the same for every question, so the video's prefix is computed once
    """

    def __init__(self, config: VideoExpertConfig, tokenizer: Any) -> None:
        self.config, self.tokenizer = config, tokenizer
        self.has_head = config.times == "head"
        self.prefix_ids: list[int] = self._ids((prompt.Turn("video"),)).before_video.tolist()

    def segment(self, question: str, answer: str | None = None) -> Segment:
        """What follows the video. With an ``answer`` its tokens are supervised; without, the text ends asking."""
        return self.conversation((prompt.Turn(question, answer),))

    def conversation(self, turns: Sequence[prompt.Turn]) -> Segment:
        """Several turns on one video; the answers are supervised where the last turn has one."""
        ids = self._ids(turns)
        first = ids.video_position + 1
        labels = tuple(ids.labels[first:].tolist()) if turns[-1].answer is not None else ()
        return Segment(tuple(ids.after_video.tolist()), labels, tuple(p - first for p in ids.loc_positions))

    def grounding(self, query: str) -> Segment:
        """The whole exchange of a grounding query; the answer is known, so nothing has to be decoded."""
        return self.segment(
            prompt.grounding_question(query, self.config), prompt.grounding_answer(self.config)
        )

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

    def _ids(self, turns: Sequence[prompt.Turn]) -> prompt.PromptIds:
        conversation = prompt.Conversation(tuple(turns), self.config.system_text)
        return prompt.tokenize(
            conversation,
            self.tokenizer,
            style=self.config.conversation,
            loc_token_id=int(self.config.loc_token_id or 0),
            supervise=turns[-1].answer is not None,
        )
