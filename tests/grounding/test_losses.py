"""Losses by hand, perfect and absent cases, and properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.grounding.losses import (
    alignment_loss,
    generalised_iou,
    grounding_losses,
    predicted_spans,
)
from videoexpert.grounding.targets import frame_centres, make_targets


def test_indicator_by_hand() -> None:
    """Logit 0 costs log 2 a frame: one foreground at 1, three background at 0.1, over four frames."""
    losses = grounding_losses(
        torch.zeros(1, 4),
        torch.zeros(1, 4, 2),
        torch.tensor([[True, False, False, False]]),
        torch.zeros(1, 4, 2),
        frame_centres(4),
    )
    assert losses.indicator.item() == pytest.approx(math.log(2) * 1.3 / 4)


def test_background_weight_has_its_effect() -> None:
    arguments = (torch.zeros(1, 4), torch.zeros(1, 4, 2), torch.zeros(1, 4, dtype=torch.bool))
    losses = grounding_losses(*arguments, torch.zeros(1, 4, 2), frame_centres(4), background_weight=0.5)
    assert losses.indicator.item() == pytest.approx(math.log(2) * 0.5)


def test_boundary_by_hand() -> None:
    """Offsets 0.5: frame 0 of two (t = 0.25) predicts [-0.25, 0.75], frame 1 (t = 0.75) [0.25, 1.25]."""
    foreground = torch.tensor([[True, True]])
    spans = torch.tensor([[[0.25, 0.75], [0.75, 1.25]]])
    losses = grounding_losses(torch.zeros(1, 2), torch.zeros(1, 2, 2), foreground, spans, frame_centres(2))
    # both start half early and end right: smooth L1 is 0.5 * 0.5^2 each
    assert losses.l1.item() == pytest.approx(0.125)
    # IoU 1/2, hull equals union
    assert losses.giou.item() == pytest.approx(0.5)


def test_boundary_mean_is_over_frames_of_the_whole_batch() -> None:
    """One frame off by half in a batch of four foreground frames costs a quarter, whoever owns the frames."""
    foreground = torch.tensor([[True, True, True, False], [True, False, False, False]])
    spans = predicted_spans(torch.zeros(2, 4, 2), frame_centres(4)).clone()
    spans[1, 0, 0] += 0.5
    losses = grounding_losses(torch.zeros(2, 4), torch.zeros(2, 4, 2), foreground, spans, frame_centres(4))
    assert losses.l1.item() == pytest.approx(0.125 / 4)
    assert losses.giou.item() == pytest.approx(0.5 / 4)


def test_generalised_iou_by_hand() -> None:
    pairs = torch.tensor(
        [
            [[0.0, 1.0], [0.0, 1.0]],  # same
            [[0.0, 1.0], [2.0, 3.0]],  # apart: hull 3, union 2
            [[0.0, 1.0], [1.0, 2.0]],  # touching
            [[0.0, 4.0], [1.0, 2.0]],  # inside
            [[1.0, 1.0], [1.0, 1.0]],  # the same point
            [[1.0, 1.0], [2.0, 2.0]],  # two points
        ]
    )
    expected = torch.tensor([1.0, -1 / 3, 0.0, 0.25, 1.0, -1.0])
    torch.testing.assert_close(generalised_iou(pairs[:, 0], pairs[:, 1]), expected)


def test_perfect_prediction_costs_nothing() -> None:
    targets = make_targets([(20, 50), (70, 90)], 100.0, 50)
    centres = frame_centres(50)
    offsets = torch.stack([centres - targets.spans[:, 0], targets.spans[:, 1] - centres], -1)
    losses = grounding_losses(
        torch.where(targets.foreground, 30.0, -30.0)[None],
        torch.logit(offsets.clamp(0, 1))[None],
        targets.foreground[None],
        targets.spans[None],
        centres,
    )
    assert max(losses) < 1e-5
    assert min(losses) >= -1e-6


def test_absent_event_trains_the_indicator_alone() -> None:
    indicator = torch.zeros(2, 5, requires_grad=True)
    boundary = torch.zeros(2, 5, 2, requires_grad=True)
    losses = grounding_losses(
        indicator, boundary, torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 5, 2), frame_centres(5)
    )
    assert losses.l1 == 0
    assert losses.giou == 0
    sum(losses).backward()
    assert (indicator.grad > 0).all()
    assert boundary.grad.eq(0).all()


def test_no_queries() -> None:
    indicator = torch.zeros(0, 5, requires_grad=True)
    losses = grounding_losses(
        indicator,
        torch.zeros(0, 5, 2),
        torch.zeros(0, 5, dtype=torch.bool),
        torch.zeros(0, 5, 2),
        frame_centres(5),
    )
    assert [loss.item() for loss in losses] == [0.0, 0.0, 0.0]
    losses.indicator.backward()


def test_half_precision_gives_float32_and_survives_overflow() -> None:
    logits = torch.tensor([[math.inf, -math.inf, 0.0]], dtype=torch.float16)
    foreground = torch.tensor([[True, False, True]])
    losses = grounding_losses(
        logits,
        torch.zeros(1, 3, 2, dtype=torch.float16),
        foreground,
        torch.rand(1, 3, 2).sort().values,
        frame_centres(3),
    )
    assert all(loss.dtype == torch.float32 and loss.isfinite() for loss in losses)
    assert losses.indicator.item() == pytest.approx(math.log(2) / 3, rel=1e-3)


def test_a_disjoint_target_still_attracts_the_nearer_boundary() -> None:
    boundary = torch.full((1, 1, 2), -4.0, requires_grad=True)
    losses = grounding_losses(
        torch.zeros(1, 1),
        boundary,
        torch.ones(1, 1, dtype=torch.bool),
        torch.tensor([[[0.9, 1.0]]]),
        torch.tensor([0.5]),
    )
    losses.giou.backward()
    assert boundary.grad[0, 0, 1] < 0  # the right offset grows although the intervals do not touch


seconds = st.floats(0, 60, allow_subnormal=False)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.tuples(seconds, seconds).map(sorted), max_size=3), min_size=1, max_size=4),
    st.integers(1, 40),
    st.integers(0, 2**31),
    st.sampled_from([0.1, 1.0, 30.0, 1e4]),
)
def test_finite_bounded_and_order_invariant(windows: list, num: int, seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    targets = [make_targets(each, 60.0, num) for each in windows]
    foreground = torch.stack([target.foreground for target in targets])
    spans = torch.stack([target.spans for target in targets])
    indicator = (torch.randn(len(windows), num, generator=generator) * scale).requires_grad_()
    boundary = (torch.randn(len(windows), num, 2, generator=generator) * scale).requires_grad_()
    losses = grounding_losses(indicator, boundary, foreground, spans, frame_centres(num))
    sum(losses).backward()
    for value in (*losses, indicator.grad, boundary.grad):
        assert value.isfinite().all()
    assert 0 <= losses.indicator <= 100
    assert 0 <= losses.l1 <= 4
    assert -1e-5 <= losses.giou <= 2 + 1e-5
    order = torch.randperm(len(windows), generator=generator)
    shuffled = grounding_losses(
        indicator[order], boundary[order], foreground[order], spans[order], frame_centres(num)
    )
    torch.testing.assert_close(torch.stack(shuffled), torch.stack(losses), rtol=1e-5, atol=1e-6)


class TestAlignment:
    """Our additional loss on the head's projections."""

    def test_by_hand(self):
        frames = torch.tensor([[[2.0, 0.0], [0.0, 3.0]]])  # along <LOC>, and across
        locs = torch.tensor([[1.0, 0.0]])
        foreground = torch.tensor([[True, False]])
        found = alignment_loss(frames, locs, foreground, background_weight=0.5)
        # cosines 1 and 0: logits 5 and -5, both on the right side; -log sigmoid(5) = 0.006715
        assert float(found) == pytest.approx((1.0 + 0.5) * 0.0067153 / 2, rel=1e-4)
        wrong = alignment_loss(frames, locs, ~foreground, background_weight=0.5)
        assert float(wrong) == pytest.approx((0.5 + 1.0) * 5.0067153 / 2, rel=1e-4)

    def test_it_does_not_see_lengths_and_needs_no_query(self):
        torch.manual_seed(0)
        frames, locs, foreground = torch.randn(3, 5, 8), torch.randn(3, 8), torch.rand(3, 5) > 0.5
        one, other = (alignment_loss(frames * s, locs * 7, foreground) for s in (1.0, 3.0))
        torch.testing.assert_close(one, other)
        none = alignment_loss(torch.zeros(0, 5, 8, requires_grad=True), torch.zeros(0, 8), foreground[:0])
        assert float(none.detach()) == 0.0
        assert none.requires_grad
