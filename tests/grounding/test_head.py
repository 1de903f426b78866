"""Temporal head: shapes, the meaning of rows, what each fusion may and may not depend on."""

from __future__ import annotations

import pytest
import torch

from videoexpert.config import CHOICES
from videoexpert.errors import InputError
from videoexpert.grounding.head import FUSIONS, STOCHASTIC_DEPTH, TemporalHead, position_table

HIDDEN, WIDTH = 12, 16


@pytest.fixture(params=FUSIONS)
def head(request: pytest.FixtureRequest) -> TemporalHead:
    torch.manual_seed(0)
    return TemporalHead(HIDDEN, WIDTH, request.param).eval()


@pytest.mark.parametrize("num_frames", [1, 7, 100])
def test_shapes_and_ranges(head: TemporalHead, num_frames: int) -> None:
    output = head(torch.randn(2, num_frames, HIDDEN), torch.randn(3, HIDDEN), torch.tensor([0, 1, 1]))
    assert output.indicator_logits.shape == output.indicator.shape == (3, num_frames)
    assert output.boundary_logits.shape == output.offsets.shape == (3, num_frames, 2)
    assert torch.equal(output.indicator, output.indicator_logits.sigmoid())
    assert ((output.offsets > 0) & (output.offsets < 1)).all()


def test_rows_equal_repeated_frames(head: TemporalHead) -> None:
    frames, locs, rows = torch.randn(2, 9, HIDDEN), torch.randn(4, HIDDEN), torch.tensor([1, 0, 0, 1])
    shared = head(frames, locs, rows)
    repeated = head(frames[rows], locs)
    alone = head(frames[1:2], locs[3:])
    for ours, same, single in zip(shared, repeated, alone, strict=True):
        torch.testing.assert_close(ours, same)
        torch.testing.assert_close(ours[3:], single)


@pytest.mark.parametrize("num_frames", [1, 2, 9])
@torch.no_grad()
def test_equals_the_three_convolutions_on_fused_frames(head: TemporalHead, num_frames: int) -> None:
    """What is computed once for all queries of a video changes nothing, at the first and last frame either."""
    frames, locs = torch.randn(2, num_frames, HIDDEN), torch.randn(3, HIDDEN)
    for rows in (torch.tensor([1, 0, 1]), torch.zeros(3, dtype=torch.long)):
        videos = frames[: int(rows.max()) + 1]
        found = head(videos, locs, rows)
        fused = head.fusion(head.project(videos)[rows], head.project(locs)).transpose(1, 2)
        torch.testing.assert_close(found.indicator_logits, head.indicator_branch(fused).squeeze(1))
        torch.testing.assert_close(found.boundary_logits, head.boundary_branch(fused).transpose(1, 2))


def test_projected_once_equals_forward(head: TemporalHead) -> None:
    frames, locs, rows = torch.randn(1, 9, HIDDEN), torch.randn(3, HIDDEN), torch.zeros(3, dtype=torch.long)
    at_once = head(frames, locs, rows)
    in_steps = head.predict(head.project(frames), head.project(locs), rows)
    torch.testing.assert_close(at_once, in_steps)


def test_no_queries(head: TemporalHead) -> None:
    output = head(torch.randn(2, 5, HIDDEN), torch.randn(0, HIDDEN), torch.zeros(0, dtype=torch.long))
    assert output.indicator_logits.shape == (0, 5)


def test_missing_rows_are_an_error(head: TemporalHead) -> None:
    with pytest.raises(ValueError, match="rows"):
        head(torch.randn(1, 5, HIDDEN), torch.randn(3, HIDDEN))


def test_only_fusion_none_ignores_loc(head: TemporalHead) -> None:
    frames, locs = torch.randn(1, 9, HIDDEN), torch.randn(2, HIDDEN)
    both = head(frames, locs, torch.zeros(2, dtype=torch.long)).indicator_logits
    same = torch.allclose(both[0], both[1])
    assert same == (type(head.fusion).__name__ == "NoFusion")


@pytest.mark.parametrize("fusion", ["add", "concat", "none"])
def test_reach_is_three_frames(fusion: str) -> None:
    """Three convolutions of kernel 3 see three frames to each side, and one-frame fusions add nothing."""
    torch.manual_seed(0)
    head = TemporalHead(HIDDEN, WIDTH, fusion)
    frames = torch.randn(1, 15, HIDDEN, requires_grad=True)
    output = head(frames, torch.randn(1, HIDDEN))
    for logits in (output.indicator_logits, output.boundary_logits):
        (gradient,) = torch.autograd.grad(logits[0, 7].sum(), frames, retain_graph=True)
        reached = gradient[0].abs().sum(-1).nonzero().flatten().tolist()
        assert reached == list(range(4, 11))


def test_indicator_may_be_below_one_half(head: TemporalHead) -> None:
    """No ReLU after the last convolution: negative logits exist."""
    output = head(torch.randn(8, 50, HIDDEN), torch.randn(8, HIDDEN))
    with torch.no_grad():
        head.indicator_branch[-1].bias.fill_(-3.0)
    assert (head(torch.randn(8, 50, HIDDEN), torch.randn(8, HIDDEN)).indicator < 0.5).any()
    assert output.indicator_logits.isfinite().all()


def test_attention_knows_the_place() -> None:
    """Equal states at every frame still differ after the positions are added."""
    torch.manual_seed(0)
    head = TemporalHead(HIDDEN, WIDTH, "attention").eval()
    head.fusion.attention.in_proj_weight.data.mul_(5)
    fused = head.fusion(torch.randn(1, 1, WIDTH).expand(1, 9, WIDTH), torch.randn(1, WIDTH))
    assert (fused[0, 0] - fused[0, 4]).abs().max() > 1e-4


def test_attention_drops_whole_branches_in_training_only() -> None:
    head = TemporalHead(HIDDEN, WIDTH, "attention")
    branch = torch.ones(20_000, 1, 2)
    torch.manual_seed(0)
    dropped = head.fusion._drop_branch(branch)
    assert ((dropped == 0).all((1, 2)) | (dropped > 1).all((1, 2))).all()
    assert (dropped == 0).float().mean().item() == pytest.approx(STOCHASTIC_DEPTH, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1.0, abs=0.01)
    assert torch.equal(head.eval().fusion._drop_branch(branch), branch)


def test_position_table_by_hand() -> None:
    """Last frame: angle 2 pi at channel 0; channels 2 and 3 share the wavelength 10000^(2/4) = 100."""
    last = position_table(10, 4)[9]
    turn = torch.tensor(2 * torch.pi)
    expected = torch.stack([turn.sin(), turn.cos(), (turn / 100).sin(), (turn / 100).cos()])
    torch.testing.assert_close(last, expected, rtol=0, atol=4e-3)  # bfloat16 keeps 8 bits
    assert torch.equal(last, last.bfloat16().float())


def test_half_precision(head: TemporalHead) -> None:
    frames, locs = torch.randn(2, 9, HIDDEN), torch.randn(2, HIDDEN)
    full = head(frames, locs)
    half = head.bfloat16()(frames.bfloat16(), locs.bfloat16())
    assert half.indicator_logits.dtype == torch.bfloat16
    assert half.indicator.dtype == torch.float32
    torch.testing.assert_close(half.indicator, full.indicator, rtol=0, atol=0.05)


def test_gradients_reach_every_parameter(head: TemporalHead) -> None:
    output = head(torch.randn(2, 9, HIDDEN), torch.randn(2, HIDDEN))
    (output.indicator_logits.square().sum() + output.boundary_logits.square().sum()).backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name


def test_the_config_knows_every_fusion() -> None:
    """A new one is a class and a line in FUSIONS, and its name in the config."""
    assert set(CHOICES["fusion"]) == set(FUSIONS)


def test_unknown_fusion() -> None:
    with pytest.raises(InputError, match=r"'gating'.*add, concat, attention, none"):
        TemporalHead(HIDDEN, WIDTH, "gating")


def test_attention_width() -> None:
    with pytest.raises(InputError, match="multiple of 8"):
        TemporalHead(HIDDEN, 12, "attention")
