"""Text made fit to print: no escape sequence of a foreign file reaches a terminal, and one is not many."""

from __future__ import annotations

_JOINERS = "\u200c\u200d"  # invisible, but emoji and some scripts are spelled with them


def printable(text: str) -> str:
    """``text`` with control characters, direction marks and halves of surrogate pairs as escapes; line ends stay."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in _JOINERS or letter == "\n" else _escaped(letter)
        for letter in text
    )


def quantity(count: int, noun: str, plural: str = "") -> str:
    """``1 video``, ``1,200 videos``; ``plural`` where it is not the noun with an s."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


__all__ = ["printable", "quantity"]
