"""Curves by hand and as properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.backends.training_free.signal import (
    box_cox,
    contrast,
    moving_average,
    moving_median,
    overlaps,
    rescale,
    settle,
    standing_out,
    stretches,
)

CURVE = np.array([0.0, 0.0, 1.0, 1.0, 0.0])


def windows(*pairs):
    return np.array(pairs, dtype=np.int64)


def test_contrast_by_hand():
    found = contrast(CURVE, windows((2, 4), (1, 3), (2, 3), (0, 5), (0, 2)))
    assert found == pytest.approx([1.0, 0.5 - 1 / 3, 1 - 0.25, 0.0, -2 / 3])


def test_standing_out_by_hand():
    share = 2 / 5
    assert standing_out(CURVE, windows((2, 4))) == pytest.approx([(share * (1 - share)) ** 0.3])


def test_moving_average_and_median_by_hand():
    assert moving_average(np.array([3.0, 0.0, 0.0, 6.0]), 3) == pytest.approx([1.5, 1.0, 2.0, 3.0])
    assert moving_average(CURVE, 1) == pytest.approx(CURVE)
    rows = np.array([[1.0, 0.0], [3.0, 2.0]])
    assert moving_average(rows, 3) == pytest.approx(np.array([[2.0, 1.0], [2.0, 1.0]]))
    assert moving_median(np.array([0.0, 9.0, 0.0, 1.0, 1.0]), 3) == pytest.approx([0, 0, 1, 1, 1])


def test_stretches_and_overlaps_by_hand():
    assert stretches(np.array([True, True, False, True])).tolist() == [[0, 2], [3, 4]]
    assert stretches(np.zeros(3, dtype=bool)).tolist() == []
    pair = windows((0, 4), (2, 6))
    assert overlaps(pair, pair) == pytest.approx(np.array([[1, 2 / 6], [2 / 6, 1]]))


def test_rescale_keeps_flat_curves_flat():
    assert rescale(np.array([2.0, 4.0, 3.0]), 0.5) == pytest.approx([0, 1, 0.5])
    assert rescale(np.array([2.0, 2.1]), 0.5) == pytest.approx([0, 0.2])


def test_settle_finds_the_edges_within_reach():
    assert settle(CURVE, windows((1, 4), (3, 5), (2, 4)), 1).tolist() == [[2, 4]] * 3
    far = np.r_[np.zeros(10), np.ones(4), np.zeros(10)]
    assert settle(far, windows((5, 14)), 2).tolist() == [[7, 14]]  # as near as it may go


def test_box_cox_takes_the_likeliest_power():
    values = np.random.default_rng(0).uniform(size=300) ** 0.4  # few low ones, many high ones
    x = (values - values.min()) / (values.max() - values.min()) + 1

    def likelihood(power):  # of the transformed values under the normal that fits them, times the Jacobian
        y = (x**power - 1) / power
        density = -0.5 * ((y - y.mean()) ** 2 / y.var() + np.log(2 * np.pi * y.var()))
        return density.sum() + ((power - 1) * np.log(x)).sum()

    powers = np.arange(0.01, 5, 0.01)
    best = powers[int(np.argmax([likelihood(power) for power in powers]))]
    assert 1.5 < best < 4.9
    assert box_cox(values) == pytest.approx((x**best - 1) / best, abs=0.02)
    assert box_cox(np.full(4, 0.3)).tolist() == [0.0] * 4


@given(st.lists(st.floats(-1, 1), min_size=3, max_size=40))
def test_box_cox_keeps_the_order(values):
    curve = np.array(values)
    found = box_cox(curve)
    assert np.isfinite(found).all()
    order = np.argsort(curve, kind="stable")
    assert (np.diff(found[order]) >= -1e-9).all()


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=30), st.data())
def test_contrast_is_what_two_means_give(values, data):
    curve = np.array(values)
    first = data.draw(st.integers(0, len(curve) - 1))
    end = data.draw(st.integers(first + 1, len(curve)))
    inside, outside = curve[first:end], np.r_[curve[:first], curve[end:]]
    expected = inside.mean() - outside.mean() if len(outside) else 0.0
    assert contrast(curve, windows((first, end)))[0] == pytest.approx(expected, abs=1e-9)
