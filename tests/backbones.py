"""Small language models of each kind that the engine has to treat alike."""

from __future__ import annotations

from transformers import Gemma2Config, LlamaConfig, MistralConfig, Qwen3Config, StableLmConfig

from videoexpert.testing import LANGUAGE

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
