"""Derived scores, by hand."""

from __future__ import annotations

import math

import pytest

from videoexpert.backends.chat.answers import Span
from videoexpert.backends.chat.scores import agreement_scores, digit_scores
from videoexpert.backends.chat.talk import Reply, chances_of


def reply(*pieces):
    return Reply("".join(text for text, _ in pieces), chances_of(pieces))


def test_each_moment_gets_the_mean_over_the_tokens_of_its_times():
    said = reply(
        ("[[", -9),
        ("1", -0.1),
        (".", -0.2),
        ("5", -0.3),
        (", ", -9),
        ("4", -0.4),
        ("], [6, 8]", -1.0),
        ("]", -9),
    )
    scores = digit_scores(said, [Span(1.5, 4), Span(6, 8)], 10)
    assert scores == pytest.approx([math.exp(-0.25), math.exp(-1.0)])


def test_clamped_times_are_those_that_were_written():
    said = reply(("[[", 0), ("2", -0.5), (", ", 0), ("99", -1.5), ("]]", 0))
    assert digit_scores(said, [Span(2, 10)], 10) == pytest.approx([math.exp(-1.0)])


def test_numbers_of_thoughts_do_not_count():
    said = reply(
        ("<think>", 0), ("3", -5), (" to ", 0), ("7", -5), ("</think>", 0), ("3", -1), (" - ", 0), ("7", -1)
    )
    assert digit_scores(said, [Span(3, 7)], 10) == pytest.approx([math.exp(-1.0)])


def test_a_merged_moment_gets_the_mean_over_all_times():
    said = reply(("1", -0.2), (" - ", 0), ("2", -0.4), (", ", 0), ("2", -0.6), (" - ", 0), ("3", -0.8))
    # neither 1.2 nor 2.8 was written
    assert digit_scores(said, [Span(1.2, 2.8)], 10) == pytest.approx([math.exp(-0.5)])


def test_without_log_probabilities_there_are_no_scores():
    assert digit_scores(Reply("[[1, 2]]"), [Span(1, 2)], 10) is None


def test_agreement_is_the_mean_best_overlap():
    samples = [[Span(0, 4)], [Span(2, 6), Span(8, 9)], []]
    assert agreement_scores([Span(0, 4), Span(8, 9)], samples) == pytest.approx([(1 + 1 / 3 + 0) / 3, 1 / 3])
    assert agreement_scores([Span(0, 4)], []) == [0.0]
