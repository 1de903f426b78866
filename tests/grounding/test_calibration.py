"""Calibration: known answers, degenerate sets, properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.errors import InputError
from videoexpert.grounding.calibration import (
    Calibration,
    auc,
    expected_calibration_error,
    fit,
    presence,
)


def test_calibration_by_hand() -> None:
    prob = Calibration(temperature=2.0, bias=-1.0)(torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(prob, torch.tensor([0.5, 1 / (1 + math.exp(-1))]))
    with pytest.raises(InputError, match="temperature is 0"):
        Calibration(temperature=0.0)


def sample(temperature: float, bias: float, count: int = 20_000) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels drawn so that sigmoid(logit / temperature + bias) is the true probability."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(count, generator=generator) * 4
    truth = torch.sigmoid(logits / temperature + bias)
    return logits, torch.rand(count, generator=generator) < truth


@pytest.mark.parametrize(("temperature", "bias"), [(1.0, 0.0), (3.0, -1.0), (0.5, 0.7)])
def test_fit_finds_the_generating_numbers(temperature: float, bias: float) -> None:
    logits, labels = sample(temperature, bias)
    found = fit(logits, labels)
    assert found.temperature == pytest.approx(temperature, rel=0.08)
    assert found.bias == pytest.approx(bias, abs=0.1)
    assert fit(logits, labels) == found
    assert expected_calibration_error(found(logits), labels) < 0.02
    if temperature != 1.0:
        raw = expected_calibration_error(logits.sigmoid(), labels)
        assert expected_calibration_error(found(logits), labels) < raw / 2


def test_fit_of_half_equal_logits_is_the_smoothed_share() -> None:
    """Without information the best constant is the mean of Platt's targets: 3 of 4 positive, 4/5 and 1/3."""
    prob = fit(torch.zeros(4), torch.tensor([1, 1, 1, 0]))(torch.zeros(1))
    assert prob.item() == pytest.approx((3 * 4 / 5 + 1 / 3) / 4, abs=1e-4)


@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        ([-2.0, -1.0, 1.0, 2.0], [0, 0, 1, 1]),  # separated
        ([-2.0, 3.0], [1, 1]),  # one class
        ([1.0, 2.0, 3.0], [0, 0, 0]),
        ([0.5], [1]),
        ([-1e4, 1e4, 5.0], [0, 1, 1]),
    ],
)
def test_fit_of_degenerate_sets_is_finite(logits: list, labels: list) -> None:
    found = fit(torch.tensor(logits), torch.tensor(labels))
    assert math.isfinite(found.bias)
    assert 0 < found.temperature < math.inf
    prob = found(torch.tensor(logits))
    assert prob.isfinite().all()
    assert (prob.mean() > 0.5) == (sum(labels) * 2 > len(labels)) or sum(labels) * 2 == len(labels)


def test_fit_never_reverses_the_ranking() -> None:
    logits = torch.linspace(-3, 3, 50)
    found = fit(logits, logits < 0)
    prob = found(logits)
    assert (prob.diff() >= 0).all()
    assert prob.max() - prob.min() < 0.05


def test_fit_accepts_soft_labels() -> None:
    logits = torch.linspace(-4, 4, 1000)
    found = fit(logits, torch.sigmoid(logits / 2))
    assert found.temperature == pytest.approx(2.0, rel=0.05)


def test_fit_refuses_what_it_cannot_use() -> None:
    with pytest.raises(InputError, match="one equal length"):
        fit(torch.zeros(0), torch.zeros(0))
    with pytest.raises(InputError, match="one equal length"):
        fit(torch.zeros(3), torch.zeros(2))
    with pytest.raises(InputError, match="finite"):
        fit(torch.tensor([math.nan]), torch.ones(1))


@settings(deadline=None, max_examples=30)
@given(st.lists(st.tuples(st.floats(-20, 20, width=32), st.booleans()), min_size=1, max_size=40))
def test_fitted_calibration_is_monotone(pairs: list) -> None:
    logits = torch.tensor([logit for logit, _ in pairs])
    found = fit(logits, torch.tensor([label for _, label in pairs]))
    prob = found(logits.sort().values)
    assert (prob.diff() >= 0).all()


def test_calibration_error_by_hand() -> None:
    prob = torch.tensor([0.9, 0.9, 0.1, 0.1])
    assert expected_calibration_error(prob, torch.tensor([1, 1, 0, 0])) == pytest.approx(0.1)
    assert expected_calibration_error(prob, torch.tensor([1, 0, 0, 0])) == pytest.approx((0.8 + 0.2) / 4)
    assert expected_calibration_error(torch.tensor([0.0, 1.0]), torch.tensor([0, 1])) == 0.0
    # one bin: only the overall rate counts
    one_bin = expected_calibration_error(torch.tensor([0.2, 0.8]), torch.tensor([1, 0]), bins=1)
    assert one_bin == pytest.approx(0, abs=1e-6)


def test_presence_is_the_best_frame() -> None:
    assert presence(torch.tensor([[0.1, 0.7, 0.2], [0.3, 0.1, 0.0]])).tolist() == pytest.approx([0.7, 0.3])


def test_auc_by_hand() -> None:
    scores = torch.tensor([0.1, 0.4, 0.35, 0.8])
    assert auc(scores, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.75)
    assert auc(torch.ones(4), torch.tensor([0, 0, 1, 1])) == 0.5
    assert auc(scores, scores > 0.3) == 1.0
    with pytest.raises(InputError, match="one class"):
        auc(scores, torch.ones(4))


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_auc_counts_pairs(pairs: list) -> None:
    positives = [score for score, label in pairs if label]
    negatives = [score for score, label in pairs if not label]
    if not positives or not negatives:
        return
    wins = sum((p > n) + 0.5 * (p == n) for p in positives for n in negatives)
    scores, labels = (torch.tensor(column) for column in zip(*pairs, strict=True))
    assert auc(scores, labels) == pytest.approx(wins / (len(positives) * len(negatives)))
