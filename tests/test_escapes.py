"""What is printed of foreign files cannot drive a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.escapes import printable, quantity


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a dog, 狗, 🐕", "a dog, 狗, 🐕"),
        ("👩\u200d🚒", "👩\u200d🚒"),
        ("\x1b[2J\x07", "\\x1b[2J\\x07"),
        ("a\rb\tc", "a\\rb\\tc"),
        ("\ud800", "\\ud800"),
        ("\u202egpj", "\\u202egpj"),
        ("\x9b31m", "\\x9b31m"),
        ("one\ntwo", "one\ntwo"),
    ],
)
def test_examples(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text(st.characters(exclude_categories=())))
def test_anything_can_be_printed(text: str) -> None:
    shown = printable(text)
    shown.encode("utf-8")
    assert all(letter.isprintable() or letter in "\n\u200c\u200d" for letter in shown)
    assert printable(shown) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 videos"), (1, "1 video"), (1200, "1,200 videos")])
def test_one_is_not_many(count, shown):
    assert quantity(count, "video") == shown


def test_a_plural_of_its_own():
    assert [quantity(count, "query", "queries") for count in (1, 2)] == ["1 query", "2 queries"]
