"""CIDEr from its formula: a case worked by hand, and properties; no Java."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.scoring.captions.cider import cider

sentences = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=6).map(tuple)
corpora = st.lists(st.tuples(sentences, sentences), min_size=1, max_size=5)


def scores(rows):
    return cider([h for h, _ in rows], [[r] for _, r in rows])


def test_hand_case():
    # Two documents: "a b" and "c d". All n-grams of the first hypothesis "a b" have df 1, weight log 2:
    # cosine 1 for n = 1 and 2, no n-gram for n = 3 and 4, equal length: 10 * (1 + 1) / 4 = 5.
    # The second hypothesis "c e": for n = 1 "c" matches, both have two unigrams of weight log 2 ("e", unseen,
    # weighs log 2 too), cosine 1/2; "c e" matches no bigram; one bigram each: 10 * 0.5 / 4 = 1.25.
    assert scores([(("a", "b"), ("a", "b")), (("c", "e"), ("c", "d"))]) == pytest.approx([5.0, 1.25])


def test_length_penalty_counts_bigrams():
    # 5 tokens against 2: 4 - 1 = 3 bigrams more; unigram "a" matches, norms sqrt(5) and sqrt(2) times log 2
    rows = [(("a", "v", "w", "x", "y"), ("a", "b")), (("q",), ("c", "d"))]
    cosine = 1 / math.sqrt(5 * 2)
    assert scores(rows)[0] == pytest.approx(10 * cosine / 4 * math.exp(-9 / 72))


def test_repeated_words_are_clipped():
    # "a a" against "a b": unigram weight of "a" is min(2, 1) log 2; norms 2 log 2 and sqrt(2) log 2
    rows = [(("a", "a"), ("a", "b")), (("q",), ("c", "d"))]
    assert scores(rows)[0] == pytest.approx(10 * (1 / (2 * math.sqrt(2))) / 4)


def test_words_of_every_reference_weigh_nothing():
    assert scores([(("a",), ("a",)), (("a",), ("a",))]) == [0.0, 0.0]


def test_a_single_pair_scores_zero():
    assert scores([(("a", "b", "c"), ("a", "b", "c"))]) == [0.0]


def test_several_references_are_averaged():
    hypothesis, other = ("a", "b"), ("x", "y")
    both = cider([hypothesis, ("c",)], [[hypothesis, other], [("d",)]])
    assert both[0] == pytest.approx(5.0 / 2)  # 5 with the first (as in the hand case), 0 with the second


def test_empty_captions_and_empty_corpus():
    assert cider([], []) == []
    assert scores([((), ("a",)), (("a",), ())]) == [0.0, 0.0]


def test_lengths_must_agree():
    with pytest.raises(ValueError, match="2 hypotheses but 1"):
        cider([("a",), ("b",)], [[("a",)]])
    with pytest.raises(ValueError, match="at least one reference"):
        cider([("a",)], [[]])


@given(corpora)
def test_scores_lie_from_0_to_10(rows):
    assert all(0 <= score <= 10 + 1e-9 for score in scores(rows))


@given(corpora)
def test_a_row_scores_the_same_wherever_it_stands(rows):
    assert scores(rows[::-1]) == pytest.approx(scores(rows)[::-1])


def test_identical_captions_of_four_distinct_words_score_10():
    rows = [(tuple("abcd"), tuple("abcd")), (tuple("efgh"), tuple("efgh"))]
    assert scores(rows) == pytest.approx([10.0, 10.0])
