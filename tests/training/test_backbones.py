"""Any causal language model and CLIP-like encoder of transformers, in the on-disk layouts of the real ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    SiglipConfig,
    SiglipModel,
)

import videoexpert
from training_world import make_recipe, tokens
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.testing import tiny_tokenizer
from videoexpert.training.run import train
from videoexpert.types import Frames

SIZE: dict[str, Any] = {
    "vocab_size": 60,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
TOWER = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
LANGUAGES = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**SIZE)),
    # SmolLM is a Llama with one matrix for both ends of the vocabulary
    "smollm": lambda: LlamaForCausalLM(LlamaConfig(**SIZE, tie_word_embeddings=True)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**SIZE, head_dim=16, tie_word_embeddings=True)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**SIZE, sliding_window=None)),
}
VISIONS = {
    "clip": lambda: CLIPModel(
        CLIPConfig(
            text_config={**TOWER, "vocab_size": 60},
            vision_config={**TOWER, "image_size": 32, "patch_size": 8},
            projection_dim=24,
        )
    ),
    "siglip": lambda: SiglipModel(
        SiglipConfig(
            text_config={**TOWER, "vocab_size": 60},
            vision_config={**TOWER, "image_size": 32, "patch_size": 8},
        )
    ),
}


def save(folder: Path, language: str, vision: str) -> Path:
    torch.manual_seed(1)
    LANGUAGES[language]().save_pretrained(folder / "language")
    tiny_tokenizer().save_pretrained(folder / "language")
    VISIONS[vision]().save_pretrained(folder / "vision")
    return folder


@pytest.mark.parametrize(
    ("language", "vision"),
    [("llama", "clip"), ("qwen3", "siglip"), ("mistral", "clip"), ("smollm", "siglip")],
)
def test_ten_steps_then_it_grounds(tmp_path, annotations, language, vision):
    recipe = make_recipe(save(tmp_path, language, vision), annotations, steps=10, save_every=10)
    config = dict(recipe.model.config)
    model, _ = checkpoint.assemble(recipe.model.vision, recipe.model.language, **config)
    draw = torch.Generator().manual_seed(2)
    times = torch.arange(config["num_frames"], dtype=torch.float64)
    shown = {
        key: model.encode_video(
            Frames(torch.randint(0, 255, (len(times), 3, 32, 32), generator=draw).byte(), times, 10.0)
        )
        for key in tokens(5)
    }
    run = tmp_path / "run"
    train(recipe, run, stores={"memory": shown}, log=lambda _: None)
    losses = [line["loss"] for line in json.loads((run / "log.json").read_text()) if "loss" in line]
    assert len(losses) == 10
    assert sum(losses[-3:]) < sum(losses[:3])
    expert = videoexpert.load(run / "model", device="cpu")
    moments = expert.open_tokens(shown["v0"]).ground("it falls")
    assert moments
    assert all(0 <= m.start <= m.end <= 10 for m in moments)
