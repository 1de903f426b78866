"""Targets and losses against the shared reference data (reference/criterion)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from videoexpert.grounding.losses import GroundingLosses, grounding_losses
from videoexpert.grounding.targets import Targets, frame_centres, make_targets


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "reference" / "criterion"


@pytest.fixture(scope="module")
def tensors(folder: Path) -> dict[str, Tensor]:
    return load_file(folder / "criterion.safetensors")


@pytest.fixture(scope="module")
def moments(folder: Path) -> dict:
    return json.loads((folder / "moments.json").read_text())


@pytest.fixture(scope="module")
def batches(folder: Path) -> dict[str, list[str]]:
    return json.loads((folder / "batches.json").read_text())


def released_targets(moment: dict, num_frames: int) -> Targets:
    return make_targets(
        moment["windows_seconds"],
        moment["duration"],
        num_frames,
        frame_times="end",
        short_moments="released",
    )


def batch_losses(name: str, tensors: dict[str, Tensor], cases: list[str], moments: dict) -> tuple:
    """Our losses of one reference batch, and the probability and offset leaves they depend on."""
    probability = tensors[f"loss.{name}.pred_prob"].clone().requires_grad_()
    offsets = tensors[f"loss.{name}.pred_offsets"].clone().requires_grad_()
    num_frames = probability.shape[1]
    targets = [released_targets(moments[case], num_frames) for case in cases]
    spans = torch.stack([target.spans for target in targets])
    centres = frame_centres(num_frames, "end")
    if name.endswith("bf16_targets"):
        spans, centres = spans.bfloat16(), centres.bfloat16()
    # float64 logits so that going from probabilities to logits and back adds no error of its own
    losses = grounding_losses(
        torch.logit(probability.squeeze(-1).double()),
        torch.logit((offsets * torch.tensor([-1.0, 1.0])).double()),
        torch.stack([target.foreground for target in targets]),
        spans,
        centres,
        background_weight=float(tensors["empty_weight"][1]),
    )
    return losses, probability, offsets


def weighted(losses: GroundingLosses, folder: Path) -> Tensor:
    """The loss whose gradients are stored, by the weights that stand in the file."""
    with safe_open(folder / "criterion.safetensors", "pt") as file:
        weights = dict(part.split() for part in file.metadata()["weights"].split(", "))
    parts = {"loss_f": losses.indicator, "loss_b": losses.l1, "loss_g": losses.giou}
    assert set(weights) == set(parts)
    return sum((float(weights[name]) * part for name, part in parts.items()), torch.zeros(()))


def test_targets_equal_bit_by_bit(tensors: dict[str, Tensor], moments: dict) -> None:
    num_frames = len(tensors["target.timestamp"])
    assert torch.equal(frame_centres(num_frames, "end")[:, None].expand(-1, 2), tensors["target.timestamp"])
    seen = {key.split(".")[1] for key in tensors if key.endswith(".timestamp_window")}
    assert seen == set(moments)
    for case, moment in moments.items():
        ours = released_targets(moment, num_frames)
        assert torch.equal(ours.foreground.long(), tensors[f"target.{case}.timestamp_window"]), case
        assert torch.equal(ours.spans, tensors[f"target.{case}.span_label_nn"]), case
        assert ours.foreground.nonzero().flatten().tolist() == moment["frames_inside"], case


def test_nearest_differs_only_where_a_window_has_no_frame(tensors: dict[str, Tensor], moments: dict) -> None:
    num_frames = len(tensors["target.timestamp"])
    centres = frame_centres(num_frames, "end")
    for case, moment in moments.items():
        nearest = make_targets(moment["windows_seconds"], moment["duration"], num_frames, frame_times="end")
        released = released_targets(moment, num_frames)
        windows = torch.tensor(moment["windows_seconds"], dtype=torch.float32) / moment["duration"]
        if all(((start <= centres) & (centres <= end)).any() for start, end in windows):
            assert torch.equal(nearest.foreground, released.foreground), case
            assert torch.equal(nearest.spans, released.spans), case
        else:
            assert nearest.foreground.any(), case
            assert not (released.foreground & ~nearest.foreground).any(), case


def test_losses(tensors: dict[str, Tensor], moments: dict, batches: dict[str, list[str]]) -> None:
    assert {key.split(".")[1] for key in tensors if key.startswith("loss.")} == set(batches)
    for name, cases in batches.items():
        losses, _, _ = batch_losses(name, tensors, cases, moments)
        expected = {"indicator": "loss_f", "l1": "loss_b", "giou": "loss_g"}
        for part, key in expected.items():
            value = getattr(losses, part).detach()
            reference = tensors[f"loss.{name}.{key}"]
            if reference.isnan():
                # stated deviation: no foreground frame in the batch gives zero, not NaN
                num_frames = tensors[f"loss.{name}.pred_prob"].shape[1]
                masks = [released_targets(moments[case], num_frames).foreground for case in cases]
                assert not torch.cat(masks).any()
                assert value == 0.0
                continue
            probability = tensors[f"loss.{name}.pred_prob"]
            saturated = bool(((probability == 0) | (probability == 1)).any())
            relative = 1e-5 if saturated else 1e-6
            torch.testing.assert_close(
                value, reference, rtol=relative, atol=1e-6, msg=lambda text, at=(name, part): f"{at}: {text}"
            )


def test_gradients(
    folder: Path, tensors: dict[str, Tensor], moments: dict, batches: dict[str, list[str]]
) -> None:
    compared = 0
    for name, cases in batches.items():
        if f"loss.{name}.grad_prob" not in tensors:
            continue
        losses, probability, offsets = batch_losses(name, tensors, cases, moments)
        weighted(losses, folder).backward()
        for ours, key in ((probability, "grad_prob"), (offsets, "grad_offsets")):
            difference = (ours.grad - tensors[f"loss.{name}.{key}"]).abs().max()
            assert difference < 1e-6, f"{name} {key}: {difference}"
            compared += 1
    assert compared > 0
