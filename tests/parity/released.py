"""Reference data of the released code as our objects: weights under the authors' keys, models, inputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaConfig

from videoexpert.checkpoints.released.convert import RELEASED_SCALE
from videoexpert.checkpoints.released.keys import Mapped, key_map, translate
from videoexpert.config import VideoExpertConfig
from videoexpert.language.sequence import IGNORED, Segment, TokenSequence
from videoexpert.model import VideoExpertModel
from videoexpert.testing import VISION
from videoexpert.vision.compressor import CompressorConfig, compress

VIDEO = -200
DETECTION = ("indicator_weight", "l1_weight", "giou_weight")  # what the detection loss is made of
LLAMA_FIELDS = (
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "rms_norm_eps",
    "max_position_embeddings",
    "rope_theta",
    "hidden_act",
    "tie_word_embeddings",
)


def int8_weights(folder: Path, stem: str) -> dict[str, Tensor]:
    """The stored integers times their powers of two, under the authors' keys."""
    exponents = json.loads((folder / f"{stem}_exponents.json").read_text())
    stored = load_file(folder / f"{stem}.safetensors")
    return {key: value.float() * 2.0 ** -exponents[key] for key, value in stored.items()}


def released_model(reference: Path, **fields: Any) -> tuple[VideoExpertModel, tuple[Mapped, ...]]:
    """``full_model`` as a model of ours of preset ``released`` with all of its keys translated."""
    sizes = json.loads((reference / "full_model/config.json").read_text())
    weights = int8_weights(reference / "full_model", "weights_int8")
    language = LlamaConfig(
        vocab_size=sizes["vocab_size"] - 1, **{name: sizes[name] for name in LLAMA_FIELDS if name in sizes}
    )
    preset = VideoExpertConfig.from_preset("released").to_dict()
    config = VideoExpertConfig.from_preset(
        "released",
        vision_config={**VISION, "projection_dim": weights["model.mm_projector.weight"].shape[1]},
        language_config=language.to_dict(),
        loc_token_id=sizes["loc_token_id"],
        temporal_rank=sizes["expert_rank"],
        spatial_rank=sizes["expert_rank"],
        lora_alpha=RELEASED_SCALE * sizes["expert_rank"],
        head_width=len(weights["model.text_hidden_fcs_det.0.2.bias"]),
        text_weight=sizes["ce_loss_weight"],
        **{name: sizes["det_loss_weight"] * preset[name] for name in DETECTION},
        **fields,
    )
    model = VideoExpertModel(config).eval()
    mapped = key_map(model)
    shapes = {k: v.shape for k, v in model.named_parameters() if not k.startswith("vision.")}
    state = translate(weights, mapped, shapes, "full_model")
    result = model.load_state_dict(state, strict=False)
    assert not result.unexpected_keys
    assert all(key.startswith("vision.") for key in result.missing_keys)
    return model, mapped


def video_tokens(reference: Path, config: VideoExpertConfig) -> tuple[Tensor, Tensor]:
    """T-tokens (videos, N, C) and S-tokens (videos, M, C) of the stored features, by our own compressor."""
    stored = load_file(reference / "spatial_compress/input.safetensors")
    cls, frames = stored["cls_int8"].float() / 32, stored["frames"]
    patches = torch.zeros(*cls.shape[:2], *stored["patches_int8"].shape[2:])
    patches[:, frames] = stored["patches_int8"].float() / 32  # the others are not read
    if config.spatial_tokens == "none":
        return cls, cls[:, :0]
    spatial = [
        compress(own_cls, own_patches, None, CompressorConfig.of(config))
        for own_cls, own_patches in zip(cls, patches, strict=True)
    ]
    return cls, torch.stack(spatial)


def split_row(ids: Tensor, labels: Tensor | None, loc_token_id: int) -> tuple[list[int], Segment]:
    """(ids before the video, what follows it) of one stored row without its padding."""
    row = ids.tolist()
    video = row.index(VIDEO)
    after = tuple(row[video + 1 :])
    answered = labels is not None and bool((labels != IGNORED).any())
    return row[:video], Segment(
        after,
        tuple(labels[video + 1 :].tolist()) if answered and labels is not None else (),
        tuple(place for place, token in enumerate(after) if token == loc_token_id),
    )


def forward_inputs(row: TokenSequence, temporal: Tensor, spatial: Tensor) -> dict[str, Any]:
    """Keyword arguments of ``VideoExpertModel.states``."""
    return {
        "sequence": row,
        "temporal": temporal,
        "spatial": spatial,
    }


def visual_count(stored: dict[str, Tensor]) -> int:
    """How many visual tokens a stored case put in place of the video token of each row."""
    return stored["expanded.labels"].shape[1] - stored["labels"].shape[1] + 1


def prompt_names(files: list[Path]) -> list[str]:
    """Names of the prompts in files such as ``full_model/inference.safetensors``."""
    keys: list[str] = []
    for file in files:
        with safe_open(file, "pt") as opened:
            keys += opened.keys()
    return sorted(key.removesuffix(".input_ids") for key in keys if key.endswith(".input_ids"))


def near(ours: Tensor, theirs: Tensor, tolerance: float, what: str = "") -> None:
    """Maximum absolute difference."""
    torch.testing.assert_close(
        ours.detach(), theirs, rtol=0, atol=tolerance, msg=lambda m: f"{what}: {m}" if what else m
    )
