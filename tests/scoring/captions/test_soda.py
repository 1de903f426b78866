"""SODA's assignment and IoU, on matrices worked by hand and by properties; no Java."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from videoexpert.scoring.captions.soda import best_ordered_sum, f1_score, iou_matrix, soda

sizes = st.tuples(st.integers(1, 5), st.integers(1, 5))
matrices = sizes.flatmap(lambda shape: hnp.arrays(np.float64, shape, elements=st.floats(0, 1)))
spans = st.lists(
    st.tuples(st.floats(0, 50), st.floats(0, 50)).map(lambda s: tuple(sorted(s))), min_size=1, max_size=5
)


def exhaustive_sum(matrix: np.ndarray) -> float:
    """Best over every choice of equally many rows and columns, paired in order."""
    rows, columns = matrix.shape
    return max(
        sum(matrix[i, j] for i, j in zip(chosen_rows, chosen_columns, strict=True))
        for k in range(min(rows, columns) + 1)
        for chosen_rows in itertools.combinations(range(rows), k)
        for chosen_columns in itertools.combinations(range(columns), k)
    )


def test_crossing_assignment_is_not_allowed():
    # the two 0.9 cross; the best ordered choice is the diagonal, or one of them
    assert best_ordered_sum(np.array([[0.3, 0.9], [0.9, 0.4]])) == pytest.approx(0.9)
    assert best_ordered_sum(np.array([[0.6, 0.9], [0.9, 0.5]])) == pytest.approx(1.1)


def test_scores_by_hand():
    # best pairing: row 0 with column 0, row 2 with column 1
    score = soda(np.array([[0.5, 0.0], [0.2, 0.1], [0.0, 0.4]]))
    assert score.precision == pytest.approx(0.9 / 3)
    assert score.recall == pytest.approx(0.9 / 2)
    assert score.f1 == pytest.approx(2 * 0.3 * 0.45 / 0.75)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (0, 0)])
def test_empty_lists_score_zero(shape):
    assert soda(np.zeros(shape)).f1 == 0


def test_perfect_is_one():
    assert soda(np.eye(4)).f1 == 1


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match=r"\(P, G\).*\(3,\)"):
        best_ordered_sum(np.ones(3))


@given(matrices)
def test_dynamic_programming_equals_exhaustive_search(matrix):
    assert best_ordered_sum(matrix) == pytest.approx(exhaustive_sum(matrix))


@given(matrices)
def test_scores_are_bounded(matrix):
    score = soda(matrix)
    assert 0 <= score.precision <= 1
    assert 0 <= score.recall <= 1
    assert min(score.precision, score.recall) <= score.f1 + 1e-12
    assert score.f1 <= max(score.precision, score.recall) + 1e-12


@given(matrices, st.data())
def test_a_better_pair_never_lowers_the_score(matrix, data):
    i = data.draw(st.integers(0, matrix.shape[0] - 1))
    j = data.draw(st.integers(0, matrix.shape[1] - 1))
    better = matrix.copy()
    better[i, j] = 1.0
    assert soda(better).f1 >= soda(matrix).f1 - 1e-12


@given(matrices)
def test_a_useless_prediction_lowers_precision_only(matrix):
    longer = np.vstack([matrix, np.zeros((1, matrix.shape[1]))])
    before, after = soda(matrix), soda(longer)
    assert after.recall == pytest.approx(before.recall)
    assert after.precision <= before.precision


@pytest.mark.parametrize(
    ("predicted", "reference", "expected"),
    [
        ((0, 10), (5, 15), 5 / 15),
        ((0, 10), (20, 30), 0),
        ((0, 10), (2, 4), 2 / 10),
        ((10, 0), (0, 10), 0),  # reversed
        ((5, 5), (5, 5), 0),  # zero length
        ((10, 0), (8, 2), 0),  # both reversed
    ],
)
def test_iou_by_hand(predicted, reference, expected):
    assert iou_matrix([predicted], [reference])[0, 0] == pytest.approx(expected, abs=1e-8)


def test_iou_of_exactly_a_threshold_lies_just_below_it():
    ious = iou_matrix([(0, 5), (0, 3)], [(0, 10)])[:, 0]
    assert ious[0] < 0.5
    assert ious[1] < 0.3
    assert ious == pytest.approx([0.5, 0.3], abs=1e-8)


@given(spans, spans)
def test_iou_is_symmetric_and_bounded(first, second):
    iou = iou_matrix(first, second)
    assert iou.shape == (len(first), len(second))
    assert iou == pytest.approx(iou_matrix(second, first).T)
    assert (iou >= 0).all()
    assert (iou < 1).all()


@given(st.floats(0, 1), st.floats(0, 1))
def test_f1_lies_between_its_parts(precision, recall):
    assert min(precision, recall) - 1e-12 <= f1_score(precision, recall) <= max(precision, recall) + 1e-12
