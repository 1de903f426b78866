"""Parity: the linear layer with two experts against tensors of the released code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from videoexpert.language.experts import ExpertLinear, token_roles
from videoexpert.types import TokenRole

FILE = "reference/expert_lora_linear/expert_lora_linear.safetensors"
Reference = dict[str, Tensor]


@pytest.fixture(scope="module")
def reference(shared: Path) -> Reference:
    return load_file(shared / FILE)


@pytest.fixture
def layer(reference: Reference, shared: Path) -> ExpertLinear:
    """Every stored weight goes in: V_* first (temporal), L_* after (spatial)."""
    with safe_open(shared / FILE, "pt") as file:
        scales = {float(file.metadata()[f"scaling_{expert}"]) for expert in ("temporal", "spatial")}
    (scale,) = scales  # one for both experts, whatever rank and alpha are
    weights = {k.removeprefix("weights."): v for k, v in reference.items() if k.startswith("weights.")}
    weight = weights.pop("weight")
    base = nn.Linear(weight.shape[1], weight.shape[0], bias=False)
    base.weight = nn.Parameter(weight.clone())
    ranks = [len(weights[f"{expert}_Expertlora_A.weight"]) for expert in "VL"]
    ours = ExpertLinear(base, temporal_rank=ranks[0], spatial_rank=ranks[1], alpha=scale * sum(ranks) / 2)
    with torch.no_grad():
        for parameter, side, dim in ((ours.lora_A, "A", 0), (ours.lora_B, "B", 1)):
            parts = [weights.pop(f"{expert}_Expertlora_{side}.weight") for expert in "VL"]
            parameter.copy_(torch.cat(parts, dim=dim))
    assert not weights, f"weights of the reference left over: {sorted(weights)}"
    return ours.eval()


def roles(mask: Tensor) -> Tensor:
    return torch.where(mask, int(TokenRole.TEMPORAL), int(TokenRole.TEXT))


@pytest.mark.parametrize("folded", [False, True])
def test_outputs_with_a_mask(reference: Reference, layer: ExpertLinear, folded: bool) -> None:
    if folded:
        layer.fold()
    cases = [key.removeprefix("mask.") for key in reference if key.startswith("mask.")]
    assert len(cases) >= 3
    for case in cases:
        x, mask = reference["x"], reference[f"mask.{case}"]
        if case.startswith("single_token"):
            x = x[:, 60:61]
        with token_roles(roles(mask)):
            ours = layer(x)
        torch.testing.assert_close(ours, reference[f"out.{case}"], atol=1e-5, rtol=0, msg=case)


def test_outputs_of_the_released_inference_without_a_mask(reference: Reference, layer: ExpertLinear) -> None:
    """The released layer then takes positions 35 to 134 as T-tokens; we pass the roles, so we name them."""
    for case, length in (("no_mask_long", reference["x"].shape[1]), ("no_mask_len135", 135)):
        x = reference["x"][:, :length]
        place = torch.arange(length).expand(x.shape[:2])
        with token_roles(roles((place >= 35) & (place < 135))):
            ours = layer(x)
        torch.testing.assert_close(ours, reference[f"out.{case}"], atol=1e-5, rtol=0, msg=case)
    single = layer(reference["x"][:, 60:61])
    torch.testing.assert_close(single, reference["out.single_token_no_mask"], atol=1e-5, rtol=0)


def gradient_cases(reference: Reference) -> dict[str, str]:
    """Prefix of the stored gradients -> case: "grad.x" is the mixed one's, "grad_CASE.x" that of CASE."""
    masks = [key.removeprefix("mask.") for key in reference if key.startswith("mask.")]
    named = {f"grad_{case}.": case for case in masks if any(k.startswith(f"grad_{case}.") for k in reference)}
    (mixed,) = [
        case for case in masks
        if case not in named.values() and reference[f"mask.{case}"].shape == reference["x"].shape[:2]
    ]  # fmt: skip
    return {"grad.": mixed, **named}


def test_gradients(reference: Reference, layer: ExpertLinear) -> None:
    layer.base.requires_grad_(True)  # the reference holds its gradient, though it is frozen in use
    cases = gradient_cases(reference)
    assert len(cases) >= 3
    for prefix, case in cases.items():
        layer.zero_grad()
        check_gradients(reference, layer, prefix, case)


def check_gradients(reference: Reference, layer: ExpertLinear, prefix: str, case: str) -> None:
    x = reference["x"].clone().requires_grad_(True)
    with token_roles(roles(reference[f"mask.{case}"])):
        (layer(x) * reference["grad.g"]).sum().backward()
    rank = layer.temporal_rank
    ours = {
        "x": x.grad,
        "weight": layer.base.weight.grad,
        "V_Expertlora_A.weight": layer.lora_A.grad[:rank],
        "V_Expertlora_B.weight": layer.lora_B.grad[:, :rank],
        "L_Expertlora_A.weight": layer.lora_A.grad[rank:],
        "L_Expertlora_B.weight": layer.lora_B.grad[:, rank:],
    }
    stored = {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}
    stored.pop("g", None)
    assert len(stored) >= 5
    for name, wanted in stored.items():
        torch.testing.assert_close(ours[name], wanted, atol=1e-4, rtol=0, msg=f"{case} {name}")
        if not wanted.any():  # an expert without tokens: exactly zero
            assert not ours[name].any(), name
    mask = reference[f"mask.{case}"]
    for idle in (["L"] if mask.all() else []) + ([] if mask.any() else ["V"]):
        assert not stored[f"{idle}_Expertlora_A.weight"].any()
        assert not stored[f"{idle}_Expertlora_B.weight"].any()
