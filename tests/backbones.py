"""Small language models of each kind that the engine has to treat alike."""

from __future__ import annotations

import torch
from transformers import Gemma2Config, LlamaConfig, MistralConfig, Qwen3Config, StableLmConfig

from videoexpert.testing import LANGUAGE, tiny_model
from videoexpert.types import VisualTokens

PREFIX = (1, 5, 9)  # ids before the video
STEM = (7, 8)  # and those with which grounding questions begin

SIZES = {k: LANGUAGE[k] for k in ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers")}
SIZES |= {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 512}
BACKBONES = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES, head_dim=16, tie_word_embeddings=True),
    "mistral": MistralConfig(**SIZES, sliding_window=None),
    "multi-head": LlamaConfig(**{**SIZES, "num_key_value_heads": 4}),
    "softcap": Gemma2Config(**SIZES, head_dim=8, sliding_window=512),
    "copied": StableLmConfig(**SIZES),  # does not take attention through the AttentionInterface
}


def make(backbone: str = "llama", preset: str = "paper", **fields):
    """A tiny model on that backbone."""
    config = {**BACKBONES[backbone].to_dict()}
    return tiny_model(preset, language_config=config, **fields)


def shown(model, seed: int, frames: int | None = None) -> VisualTokens:
    """Random tokens of a video."""
    rng = torch.Generator().manual_seed(seed)
    config = model.config
    return VisualTokens(
        torch.randn(frames or config.num_frames, config.vision_width, generator=rng),
        torch.randn(config.num_spatial_tokens, config.vision_width, generator=rng),
        duration_s=10.0,
    )
