"""Measures of the bias probe: by hand, and as properties of predictors whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.evaluation.bias import measures as bias


def windows(*pairs):
    return np.array(pairs, dtype=float).reshape(-1, 2)


def random_windows(rng, count):
    return np.sort(rng.random((count, 2)), axis=1)


def world(seed: int = 0, count: int = 60, a_video: int = 3):
    """Annotated windows (Q, 2), as a list of one each too, and videos (Q,): moments that the video decides."""
    rng = np.random.default_rng(seed)
    truth = random_windows(rng, count * a_video)
    return truth, [one[None] for one in truth], np.repeat(np.arange(count), a_video)


def test_repetition_by_hand():
    given = windows((0.1, 0.2), (0.1, 0.2), (0.1, 0.2), (0.5, 1.0), (0.5, 1.0), (0.301, 0.4), (0.299, 0.4))
    videos = np.array([0, 0, 1, 2, 2, 3, 4])
    found = bias.repetition(given, videos)
    # 10-20 on videos 0 and 1: three queries; 50-100 on video 2 alone: none; 30-40 on videos 3 and 4: two
    assert found["repeated"] == pytest.approx(5 / 7)
    assert found["most_frequent"] == {"share": pytest.approx(3 / 7), "window": [10, 20]}
    assert found["distinct"] == 3


def test_distance_by_hand():
    truth = [windows((0.0, 0.15)), windows((0.0, 0.15)), windows((0.5, 0.95)), windows((0.5, 0.95))]
    assert bias.distance(windows((0.09, 0.19), (0.0, 0.1), (0.5, 1.0), (0.59, 0.91)), truth) == 0.0
    # one of four predictions in another cell moves a quarter of the weight
    assert bias.distance(windows((0.0, 0.15), (0.0, 0.15), (0.5, 0.95), (0.2, 0.95)), truth) == 0.25
    assert bias.distance(windows(*[(0.3, 0.4)] * 4), truth) == 1.0
    # two windows of one query share its weight; a query without any is left out
    several = [windows((0.0, 0.15), (0.5, 0.95)), windows()]
    assert bias.distance(windows((0.0, 0.15), (0.7, 0.8)), several) == 0.5
    assert bias.distance(windows((0.0, 0.1)), [windows()]) is None


def test_bits_by_hand():
    assert bias.bits(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(1.0)
    assert bias.bits(np.array([[3.0, 3.0], [1.0, 1.0]])) == pytest.approx(0.0)
    # p(row) = 3/4, 1/4; p(column) = 1/2, 1/2; joint 1/2, 1/4, 0, 1/4
    expected = -(0.75 * math.log2(0.75) + 0.25 * math.log2(0.25)) + 1.0 - 1.5
    assert bias.bits(np.array([[2.0, 1.0], [0.0, 1.0]])) == pytest.approx(expected)


def test_information_about_the_moment_by_hand(monkeypatch):
    """Two queries, two windows: told apart, 1 bit; dealt in either order it is 1 bit: chance tells as much."""
    given = windows((0.0, 0.1), (0.8, 0.9))
    assert bias.moment_information(given, [windows((0.5, 0.6)), windows((0.3, 0.9))]) is None
    # four queries, two windows each twice: 1 bit, and by chance 1 bit in 2 of 6 orders, 0 in the other 4
    given = windows((0.0, 0.1), (0.0, 0.1), (0.8, 0.9), (0.8, 0.9))
    truth = [windows((0.5, 0.6))] * 2 + [windows((0.3, 0.9))] * 2
    monkeypatch.setattr(bias, "PERMUTATIONS", 5000)
    found = bias.moment_information(given, truth)
    assert found["bits"] == pytest.approx(1 - 1 / 3, abs=0.03)
    assert found["sd"] == pytest.approx(math.sqrt(1 / 3 * 2 / 3), abs=0.03)
    assert bias.moment_information(given[:1], truth[:1]) is None


def test_information_about_the_video_by_hand(monkeypatch):
    """Three videos of two queries whose answers agree, three different answers: log2(3) bits in pairs."""
    videos = np.array([0, 0, 1, 1, 2, 2])
    given = windows(*[(0.0, 0.1)] * 2, *[(0.4, 0.6)] * 2, *[(0.8, 0.9)] * 2)
    monkeypatch.setattr(bias, "PERMUTATIONS", 20000)
    # Of the 15 ways to pair six answers, by the number of pairs that agree: 3 in 1 way, 1 in 6 ways (then two
    # pairs hold the other two answers both), 0 in 8 ways (then each two answers meet once).
    one = np.array([[2, 0, 0], [0, 0, 2], [0, 2, 0]], dtype=float)
    none = np.ones((3, 3)) - np.eye(3)
    chance = (1 * math.log2(3) + 6 * bias.bits(one) + 8 * bias.bits(none)) / 15
    found = bias.video_information(given, videos)
    assert found["bits"] == pytest.approx(math.log2(3) - chance, abs=0.01)
    assert bias.video_information(given, np.arange(6)) is None  # no video with two answers


def test_a_query_weighs_the_same_however_many_its_video_has(monkeypatch):
    """One video with three queries: six ordered pairs, each of weight 1/2."""
    tables = []
    monkeypatch.setattr(bias, "bits", lambda joint: tables.append(joint) or 0.0)
    given = windows((0.0, 0.1), (0.0, 0.1), (0.8, 0.9), (0.4, 0.6), (0.4, 0.6))
    bias.video_information(given, np.array([7, 7, 7, 8, 8]))
    joint = tables[-1]  # of the true order, which is asked for last
    first, middle, last = bias.cells(windows((0.0, 0.1), (0.4, 0.6), (0.8, 0.9)), bias.INFORMATION_CELLS)
    assert joint.sum() == pytest.approx(5.0)
    assert joint[middle, middle] == pytest.approx(2.0)
    assert joint[first, first] == pytest.approx(1.0)  # two ordered pairs of weight 1/2
    assert joint[first, last] == joint[last, first] == pytest.approx(1.0)
    assert joint[last, last] == 0.0


def test_a_constant_predictor():
    truth, annotated, videos = world()
    found = bias.measure(np.tile([0.2, 0.6], (len(truth), 1)), annotated, videos)
    assert (found["repeated"], found["most_frequent"]["share"], found["distinct"]) == (1.0, 1.0, 1)
    for name in ("moment_bits", "video_bits"):  # it tells nothing, and that is known, not undefined
        assert found[name] == {"bits": 0.0, "sd": 0.0}
    assert found["distance"] > 0.9


def test_nothing_to_tell_is_none():
    """Where no system could show that it looks, there are no bits, not 0 of them."""
    truth, annotated, _ = world()
    for found in (truth, np.tile([0.2, 0.6], (len(truth), 1))):
        one_video = bias.measure(found, annotated, np.zeros(len(truth), dtype=np.int64))
        assert one_video["video_bits"] is None
        alike = [windows((0.3, 0.4), (0.8, 0.9))] * len(truth)
        assert bias.moment_information(found, alike) is None
    # one video has two answers, the others one: no second video to tell it from
    assert bias.video_information(truth[:4], np.array([0, 0, 1, 2])) is None
    # six answers in six cells make pairs that tell each other whole, whoever they are dealt to
    videos = np.array([0, 0, 1, 1, 2, 2])
    apart = windows(*[(a, b) for a in (0.1, 0.3, 0.6) for b in (0.7, 0.8)])
    assert bias.video_information(apart, videos) is None
    assert bias.video_information(apart[[0, 0, 1, 2, 3, 4]], videos)["sd"] > 0


def test_words_alone_tell_of_the_moment():
    """A guesser that never sees a video, on sentences that say where: it is not the video that shows in the bits."""
    rng = np.random.default_rng(5)
    word = rng.integers(0, 3, 300)
    start = np.array([0.05, 0.4, 0.7])[word] + rng.uniform(0, 0.05, 300)
    truth = np.stack([start, start + 0.2], axis=1)
    guess = np.array([(0.05, 0.25), (0.4, 0.6), (0.7, 0.9)])[word]
    assert bias.moment_information(guess, [one[None] for one in truth])["bits"] > 1.0


def test_copies_of_the_truth():
    truth, annotated, videos = world()
    found = bias.measure(truth, annotated, videos)
    assert found["distance"] == 0.0
    assert found["moment_bits"]["bits"] > 20 * found["moment_bits"]["sd"] > 0
    assert found["answered"] == len(truth)
    assert bias.overlap(truth, truth) == 1.0


@pytest.mark.parametrize("seed", range(4))
def test_who_ignores_the_video_carries_no_information(seed):
    """Random windows, and shuffled copies of the truth, which are distributed like it."""
    truth, annotated, videos = world(seed)
    rng = np.random.default_rng(100 + seed)
    guesses = (random_windows(rng, len(truth)), truth[rng.permutation(len(truth))])
    for guess, apart in zip(guesses, (False, True), strict=True):
        found = bias.measure(guess, annotated, videos)
        for name in ("moment_bits", "video_bits"):
            assert abs(found[name]["bits"]) < 4 * found[name]["sd"], name
        assert (found["distance"] == 0.0) == apart


@pytest.mark.parametrize("alike", [True, False])
def test_who_uses_the_video_carries_information_about_it(alike):
    """Answers of one video that resemble each other, and answers that keep apart, as consecutive events do."""
    rng = np.random.default_rng(3)
    videos = np.repeat(np.arange(150), 3)
    if alike:
        middle = np.repeat(rng.random(150) * 0.8 + 0.1, 3) + rng.normal(0, 0.02, 450)
    else:
        middle = np.concatenate([rng.permutation([0.15, 0.5, 0.85]) for _ in range(150)])
        middle += rng.normal(0, 0.05, 450)
    given = np.clip(np.stack([middle - 0.1, middle + 0.1], axis=1), 0, 1)
    found = bias.video_information(given, videos)
    assert found["bits"] > 10 * found["sd"] > 0


def test_noise_costs_information_and_the_same_seed_gives_the_same():
    truth, annotated, videos = world()
    rng = np.random.default_rng(0)
    told = []
    for noise in (0.0, 0.05, 0.2, 1.0):
        guess = np.sort(np.clip(truth + rng.normal(0, noise, truth.shape), 0, 1), axis=1)
        told.append(bias.measure(guess, annotated, videos)["moment_bits"]["bits"])
    assert told == sorted(told, reverse=True)
    assert told[0] > 2 * told[2]
    assert bias.measure(truth, annotated, videos) == bias.measure(truth, annotated, videos)


def test_overlap_by_hand():
    first = windows((0.0, 0.5), (0.2, 0.2), (0.0, 1.0), (0.6, 0.4), (math.nan, math.nan))
    other = windows((0.25, 0.75), (0.2, 0.2), (math.nan, math.nan), (0.0, 1.0), (0.0, 1.0))
    # a third, the same point, not in both, reversed, not in both
    assert bias.overlap(first, other) == pytest.approx((1 / 3 + 1.0 + 0.0) / 3)
    assert bias.overlap(windows((math.nan, math.nan)), windows((0.0, 1.0))) is None


def test_chance_distance_falls_with_the_number_of_queries():
    few, many = (world(count=n)[1] for n in (5, 200))
    assert 0 < bias.chance_distance(many) < bias.chance_distance(few) < 1
    assert bias.chance_distance([windows((0.1, 0.2))] * 9) == 0.0
    assert bias.chance_distance([windows()]) is None


def test_nothing_is_answered():
    annotated = [windows((0.1, 0.2)), windows((0.3, 0.4))]
    found = bias.measure(np.full((2, 2), np.nan), annotated, np.array([0, 1]))
    assert found == {
        "answered": 0,
        "outside": 0,
        "repeated": None,
        "most_frequent": None,
        "distinct": 0,
        "distance": None,
        "moment_bits": None,
        "video_bits": None,
    }


def test_which_windows_lie_outside():
    past = windows((0.2, 1.3), (1.0, 1.3), (1.1, 1.3), (1.0, 1.0), (0.9, 1.004), (1.0, 1.004))
    before = windows((-0.3, 0.2), (-0.3, 0.0), (-0.3, -0.1), (0.0, 0.0), (-0.004, 0.1), (-0.004, 0.0))
    for each in (past, before, past[:, ::-1], before[:, ::-1]):
        assert bias.wholly_outside(each).tolist() == [False, True, True, False, False, False]
        assert bias.partly_outside(each).tolist() == [True, False, False, False, False, False]
    assert bias.within(past).tolist() == [[0.2, 1.0], [1.0, 1.0], [0.9, 1.0], [1.0, 1.0]]
    assert len(bias.within(windows())) == 0


def test_windows_wholly_outside_repeat_nothing():
    """Milliseconds: different windows, every one past the end."""
    truth, annotated, videos = world()
    found = bias.measure(truth * 1000 + 1.5, annotated, videos)
    assert (found["answered"], found["outside"]) == (len(truth), len(truth))
    assert (found["repeated"], found["most_frequent"], found["distance"]) == (None, None, None)
    mixed = truth.copy()
    mixed[::3] = mixed[::3] * 1000 + 1.5
    found, kept = bias.measure(mixed, annotated, videos), np.arange(len(truth)) % 3 > 0
    alone = bias.measure(truth[kept], [a for a, k in zip(annotated, kept, strict=True) if k], videos[kept])
    assert (found["answered"], found["outside"]) == (len(truth), len(truth) // 3)
    assert {k: v for k, v in found.items() if k not in ("answered", "outside")} == {
        k: v for k, v in alone.items() if k not in ("answered", "outside")
    }


def test_windows_past_the_video_lie_on_its_edge():
    past = bias.measure(windows((-0.2, 1.7)), [windows((0.0, 1.2))], np.array([0]))
    assert past["most_frequent"]["window"] == [0, 100]
    assert past["distance"] == 0.0


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 25), st.integers(1, 4), st.integers(0, 10**6))
def test_bounds_and_order(count, a_video, seed):
    """Shares and distances lie in [0, 1], and the order of queries and names of videos change nothing."""
    rng = np.random.default_rng(seed)
    guess = np.round(random_windows(rng, count * a_video), 1)
    guess[rng.random(len(guess)) < 0.2] = np.nan
    annotated = [random_windows(rng, rng.integers(0, 3)) for _ in guess]
    videos = np.repeat(np.arange(count), a_video)
    found = bias.measure(guess, annotated, videos)
    for name in ("repeated", "distance"):
        assert found[name] is None or 0 <= found[name] <= 1
    assert found["distinct"] <= found["answered"] <= len(guess)
    order = rng.permutation(len(guess))
    again = bias.measure(guess[order], [annotated[i] for i in order], 1000 - videos[order])
    for name in ("answered", "repeated", "distinct"):
        assert again[name] == found[name]
    assert again["distance"] == pytest.approx(found["distance"], abs=1e-12)
