"""Words that a model knows nothing of, read off its tokenizer.

A small tokenizer is made from the sentences of a model's own training: each word that stood there is one piece, and one
that did not falls apart. Language models that read the world's text have large vocabularies and are asked anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

LARGE = 8_192  # pieces from which on a vocabulary is one of the world's text
KNOWN = 3  # words of content that a query must hold to be understood in spite of others
KNOWN_FOR_EACH = 3  # of them for each unknown one
REMEMBERED = 10_000  # words that were looked up, of a server that is asked anything
WORDS = 100  # whole words of a tokenizer that takes words; one that takes letters tells nothing of words
# what stands between white space and punctuation
_WORD = re.compile("[^\\s!-/:-@\\[-`{-~\u00a1\u00ab\u00b7\u00bb\u00bf\u2000-\u206f\u3000-\u303f]+")
# Words that ask or join and name nothing: whether a model knows them says nothing of what it understands.
_EMPTY = frozenset(
    _WORD.findall(
        "a an and are as at be by can could do does for from give i in into is it its let look me of on or please "
        "see show tell that the then there this to us was we were when where which while who will with would you"
    )
)
_WHOLE = re.compile(r"[^a-z]?[a-z]{3,}")


class Words:
    """The words of a tokenizer of transformers, and those in ``taught`` that a training added."""

    def __init__(self, tokenizer: Any, taught: Iterable[str] = ()) -> None:
        self.tokenizer = tokenizer
        # a large vocabulary takes a while to read, and says nothing
        vocabulary = tokenizer.get_vocab() if tokenizer is not None and len(tokenizer) < LARGE else {}
        self.limited = sum(map(bool, map(_WHOLE.fullmatch, vocabulary))) >= WORDS
        self.taught = frozenset(taught)
        self._known: dict[str, bool] = {}

    def unknown(self, *texts: str) -> tuple[str, ...]:
        """The words of the texts that the model was never shown, each once, in order; of a large model none."""
        if not self.limited:
            return ()
        words = dict.fromkeys(word for text in texts for word in _WORD.findall(self.spelled(text)))
        return tuple(word for word in words if not self._knows(word))

    def spelled(self, text: str) -> str:
        """The text with small letters in words that are known only so: ``Red`` as ``red``."""
        return _WORD.sub(lambda found: self._spelled(found[0]), text) if self.limited else text

    def rest(self, text: str) -> str | None:
        """The text without its unknown words; None where there are none, or too little is left to be asked alone."""
        if not self.unknown(text):
            return None
        content = [word for word in _WORD.findall(self.spelled(text)) if word.lower() not in _EMPTY]
        known = sum(map(self._knows, content))
        if known < max(KNOWN, KNOWN_FOR_EACH * (len(content) - known)):
            return None
        left = _WORD.sub(lambda found: found[0] if self._knows(found[0]) else "", self.spelled(text))
        return re.sub(r"\s+(?=[,;:.!?])", "", " ".join(left.split())).strip(" ,;:")

    def new(self, texts: Iterable[str]) -> list[str]:
        """What the texts of a training teach beyond the words that are known, sorted, as prompts spell them."""
        if not self.limited:
            return []
        words = {word for text in texts for word in _WORD.findall(text[:1].lower() + text[1:])}
        return sorted(word for word in words if not self._knows(word))

    def _spelled(self, word: str) -> str:
        small = word.lower()
        return small if small != word and not self._knows(word) and self._knows(small) else word

    def _knows(self, word: str) -> bool:
        if word in self.taught:
            return True
        if word not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            ids: Sequence[int] = self.tokenizer(f" {word}", add_special_tokens=False)["input_ids"]
            self._known[word] = len(ids) == 1 and ids[0] != self.tokenizer.unk_token_id
        return self._known[word]


__all__ = ["Words"]
