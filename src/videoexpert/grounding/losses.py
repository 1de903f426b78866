"""Indicator and boundary losses of paper Eq. 11 and 13, unweighted, in float32."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import windows

LOGIT_LIMIT = 100.0
ALIGNMENT_SCALE = 10.0  # logits per unit of cosine
ALIGNMENT_MIDDLE = 0.5  # the cosine that counts as neither inside nor outside


class GroundingLosses(NamedTuple):
    """Scalar float32 losses before the weights of the config (2, 5, 2).

    indicator   binary cross-entropy of foreground against background (L_ce)
    l1          smooth L1 of start plus that of end, mean over foreground frames (L_L1)
    giou        1 - generalised IoU of the span, mean over foreground frames (L_IoU)
    """

    indicator: Tensor
    l1: Tensor
    giou: Tensor


def grounding_losses(
    indicator_logits: Tensor,
    boundary_logits: Tensor,
    foreground: Tensor,
    spans: Tensor,
    centres: Tensor,
    *,
    background_weight: float = 0.1,
) -> GroundingLosses:
    """Losses of a batch of Q queries over N frames.

    indicator_logits (Q, N); boundary_logits (Q, N, 2); foreground (Q, N) bool; spans (Q, N, 2) and
    centres (N,), fractions of the duration. Boundary losses are divided by the foreground frames of the whole
    batch, so a long moment weighs more than a short one (as the released code does). Deviation: Q = 0 or no
    foreground frame gives zero with the graph intact, where the released code gives NaN.
    """
    weights = torch.where(foreground, 1.0, background_weight)
    frame_losses = F.binary_cross_entropy_with_logits(
        # The released code clamps the log of a saturated probability at -100; on logits this is the same
        # bound. It also keeps a logit that overflowed in half precision from turning into NaN.
        indicator_logits.float().clamp(-LOGIT_LIMIT, LOGIT_LIMIT),
        foreground.float(),
        weight=weights,
        reduction="none",
    )
    predicted = predicted_spans(boundary_logits, centres)[foreground]
    target = spans.float()[foreground]
    count = max(len(target), 1)
    return GroundingLosses(
        # divided by the number of frames, not by the sum of their weights
        indicator=frame_losses.sum() / max(frame_losses.numel(), 1),
        l1=F.smooth_l1_loss(predicted, target, reduction="sum", beta=1.0) / count,
        giou=(1.0 - generalised_iou(predicted, target)).sum() / count,
    )


def alignment_loss(
    frames: Tensor, locs: Tensor, foreground: Tensor, *, background_weight: float = 0.1
) -> Tensor:
    """Binary cross-entropy of the cosine between each frame and ``<LOC>`` against the foreground; a scalar.

    frames (Q, N, H) and locs (Q, H) as the head projects them; foreground (Q, N) bool; frames weigh as in the
    indicator loss. Our addition, off by default (``alignment_weight``): addition (Eq. 10) shows the head agreement
    best where the two point the same way, and the indicator loss alone finds that out slowly (docs/log.md). Zero
    with the graph intact for Q = 0.
    """
    cosine = F.cosine_similarity(frames.float(), locs.float()[:, None], dim=-1)
    weights = torch.where(foreground, 1.0, background_weight)
    losses = F.binary_cross_entropy_with_logits(
        ALIGNMENT_SCALE * (cosine - ALIGNMENT_MIDDLE), foreground.float(), weight=weights, reduction="none"
    )
    return losses.sum() / max(losses.numel(), 1)


def predicted_spans(boundary_logits: Tensor, centres: Tensor) -> Tensor:
    """(..., N, 2) boundary logits -> (..., N, 2) float32 [t - left, t + right], fractions of the duration."""
    left, right = boundary_logits.float().sigmoid().unbind(-1)
    times = centres.float()
    return torch.stack([times - left, times + right], dim=-1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """Generalised IoU in [-1, 1] of intervals (..., 2) with start <= end, pair by pair.

    IoU minus the share of the hull that neither covers, so that disjoint intervals still attract each other.
    Two intervals without length have IoU 1 if they are the same point, else -1 (the limit of short ones).
    """
    overlap = windows.intersection(a, b).clamp(min=0)
    union = windows.length(a) + windows.length(b) - overlap
    hull = windows.hull(a, b)
    # A zero denominator is replaced before the division: afterwards the gradient would already be NaN.
    same_point = hull <= 0
    iou = torch.where(same_point, 1.0, overlap / torch.where(union > 0, union, 1.0))
    empty_share = (hull - union) / torch.where(same_point, 1.0, hull)
    found: Tensor = iou - empty_share
    return found
