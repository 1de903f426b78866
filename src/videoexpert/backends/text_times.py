"""A model that writes its times as text: the paper's baseline without a head (Table VII, row 5) as a backend.

Text has no scores. Moments come in the order in which they are written, each with score 1, and a query is absent
where the model says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from ..engine import Opened
from ..language import prompt
from ..language.sequence import Segment
from ..language.time_text import Span, read_captions, read_times, without_times, write_times
from ..types import Answer, Moment, Moments
from .answers import HeadAnswers, Question, one_sentence
from .expert import Expert

TIMES_TOKENS = 32  # generated at most where only times are asked for


class TextTimesExpert(Expert):
    """A loaded model whose config says that it writes its times."""

    def _answers(self) -> HeadAnswers:
        return TextAnswers(self.engine, self.prompter)


class TextAnswers(HeadAnswers):
    """Every moment is read from generated text."""

    def ground(
        self, videos: Sequence[Opened], queries: Sequence[Sequence[str]], top_k: int | None
    ) -> list[list[Moments]]:
        """The curve is 1 inside a moment and 0 elsewhere."""
        asked = [[prompt.grounding_question(query, self.config) for query in own] for own in queries]
        told = self._texts(videos, asked, TIMES_TOKENS)
        return [
            [self._found(video, q, text, top_k) for q, text in zip(own, texts, strict=True)]
            for video, own, texts in zip(videos, queries, told, strict=True)
        ]

    def _found(self, video: Opened, query: str, text: str, top_k: int | None) -> Moments:
        spans = self._spans(text, video)
        count = len(video.tokens.temporal)
        centres = [(i + 0.5) / count for i in range(count)]
        curve = tuple(float(any(a <= t <= b for a, b in spans)) for t in centres)
        items = tuple(_moment(span, video) for span in spans[:top_k])
        return Moments(query, items, float(bool(spans)), not spans, curve)

    def captions(self, videos: Sequence[Opened], max_new_tokens: int) -> list[list[Moment]]:
        """Sentences on each video, each with its moment, in the order in which the model gives them."""
        question = prompt.caption_question(self.config)
        told = self._texts(videos, [[question]] * len(videos), max_new_tokens)
        return [
            [
                _moment(span, video, sentence)
                for span, sentence in read_captions(text, self.config, video.clip.duration_s)
            ]
            for video, (text,) in zip(videos, told, strict=True)
        ]

    def _choose(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[Question]]
    ) -> list[list[Answer]]:
        """The moment is written first, then the choices are compared behind it."""
        asked = [
            [prompt.question_with_choices(q.text, q.choices, self.config, grounded=True) for q in own]
            for own in questions
        ]
        told = self._texts(videos, asked, TIMES_TOKENS)
        found = []
        for video, own, texts, said in zip(videos, questions, asked, told, strict=True):
            spans = [self._spans(text, video) for text in said]
            behind = [
                self._behind(video, question, text, own_spans)
                for question, text, own_spans in zip(own, texts, spans, strict=True)
            ]
            flat = [segment for segments in behind for segment in segments]
            values = self.engine.likelihoods([video], [flat])[0].split([len(s) for s in behind])
            rows = [tuple(part.softmax(-1).tolist()) for part in values]
            best = [max(range(len(row)), key=row.__getitem__) for row in rows]
            found.append(
                [
                    Answer(
                        q.text,
                        q.choices[i],
                        i,
                        tuple(_moment(span, video) for span in own_spans),
                        row,
                        choices=tuple(q.choices),
                    )
                    for q, i, own_spans, row in zip(own, best, spans, rows, strict=True)
                ]
            )
        return found

    def _behind(self, video: Opened, question: Question, asked: str, spans: Sequence[Span]) -> list[Segment]:
        """The question with each choice as its answer, behind the times that the model wrote."""
        length = video.clip.duration_s
        answers = [
            write_times(
                prompt.choice_answer(i, True, self.config, question.choices), [spans], self.config, length
            )
            for i in range(len(question.choices))
        ]
        asked = self.prompter.with_length(asked, length)
        return self.prompter.segments([(asked, answer) for answer in answers])

    def _tell(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[Question]], max_new_tokens: int
    ) -> list[list[Answer]]:
        asked = [
            [prompt.question_with_choices(q.text, (), self.config, grounded=True) for q in own]
            for own in questions
        ]
        told = self._texts(videos, asked, max_new_tokens)
        return [
            [
                Answer(
                    q.text,
                    one_sentence(without_times(text, self.config)),
                    None,
                    tuple(_moment(span, video) for span in self._spans(text, video)),
                )
                for q, text in zip(own, texts, strict=True)
            ]
            for video, own, texts in zip(videos, questions, told, strict=True)
        ]

    def _texts(
        self, videos: Sequence[Opened], questions: Sequence[Sequence[str]], max_new_tokens: int
    ) -> list[list[str]]:
        """What the model writes to every question on each video."""
        with_length = [
            (self.prompter.with_length(question, video.clip.duration_s), None)
            for video, own in zip(videos, questions, strict=True)
            for question in own
        ]
        segments = iter(self.prompter.segments(with_length) if with_length else [])
        asked = [list(islice(segments, len(own))) for own in questions]
        told = self._told(videos, asked, max_new_tokens)
        return [[self.prompter.decode(ids) for ids in own] for own in told]

    def _spans(self, text: str, video: Opened) -> list[Span]:
        return read_times(text, self.config, video.clip.duration_s)


def _moment(span: Span, video: Opened, text: str | None = None) -> Moment:
    clip = video.clip
    return clip.moment(Moment(span[0] * clip.seen_s, span[1] * clip.seen_s, text=text))


__all__ = ["TextAnswers", "TextTimesExpert"]
