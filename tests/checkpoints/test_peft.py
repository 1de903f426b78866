"""Experts as PEFT LoRA folders: PEFT reads them, merging gives our states, and the round trip is exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from videoexpert.checkpoints.peft import CONFIG, WEIGHTS, export_peft
from videoexpert.errors import InputError
from videoexpert.language.experts import expert_layers, token_roles
from videoexpert.model import VideoExpertModel
from videoexpert.testing import LOC, tiny_model
from videoexpert.types import TokenRole

TEXT = torch.tensor([[1, 5, 9, 30, 12, 7]])


def plain_base(model: VideoExpertModel) -> Any:
    """The base language model alone, with the weights that it has inside ``model``."""
    fields = dict(model.config.language_config or {})
    base = AutoModelForCausalLM.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
    weights = {
        key.replace(".base.", "."): value
        for key, value in model.language.state_dict().items()
        if not key.endswith(("lora_A", "lora_B", "loc_row"))
    }
    base.load_state_dict(weights)
    return base.eval()


@torch.no_grad()
def our_states(model: VideoExpertModel, role: TokenRole) -> Tensor:
    """States of the text with every token in one role."""
    with token_roles(torch.full_like(TEXT, int(role))):
        return model.language.base_model(input_ids=TEXT, use_cache=False).last_hidden_state


@pytest.mark.parametrize(
    "ranks",
    [
        {"temporal_rank": 3, "spatial_rank": 2, "lora_alpha": 5.0},
        {"temporal_rank": 1, "spatial_rank": 6, "lora_alpha": 3.0},
        {"temporal_rank": 4, "spatial_rank": 1, "experts": "shared"},
    ],
)
@pytest.mark.parametrize(("expert", "role"), [("spatial", TokenRole.TEXT), ("temporal", TokenRole.TEMPORAL)])
@torch.no_grad()
def test_merged_into_the_base_by_peft(tmp_path: Path, ranks: dict, expert: str, role: TokenRole) -> None:
    peft = pytest.importorskip("peft")
    model = tiny_model(**ranks)
    folder = export_peft(model, tmp_path / expert, expert)
    adapted = peft.PeftModel.from_pretrained(plain_base(model), folder)
    loaded = {key: value for key, value in adapted.state_dict().items() if "lora_" in key}
    stored = load_file(folder / WEIGHTS)
    assert len(loaded) == len(stored) == 2 * len(list(expert_layers(model.language)))
    assert {k.replace(".default.", "."): v.sum() for k, v in loaded.items()} == {
        k: v.sum() for k, v in stored.items()
    }
    wanted = our_states(model, role)
    merged = adapted.merge_and_unload()
    ours = merged.base_model(input_ids=TEXT, use_cache=False).last_hidden_state
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)
    # The expert is felt, and the other one would be another.
    plain = plain_base(model).base_model(input_ids=TEXT, use_cache=False).last_hidden_state
    assert (plain - wanted).abs().max() > 1e-2
    if "experts" not in ranks:
        other = TokenRole.TEMPORAL if role == TokenRole.TEXT else TokenRole.TEXT
        assert (our_states(model, other) - wanted).abs().max() > 1e-2


@pytest.mark.parametrize("expert", ["spatial", "temporal"])
def test_the_folder_holds_that_expert_and_nothing_of_the_other(tmp_path: Path, expert: str) -> None:
    model = tiny_model()
    stored = load_file(export_peft(model, tmp_path / "lora", expert) / WEIGHTS)
    first = model.config.temporal_rank
    rows = slice(0, first) if expert == "temporal" else slice(first, None)
    for name, layer in expert_layers(model.language):
        assert torch.equal(stored.pop(f"base_model.model.{name}.lora_A.weight"), layer.lora_A[rows])
        assert torch.equal(stored.pop(f"base_model.model.{name}.lora_B.weight"), layer.lora_B[:, rows])
    assert not stored


def test_alpha_is_the_scale_times_the_own_rank(tmp_path: Path) -> None:
    """By hand: ranks 3 and 2, alpha 5: scale 2 * 5 / 5 = 2, so 6 and 4; ranks 1 and 6, alpha 3: 6/7."""
    model = tiny_model()
    found = [
        json.loads((export_peft(model, tmp_path / e, e) / CONFIG).read_text())
        for e in ("temporal", "spatial")
    ]
    assert [(c["r"], c["lora_alpha"]) for c in found] == [(3, 6), (2, 4)]
    uneven = export_peft(tiny_model(temporal_rank=1, spatial_rank=6, lora_alpha=3.0), tmp_path / "uneven")
    assert json.loads((uneven / CONFIG).read_text())["lora_alpha"] == pytest.approx(6 * 6 / 7)


def test_refusals(tmp_path: Path) -> None:
    model = tiny_model()
    with pytest.raises(InputError, match=r"'both', expected one of temporal, spatial"):
        export_peft(model, tmp_path / "a", "both")
    with pytest.raises(InputError, match="rank 0, so there is nothing to export"):
        export_peft(tiny_model(temporal_rank=0, spatial_rank=4), tmp_path / "a", "temporal")
    assert not list(tmp_path.iterdir())
    folder = export_peft(model, tmp_path / "lora", "spatial")
    with pytest.raises(InputError, match="exists already"):
        export_peft(model, folder)


def test_loc_is_not_in_the_text() -> None:
    """The comparison above is about text alone: it would not see the <LOC> rows, which no LoRA holds."""
    assert LOC not in TEXT
