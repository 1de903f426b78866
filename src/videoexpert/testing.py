"""Tiny random models for tests: the real classes at toy sizes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import CLIPVisionConfig, LlamaConfig, PreTrainedTokenizerFast

from .config import VideoExpertConfig
from .language.sequence import IGNORED, Segment, TokenSequence, build_sequence
from .language.vocabulary import add_loc_token
from .model import VideoExpertModel
from .video.write import write_video

VISION = {
    **CLIPVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=32,
        patch_size=8,
        projection_dim=24,
    ).to_dict(),
}
LANGUAGE = {
    **LlamaConfig(
        vocab_size=60,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
    ).to_dict(),
}
LOC = 60


def tiny_config(preset: str = "paper", **fields: Any) -> VideoExpertConfig:
    """A config of one preset at toy size."""
    sizes: dict[str, Any] = {
        "vision_config": dict(VISION),
        "language_config": dict(LANGUAGE),
        "loc_token_id": LOC,
        "num_frames": 6,
        "groups": 2,
        "tokens_per_group": 3,
        "key_tokens": 2,
        "temporal_rank": 3,
        "spatial_rank": 2,
        "lora_alpha": 5.0,
        "lora_dropout": 0.0,
        "head_width": 16,
    }
    return VideoExpertConfig.from_preset(preset, **{**sizes, **fields})


def tiny_model(preset: str = "paper", seed: int = 0, **fields: Any) -> VideoExpertModel:
    """A random model in eval mode whose experts are not zero."""
    torch.manual_seed(seed)
    model = VideoExpertModel(tiny_config(preset, **fields)).eval()
    for name, parameter in model.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, std=0.1)
    return model


def segment(ids: list[int], answer_from: int) -> Segment:
    """A question whose ids from ``answer_from`` on are supervised; ``LOC`` may be among them."""
    labels = [IGNORED] * answer_from + ids[answer_from:]
    return Segment(tuple(ids), tuple(labels), tuple(i for i, t in enumerate(ids) if t == LOC))


def batch_tensors(row: TokenSequence, temporal: torch.Tensor, spatial: torch.Tensor) -> dict[str, Any]:
    """Keyword arguments of ``VideoExpertModel.forward``."""
    return {"sequence": row, "temporal": temporal, "spatial": spatial}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token a character, 60 in all, then ``<LOC>``."""
    characters = " \n.,:?!()<>'0123456789ABDLORSTUabcdefghijklmnopqrstuvwxyz"
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "<unk>": 3}
    words |= {c: i for i, c in enumerate(characters[: LOC - 4], start=4)}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )
    assert add_loc_token(tokenizer, "<LOC>") == LOC
    return tokenizer


def tiny_video(path: Path, seconds: float = 8.0, rate: int = 5, seed: int = 0) -> Path:
    """64 x 48 pixels of coarse noise, another every second, with a white bar that crosses the picture."""
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    scenes = rng.integers(0, 255, (int(seconds) + 1, 6, 8, 3), dtype=np.uint8).repeat(8, 1).repeat(8, 2)
    pictures = [scenes[int(t)].copy() for t in times]
    for picture, t in zip(pictures, times, strict=True):
        place = int(t / seconds * 60)
        picture[:, place : place + 4] = 255
    write_video(path, pictures, times.tolist(), duration_s=seconds)
    return path


__all__ = [
    "LOC",
    "batch_tensors",
    "build_sequence",
    "segment",
    "tiny_config",
    "tiny_model",
    "tiny_tokenizer",
    "tiny_video",
]
