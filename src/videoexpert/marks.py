"""Words of users that look like marks of a tokenizer stay words: ``</s>`` in a question ends no turn.

A mark is a word that a tokenizer takes whole and gives a meaning of its own: ``<LOC>``, ``</s>``, ``<|im_end|>``. Text
that a user or a data set gave goes through ``plain``, which leaves a sign that no text holds behind each bracket. What
the program itself writes has no such sign, so ``settled`` can tell the two apart once it knows the tokenizer: a user's
mark gets a space behind its bracket, and every other sign goes without a trace.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

SIGN = "\ue001"  # of Unicode's private use
_USUAL = re.compile(r"<\|[^\s|<>]{1,40}\|>|</?s>|<\w+_of_turn>|<(?:bos|eos|pad|unk|image|video)>|\[/?INST\]")
_BRACKET = re.compile(r"([<\[])")


def plain(text: str) -> str:
    """A user's text with a sign behind every bracket that could begin a mark."""
    return _BRACKET.sub(rf"\1{SIGN}", text.replace(SIGN, ""))


def settled(text: str, marks: Iterable[str]) -> str:
    """The text without signs, and its user's marks broken by a space."""
    if SIGN not in text:
        return text
    for mark in marks:
        text = text.replace(plain(mark), f"{mark[0]} {plain(mark[1:])}")
    return text.replace(SIGN, "")


def words_of(text: str, marks: Iterable[str]) -> str:
    """A text that is all a user's, its marks broken."""
    return settled(plain(text), marks)


def said_elsewhere(text: str) -> str:
    """The text for a model behind a server, whose tokenizer is not known: a user's words of the usual forms of marks
    are broken."""
    return settled(text, {match[0] for match in _USUAL.finditer(text.replace(SIGN, ""))})


def marks_of(tokenizer: Any) -> tuple[str, ...]:
    """Every mark in brackets of a tokenizer of transformers, the longest first."""
    known = {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens}
    return tuple(
        sorted((mark for mark in known if _BRACKET.match(mark)), key=lambda mark: (-len(mark), mark))
    )


__all__ = ["SIGN", "marks_of", "plain", "said_elsewhere", "settled", "words_of"]
