"""Temporal head against the shared reference data (reference/temporal_head), each fusion."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from parity.released import int8_weights
from videoexpert.checkpoints.released.keys import FUSION_KEYS, HEAD_KEYS
from videoexpert.grounding.head import TemporalHead, position_table

FUSION_OF = {"simp_add": "add", "intact_add": "concat", "self_atten": "attention", "simp_atten": "none"}


@pytest.fixture(scope="module")
def reference(shared: Path) -> Path:
    return shared / "reference"


@pytest.fixture(scope="module")
def tensors(reference: Path) -> dict[str, Tensor]:
    return load_file(reference / "temporal_head" / "temporal_head.safetensors")


def renamed(weights: dict[str, Tensor], key_map: dict[str, str]) -> dict[str, Tensor]:
    """The weights whose keys start with one in the map, under our keys; every entry of the map is used."""
    ours = {}
    for theirs, here in key_map.items():
        found = {key: value for key, value in weights.items() if key.startswith(theirs)}
        assert found, f"no key starts with {theirs}"
        ours.update({here + key.removeprefix(theirs): value for key, value in found.items()})
    return ours


@pytest.fixture(params=list(FUSION_OF))
def kind_and_head(request: pytest.FixtureRequest, reference: Path) -> tuple[str, TemporalHead]:
    kind = request.param
    state = renamed(int8_weights(reference, "full_model/weights_int8"), HEAD_KEYS)
    stem = f"temporal_head/weights_{kind}_int8"
    if (reference / f"{stem}.safetensors").exists():  # adding and ignoring <LOC> have no weights
        weights = int8_weights(reference, stem)
        fusion_state = renamed(weights, FUSION_KEYS[FUSION_OF[kind]])
        assert len(fusion_state) == len(weights), "a key of the fusion is not in the map"
        state |= fusion_state
    head_width, hidden_width = state["projection.2.weight"].shape
    head = TemporalHead(hidden_width, head_width, FUSION_OF[kind]).eval()
    head.load_state_dict(state)  # strict: nothing missing, nothing unexpected
    return kind, head


def inputs(tensors: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    hidden, mask = tensors["hidden_states"], tensors["temporal_mask"]
    frames = torch.stack([states[keep] for states, keep in zip(hidden, mask, strict=True)])
    rows, positions = tensors["loc_positions"].unbind(-1)
    return frames, hidden[rows, positions], rows


def assert_near(ours: Tensor, reference: Tensor, tolerance: float) -> None:
    torch.testing.assert_close(ours, reference, rtol=0, atol=tolerance)


@torch.no_grad()
def test_head(kind_and_head: tuple[str, TemporalHead], tensors: dict[str, Tensor]) -> None:
    kind, head = kind_and_head
    frames, locs, rows = inputs(tensors)
    output = head(frames, locs, rows)
    assert_near(output.indicator_logits[..., None], tensors[f"{kind}.class_logits"], 1e-4)
    assert_near(output.boundary_logits, tensors[f"{kind}.span_logits"], 1e-4)
    assert_near(output.indicator[..., None], tensors[f"{kind}.outputs_class"], 2e-5)
    signed = output.offsets * torch.tensor([-1.0, 1.0])
    assert_near(signed, tensors[f"{kind}.outputs_coord"], 2e-5)


@torch.no_grad()
def test_projection_and_fusion(kind_and_head: tuple[str, TemporalHead], tensors: dict[str, Tensor]) -> None:
    kind, head = kind_and_head
    frames, locs, rows = inputs(tensors)
    positions = tensors["projected_positions"]
    assert_near(head.project(tensors["hidden_states"][:, positions]), tensors["projected_at_positions"], 1e-4)
    assert_near(head.project(locs), tensors["loc_embeddings"], 1e-4)
    fused = head.fusion(head.project(frames[rows[:1]]), head.project(locs[:1]))
    assert_near(fused[0], tensors[f"{kind}.reweighted_frames_first_loc"], 1e-4)


def test_position_table(tensors: dict[str, Tensor]) -> None:
    rounded = tensors["self_atten.position_table_used_bf16"]
    assert torch.equal(position_table(*rounded.shape).bfloat16(), rounded)
