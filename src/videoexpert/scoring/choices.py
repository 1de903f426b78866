"""Which option an answer names: by its number, its letter, or its text, as systems write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

_LETTERS = "ABCDEFGHIJ"
# "C", "(C)", "C.", "C) jump", "(c): jump", after words such as "The answer is" or "Option"
_LEAD = r"(?:(?:the\s+)?(?:best\s+|correct\s+|right\s+)?(?:answer|option|choice)(?:\s+is)?\s*[:=]?\s*)?"
_LETTER = re.compile(
    rf"{_LEAD}(?:\(\s*([A-J])\s*\)|([A-J]))\s*(?:[.:)\]]\s*(.*)|$)", re.IGNORECASE | re.DOTALL
)
_BRACKETED = re.compile(rf"{_LEAD}\(\s*([A-J])\s*\)\s*(.*)", re.IGNORECASE | re.DOTALL)


def chosen(choice: Any, options: Sequence[str]) -> int | None:
    """Index of the option that an answer names; None where it names none, or two different ones.

    Numbers count from 0 and may be texts; a text is compared without regard to case, spaces and a full stop at its
    end. A letter may precede its option's text. Without ``options`` numbers and letters are taken as they are.
    """
    if isinstance(choice, bool):
        return None
    if isinstance(choice, (int, float)):
        whole = isinstance(choice, int) or choice.is_integer()
        return _within(int(choice), options) if whole else None
    if not isinstance(choice, str):
        return None
    text = choice.strip()
    if text.isdecimal():
        return _within(int(text[:10]), options)
    exact = _place(text, options)
    return exact if exact is not None else _by_letter(text, options)


def _by_letter(text: str, options: Sequence[str]) -> int | None:
    match = _BRACKETED.fullmatch(text) or _LETTER.fullmatch(text)
    if match is None:
        return None
    letter = next(group for group in match.groups()[:-1] if group)
    rest = (match.groups()[-1] or "").strip()
    index = _within(_LETTERS.index(letter.upper()), options)
    named = _place(rest, options) if rest else index
    # a letter beside the text of another option names two
    return index if named in (None, index) or (index is not None and _same(options, named, index)) else None


def _same(options: Sequence[str], first: int | None, second: int) -> bool:
    return first is not None and _plain(options[first]) == _plain(options[second])


def _within(index: int, options: Sequence[str]) -> int | None:
    return index if 0 <= index < (len(options) or len(_LETTERS)) else None


def _place(text: str, options: Sequence[str]) -> int | None:
    wanted = _plain(text)
    for index, option in enumerate(options):
        if _plain(option) == wanted:
            return index
    return None


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(".").rstrip()
