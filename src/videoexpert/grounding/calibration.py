"""Scores that mean what they say: Platt scaling and its error.

Our addition; the paper reports raw scores. All fits are deterministic and in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..errors import InputError


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(logit / temperature + bias); temperature > 0, so the ranking stays."""

    temperature: float = 1.0
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature}, expected a positive number.")

    def __call__(self, logits: Tensor) -> Tensor:
        """Calibrated float32 probabilities of logits of any shape."""
        return torch.sigmoid(logits.float() / self.temperature + self.bias)

    def then(self, other: Calibration) -> Calibration:
        """Both after one another, ``other`` on the logits of what this one gives."""
        return Calibration(self.temperature * other.temperature, self.bias / other.temperature + other.bias)


def fit(logits: Tensor, labels: Tensor) -> Calibration:
    """The calibration of highest likelihood on held-out logits (K,) and their labels (K,) in [0, 1].

    Labels are smoothed as Platt proposed (one imagined example of each class), so that a perfectly separated
    or one-sided set still gives finite numbers. Logits that rank the wrong way round end in a very high
    temperature, never in a reversed ranking. Raises InputError for nothing to fit or logits not finite.
    """
    check_pair("logits", logits, labels)
    logits, labels = logits.detach().double().cpu(), labels.double().cpu()
    if not bool(logits.isfinite().all()):
        raise InputError("logits to calibrate must be finite numbers; drop the others.")
    positives = labels.sum()
    negatives = len(labels) - positives
    high, low = (positives + 1) / (positives + 2), 1 / (negatives + 2)
    targets = labels * high + (1 - labels) * low
    # so that the optimiser sees the same problem at any scale of the logits
    scale = logits.abs().mean().clamp(min=1e-6)
    log_slope = torch.zeros((), dtype=torch.float64, requires_grad=True)
    bias = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [log_slope, bias],
        max_iter=200,
        tolerance_grad=1e-10,
        tolerance_change=1e-14,
        line_search_fn="strong_wolfe",
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        predicted = log_slope.exp() * (logits / scale) + bias
        # the pull on the slope only matters where the data say nothing about it
        value = F.binary_cross_entropy_with_logits(predicted, targets) + 1e-6 * log_slope**2
        value.backward()
        return value

    optimiser.step(loss)
    return Calibration(float(scale / log_slope.detach().exp()), float(bias.detach()))


def expected_calibration_error(prob: Tensor, correct: Tensor, bins: int = 15) -> float:
    """Mean gap between stated probability (K,) and share of ``correct`` (K,), over equal bins of [0, 1].

    Bins are weighted by their members; a probability on an edge counts to the bin below, 0 to the first.
    """
    check_pair("prob", prob, correct)
    prob, correct = prob.detach().double().cpu(), correct.double().cpu()
    member = (torch.ceil(prob * bins).long() - 1).clamp(0, bins - 1)
    gaps = torch.zeros(bins, dtype=torch.float64).index_add(0, member, prob - correct)
    return float(gaps.abs().sum() / len(prob))


def presence(indicator_prob: Tensor) -> Tensor:
    """(..., N) calibrated indicator probabilities -> (...,) that of the event: the best frame's."""
    return indicator_prob.amax(dim=-1)


def auc(scores: Tensor, labels: Tensor) -> float:
    """Area under the ROC curve: chance that a positive scores above a negative, a tie counting half.

    scores (K,), labels (K,) bool. Raises InputError unless both classes are there.
    """
    check_pair("scores", scores, labels)
    scores, positive = scores.detach().double().cpu(), labels.bool().cpu()
    if bool(positive.all()) or not bool(positive.any()):
        raise InputError("the area under the curve needs positives and negatives, got one class only.")
    negatives = scores[~positive].sort().values
    below = torch.searchsorted(negatives, scores[positive])
    not_above = torch.searchsorted(negatives, scores[positive], right=True)
    return float((below + not_above).double().mean() / (2 * len(negatives)))


def check_pair(name: str, values: Tensor, labels: Tensor) -> None:
    """Raises InputError unless both are (K,) with K >= 1."""
    if values.ndim != 1 or values.shape != labels.shape or len(values) == 0:
        raise InputError(
            f"{name} and labels must be two lists of one equal length above 0, "
            f"got shapes {tuple(values.shape)} and {tuple(labels.shape)}."
        )
