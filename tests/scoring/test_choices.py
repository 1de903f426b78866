"""Options as systems name them: numbers, letters, texts, and letters with texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.scoring.choices import chosen

OPTIONS = ("sit", "run", "jump", "eat a cake", "B")


@pytest.mark.parametrize(
    ("choice", "index"),
    [
        (2, 2),
        (2.0, 2),
        ("2", 2),
        (" 2 ", 2),
        ("C", 2),
        ("c", 2),
        ("(C)", 2),
        ("C.", 2),
        ("(C) jump", 2),
        ("C. jump.", 2),
        ("c) Jump", 2),
        ("C: jump", 2),
        ("The answer is (C)", 2),
        ("The correct answer is C.", 2),
        ("Option C", 2),
        ("Answer: (C) jump", 2),
        ("Jump.", 2),
        (" eat  a cake ", 3),
        ("B", 4),  # the text of an option goes before its letter
        ("(C) run", None),  # two answers in one
        ("F", None),
        ("5", None),
        (5, None),
        (-1, None),
        (1.5, None),
        (float("nan"), None),
        (True, None),
        (None, None),
        (["C"], None),
        ("C is for cake", None),
        ("Cake", None),
        ("", None),
        ("9" * 400, None),
    ],
)
def test_examples(choice: object, index: int | None) -> None:
    assert chosen(choice, OPTIONS) == index


def test_equal_options_are_one_answer() -> None:
    assert chosen("(E) happy", ("sad", "x", "y", "happy", "happy")) == 4
    assert chosen("happy", ("sad", "x", "y", "happy", "happy")) == 3


def test_without_options_numbers_and_letters_are_taken_as_they_are() -> None:
    assert [chosen(choice, ()) for choice in (3, "3", "D", "(D) anything", "run")] == [3, 3, 3, 3, None]


@given(
    st.integers(0, 4), st.sampled_from(["{}", "({})", "{}.", "{})", "Answer: {}", "({}) {{}}", "{}. {{}}"])
)
def test_every_form_of_every_letter(index: int, form: str) -> None:
    options = ("a dog", "a cat", "two cows", "nobody", "it rains")
    text = form.format("ABCDE"[index])
    assert chosen(text.format(options[index]), options) == index


@given(st.text(max_size=20))
def test_any_text_is_answered_without_an_error(text: str) -> None:
    assert chosen(text, OPTIONS) in (None, 0, 1, 2, 3, 4)
