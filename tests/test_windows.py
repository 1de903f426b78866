"""Overlaps by hand and by property."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videoexpert import windows as intervals

NUMBERS = st.floats(allow_nan=True, allow_infinity=True)
SECONDS = st.floats(0, 1000, allow_nan=False)
WINDOWS = st.tuples(SECONDS, SECONDS).map(lambda pair: np.array(sorted(pair)))


def window(start: float, end: float) -> np.ndarray:
    return np.array([start, end], float)


@pytest.mark.parametrize(
    ("predicted", "truth", "iou", "iop"),
    [
        ((0, 10), (0, 10), 1.0, 1.0),
        ((0, 10), (5, 15), 5 / 15, 0.5),
        ((2, 4), (0, 10), 0.2, 1.0),  # inside: all of the prediction proves, a fifth of the truth is found
        ((0, 10), (10, 20), 0.0, 0.0),  # touching
        ((0, 4), (6, 10), 0.0, 0.0),
        ((5, 5), (0, 10), 0.0, 1.0),  # a point inside
        ((10, 10), (0, 10), 0.0, 1.0),  # on the end
        ((11, 11), (0, 10), 0.0, 0.0),
        ((8, 2), (0, 10), 0.0, 0.0),  # reversed
    ],
)
def test_by_hand(predicted: tuple, truth: tuple, iou: float, iop: float) -> None:
    p, g = window(*predicted), window(*truth)
    assert intervals.clean(intervals.hull_iou(p, g), p, g) == pytest.approx(iou)
    assert intervals.clean(intervals.union_iou(p, g), p, g) == pytest.approx(iou)
    assert intervals.clean(intervals.iop(p, g), p, g) == pytest.approx(iop)


def test_raw_overlap_of_the_same_point_is_nan_and_cleaned_to_zero() -> None:
    p = window(3, 3)
    assert np.isnan(intervals.hull_iou(p, p))
    assert np.isnan(intervals.union_iou(p, p))
    assert intervals.clean(intervals.union_iou(p, p), p, p) == 0


def test_reversed_truth_makes_the_union_nan() -> None:
    """The right window with its ends exchanged: union 0, which the official scorer counts as a hit."""
    p, g = window(20, 10), window(10, 20)
    assert np.isnan(intervals.union_iou(p, g))
    assert intervals.clean(intervals.union_iou(p, g), p, g) == 0


@given(st.tuples(NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS))
def test_cleaned_overlaps_are_in_zero_one_whatever_comes(predicted: tuple, truth: tuple) -> None:
    p, g = window(*predicted), window(*truth)
    with np.errstate(all="ignore"):
        for overlap in (intervals.hull_iou(p, g), intervals.union_iou(p, g), intervals.iop(p, g)):
            assert 0 <= intervals.clean(overlap, p, g) <= 1


@given(WINDOWS, WINDOWS)
def test_both_ious_agree_and_are_symmetric(p: np.ndarray, g: np.ndarray) -> None:
    hull = intervals.clean(intervals.hull_iou(p, g), p, g)
    union = intervals.clean(intervals.union_iou(p, g), p, g)
    if p[1] - p[0] > 1e-3 and g[1] - g[0] > 1e-3:
        assert hull == pytest.approx(union, abs=1e-9)
    assert hull == intervals.clean(intervals.hull_iou(g, p), g, p)


@pytest.mark.parametrize(
    ("a", "b", "shared", "iou"),
    [
        ((0, 10), (0, 10), 10, 1),
        ((0, 10), (5, 15), 5, 1 / 3),
        ((0, 10), (20, 30), 0, 0),
        ((5, 5), (5, 5), 0, 1),
        ((5, 5), (6, 6), 0, 0),
        ((5, 5), (0, 10), 0, 0),
    ],
)
def test_plain_numbers_by_hand(a: tuple, b: tuple, shared: float, iou: float) -> None:
    assert intervals.shared_s(a, b) == shared
    assert intervals.iou(a, b) == pytest.approx(iou)


@given(WINDOWS, WINDOWS)
def test_arrays_and_plain_numbers_and_tensors_agree(a: np.ndarray, b: np.ndarray) -> None:
    assert float(intervals.ious(a, b)) == intervals.iou(a.tolist(), b.tolist())
    assert float(intervals.hull(a, b)) == max(a[1], b[1]) - min(a[0], b[0])
    tensors = torch.from_numpy(a), torch.from_numpy(b)
    for measure in (intervals.intersection, intervals.hull):
        assert float(measure(*tensors)) == float(measure(a, b))


def test_plain_numbers_need_no_numpy() -> None:
    code = "import sys; from videoexpert import windows; windows.iou((0, 1), (0, 2)); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
