"""Full size without weights: names and shapes of the public checkpoints' layouts, counts derived by hand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from transformers import CLIPVisionConfig, LlamaConfig

from videoexpert.checkpoints.released.keys import BASE_PART, Mapped, key_map
from videoexpert.config import VideoExpertConfig
from videoexpert.language.sequence import Segment, build_sequence
from videoexpert.model import VideoExpertModel

D, F, LAYERS, VOCABULARY = 4096, 11008, 32, 32000  # Vicuna 7B v1.5
CLIP_D, CLIP_F, CLIP_LAYERS, PATCH, PATCHES, C = 1024, 4096, 24, 14, 256, 768  # CLIP ViT-L/14 at 224 pixels
RANK, H = 32, 512
PROJECTIONS = {  # out, in
    "self_attn.q_proj": (D, D),
    "self_attn.k_proj": (D, D),
    "self_attn.v_proj": (D, D),
    "self_attn.o_proj": (D, D),
    "mlp.gate_proj": (F, D),
    "mlp.up_proj": (F, D),
    "mlp.down_proj": (D, F),
}
Shapes = dict[str, tuple[int, ...]]


def full_size(preset: str) -> VideoExpertModel:
    vision = CLIPVisionConfig(
        hidden_size=CLIP_D,
        intermediate_size=CLIP_F,
        num_hidden_layers=CLIP_LAYERS,
        num_attention_heads=16,
        image_size=224,
        patch_size=PATCH,
        projection_dim=C,
    )
    language = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=D,
        intermediate_size=F,
        num_hidden_layers=LAYERS,
        num_attention_heads=32,
        max_position_embeddings=4096,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
    )
    config = VideoExpertConfig.from_preset(
        preset,
        vision_config=vision.to_dict(),
        language_config=language.to_dict(),
        loc_token_id=VOCABULARY,
    )
    with torch.device("meta"):
        return VideoExpertModel(config)


@pytest.fixture(scope="module")
def model() -> VideoExpertModel:
    return full_size("released")


@pytest.fixture(scope="module")
def mapped(model: VideoExpertModel) -> tuple[Mapped, ...]:
    return key_map(model)


def numbers(shapes: Shapes) -> int:
    return sum(torch.Size(shape).numel() for shape in shapes.values())


def expert_layout() -> Shapes:
    """``pytorch_model.bin`` of the authors' stage 2: V is the temporal expert, L the spatial one."""
    found: Shapes = {}
    for layer in range(LAYERS):
        for name, (out, into) in PROJECTIONS.items():
            for expert in "VL":
                found[f"model.layers.{layer}.{name}.{expert}_Expertlora_A.weight"] = (RANK, into)
                found[f"model.layers.{layer}.{name}.{expert}_Expertlora_B.weight"] = (out, RANK)
    return found


def other_layout() -> Shapes:
    """``non_lora_trainables.bin`` of the authors' stage 2: fusion by addition, projector frozen."""
    found: Shapes = {
        "model.embed_tokens.weight": (VOCABULARY + 1, D),
        "lm_head.weight": (VOCABULARY + 1, D),
        "model.text_hidden_fcs_det.0.0.weight": (D, D),
        "model.text_hidden_fcs_det.0.0.bias": (D,),
        "model.text_hidden_fcs_det.0.2.weight": (H, D),
        "model.text_hidden_fcs_det.0.2.bias": (H,),
    }
    for branch, outputs in (("class", 1), ("span", 2)):
        for layer, width in enumerate((H, H, outputs)):
            found[f"model.{branch}_embed_head.layers.{layer}.weight"] = (width, H, 3)
            found[f"model.{branch}_embed_head.layers.{layer}.bias"] = (width,)
    return found


def by_part(mapped: tuple[Mapped, ...], *parts: str) -> Shapes:
    return {entry.theirs: entry.shape for entry in mapped if entry.part in parts}


def test_experts(mapped: tuple[Mapped, ...]) -> None:
    """A square projection has 2 * 32 * 4096 numbers an expert, one of the feed-forward 32 * (4096 + 11008).

    4 * 262,144 + 3 * 483,328 = 2,498,560 an expert and layer; times 2 experts and 32 layers 159,907,840.
    """
    ours = by_part(mapped, "temporal expert", "spatial expert")
    assert ours == expert_layout()
    assert len(ours) == 2 * 2 * 7 * 32 == 896
    assert numbers(ours) == 2 * 32 * (4 * 262_144 + 3 * 483_328) == 159_907_840


def test_vocabulary_and_head(mapped: tuple[Mapped, ...]) -> None:
    """Two matrices of 32,001 x 4096 numbers, then the head.

    Projection: 4096^2 + 4096 + 512 * 4096 + 512 = 18,878,976. Two branches with two convolutions of
    512 * 512 * 3 + 512 = 786,944 each, and outputs of 1 and 2 channels: 3 * (512 * 3 + 1) = 4,611.
    """
    ours = by_part(mapped, "vocabulary", "head", "fusion")
    assert ours == other_layout()
    assert numbers(by_part(mapped, "vocabulary")) == 2 * 32_001 * 4096 == 262_152_192
    assert numbers(by_part(mapped, "head")) == 18_878_976 + 4 * 786_944 + 4_611 == 22_031_363
    assert numbers(ours) == 284_183_555


def test_equal_to_the_authors_list(mapped: tuple[Mapped, ...], shared: Path) -> None:
    layout = json.loads((shared / "reference/checkpoint_layout/layout.json").read_text())
    if "vicuna_7b" not in layout:
        pytest.skip("this set of the reference data has no full-size list")
    stored = layout["vicuna_7b"]
    parts = {
        "pytorch_model.bin": ("temporal expert", "spatial expert"),
        "non_lora_trainables.bin": ("vocabulary", "head", "fusion"),
    }
    for file, names in parts.items():
        ours = by_part(mapped, *names)
        assert ours == {key: tuple(shape) for key, shape in stored[file].items()}
        assert numbers(ours) == stored["parameter_counts"][file]


def test_vicuna_layout(mapped: tuple[Mapped, ...]) -> None:
    """What is left to the base model, with its vocabulary: the 291 tensors of a public 7B Llama."""
    public: Shapes = {
        "model.embed_tokens.weight": (VOCABULARY, D),
        "model.norm.weight": (D,),
        "lm_head.weight": (VOCABULARY, D),
    }
    for layer in range(LAYERS):
        for name, shape in PROJECTIONS.items():
            public[f"model.layers.{layer}.{name}.weight"] = shape
        for name in ("input_layernorm", "post_attention_layernorm"):
            public[f"model.layers.{layer}.{name}.weight"] = (D,)
    assert len(public) == 3 + 32 * 9 == 291
    assert numbers(public) == 6_738_415_616
    ours = by_part(mapped, BASE_PART)
    vocabulary = {key: (rows - 1, width) for key, (rows, width) in by_part(mapped, "vocabulary").items()}
    assert ours | vocabulary == public


def clip_layout() -> Shapes:
    """The vision half of openai/clip-vit-large-patch14 under transformers' public names."""
    found: Shapes = {
        "vision_model.embeddings.class_embedding": (CLIP_D,),
        "vision_model.embeddings.patch_embedding.weight": (CLIP_D, 3, PATCH, PATCH),
        "vision_model.embeddings.position_embedding.weight": (PATCHES + 1, CLIP_D),
        "visual_projection.weight": (C, CLIP_D),
    }
    norms = ["vision_model.pre_layrnorm", "vision_model.post_layernorm"]
    for layer in range(CLIP_LAYERS):
        block = f"vision_model.encoder.layers.{layer}"
        norms += [f"{block}.layer_norm1", f"{block}.layer_norm2"]
        linear = {f"self_attn.{x}_proj": (CLIP_D, CLIP_D) for x in "kvq"} | {
            "self_attn.out_proj": (CLIP_D, CLIP_D),
            "mlp.fc1": (CLIP_F, CLIP_D),
            "mlp.fc2": (CLIP_D, CLIP_F),
        }
        for name, shape in linear.items():
            found[f"{block}.{name}.weight"] = shape
            found[f"{block}.{name}.bias"] = shape[:1]
    for norm in norms:
        found |= {f"{norm}.weight": (CLIP_D,), f"{norm}.bias": (CLIP_D,)}
    return found


def test_clip_layout(model: VideoExpertModel) -> None:
    ours = {k: tuple(v.shape) for k, v in model.vision.model.named_parameters()}
    assert ours == clip_layout()
    assert (
        numbers(clip_layout()) == 303_966_208
    )  # 303.2 million of the tower and 768 * 1024 of the projection


def test_visual_tokens_and_what_trains(model: VideoExpertModel) -> None:
    """100 + 4 * 64 = 356 visual tokens; experts, head, projector and vocabulary (or <LOC>) train."""
    config = model.config
    row = build_sequence(
        [[1]], [[Segment((5,))]], num_frames=config.num_frames, num_spatial_tokens=config.num_spatial_tokens
    )
    assert row.input_ids.shape[1] - 2 == config.num_visual_tokens == 356
    projector = C * D + D
    assert projector == 3_149_824
    experts, head = 159_907_840, 22_031_363
    assert trained(model) == experts + head + projector + 262_152_192
    assert trained(full_size("paper")) == experts + head + projector + 2 * D == 185_097_219


def trained(model: VideoExpertModel) -> int:
    found = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert set(found) == set(model.trained_names())
    return sum(p.numel() for p in found.values())
