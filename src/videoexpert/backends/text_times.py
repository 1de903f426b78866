"""A model that writes its times as text: the paper's baseline without a head (Table VII, row 5) as a backend.

Text has no scores. Moments come in the order in which they are written, each with score 1, and a query is absent
where the model says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..language import prompt
from ..language.sequence import Segment
from ..language.time_text import Span, read_captions, read_times, without_times, write_times
from ..types import Answer, Moment, Moments, VisualTokens
from .expert import Expert, Video, one_sentence
from .sourced import sourced

TIMES_TOKENS = 32  # generated at most where only times are asked for


class TextTimesExpert(Expert):
    """A loaded model whose config says that it writes its times."""

    def open_tokens(self, tokens: VisualTokens, path: str = "") -> TextTimesVideo:
        """A video whose visual tokens come from a feature store."""
        return TextTimesVideo(self, tokens, path)


@sourced
class TextTimesVideo(Video):
    """An open video whose every moment is read from generated text."""

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Sentences, each with its moment, in the order in which the model gives them."""
        config = self.expert.config
        text = self._generate(self._asked(prompt.caption_question(config)), max_new_tokens)
        told = read_captions(text, config, self.duration)
        return [self._moment(span, sentence) for span, sentence in told]

    def _ground(self, queries: Sequence[str], top_k: int | None) -> list[Moments]:
        return [self._ground_one(query, top_k) for query in queries]

    def _ground_one(self, query: str, top_k: int | None) -> Moments:
        """The curve is 1 inside a moment and 0 elsewhere."""
        asked = prompt.grounding_question(query, self.expert.config)
        spans = self._spans(self._generate(self._asked(asked), TIMES_TOKENS))
        count = len(self.tokens.temporal)
        centres = [(i + 0.5) / count for i in range(count)]
        curve = tuple(float(any(a <= t <= b for a, b in spans)) for t in centres)
        items = tuple(self._moment(span) for span in spans[:top_k])
        return Moments(query, items, float(bool(spans)), not spans, curve)

    def _choose(self, question: str, asked: str, choices: Sequence[str]) -> Answer:
        """The moment is written first, then the choices are compared behind it."""
        config, prompter = self.expert.config, self.expert.prompter
        asked = prompter.with_length(asked, self.duration)
        spans = self._spans(self._generate(prompter.segment(asked), TIMES_TOKENS))
        answers = [
            write_times(prompt.choice_answer(i, True, config, choices), [spans], config, self.duration)
            for i in range(len(choices))
        ]
        segments = [prompter.segment(asked, answer) for answer in answers]
        scores = self.expert.model.likelihoods(self.prefix, segments).softmax(-1)
        best = int(scores.argmax())
        moments = tuple(self._moment(span) for span in spans)
        return Answer(question, choices[best], best, moments, tuple(scores.tolist()))

    def _tell(self, question: str, asked: str, max_new_tokens: int) -> Answer:
        text = self._generate(self._asked(asked), max_new_tokens)
        moments = tuple(self._moment(span) for span in self._spans(text))
        return Answer(question, one_sentence(without_times(text, self.expert.config)), None, moments)

    def _asked(self, question: str) -> Segment:
        prompter = self.expert.prompter
        return prompter.segment(prompter.with_length(question, self.duration))

    def _spans(self, text: str) -> list[Span]:
        return read_times(text, self.expert.config, self.duration)

    def _generate(self, asked: Segment, max_new_tokens: int) -> str:
        eos = int(self.expert.tokenizer.eos_token_id)
        ids = self.expert.model.generate(self.prefix, asked, eos_token_id=eos, max_new_tokens=max_new_tokens)
        return self.expert.prompter.decode(ids)

    def _moment(self, span: Span, text: str | None = None) -> Moment:
        clip = self.tokens.stretch
        return clip.moment(Moment(span[0] * clip.seen_s, span[1] * clip.seen_s, text=text))


__all__ = ["TextTimesExpert", "TextTimesVideo"]
