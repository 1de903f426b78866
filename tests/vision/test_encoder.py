"""The encoder against transformers' own CLIP and SigLIP at tiny random size, in their real on-disk
layouts.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    SiglipConfig,
    SiglipModel,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from videoexpert.errors import CheckpointError, InputError
from videoexpert.testing import VISION
from videoexpert.vision.encoder import VisionEncoder
from videoexpert.vision.preprocess import Preprocessor
from videoexpert.vision.towers import TOWERS, ClipTower, tower_config, tower_of

TOWER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "image_size": 24,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "vocab_size": 50,
}
PATCHES = 9


def spread_weights(model: nn.Module) -> Any:
    """Larger random weights than transformers starts with: attention far from uniform, every bias and norm
    used.
    """
    torch.manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.normal_(1.0 if "norm" in name and name.endswith("weight") else 0.0, 0.3)
    return model.eval()


@pytest.fixture(scope="module")
def clip() -> CLIPModel:
    # The inner projection_dim (512 by default) is not the one CLIPModel uses.
    config = CLIPConfig(text_config=TEXT, vision_config=TOWER, projection_dim=20)
    return spread_weights(CLIPModel(config))


@pytest.fixture(scope="module")
def clip_folder(clip: CLIPModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    clip.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def siglip() -> SiglipModel:
    return spread_weights(SiglipModel(SiglipConfig(text_config=TEXT, vision_config=TOWER)))


def pixels(frames: int = 5, size: int = 24) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames + size)
    return torch.randint(0, 256, (frames, 3, size, size), generator=generator, dtype=torch.uint8)


def close(actual: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_clip_features_are_those_of_transformers(clip: CLIPModel, clip_folder: Path) -> None:
    encoder = VisionEncoder.from_pretrained(clip_folder)
    frames = pixels()
    normalised = Preprocessor(24).normalise(frames)
    features = encoder.encode(frames)
    with torch.no_grad():
        theirs = clip.get_image_features(normalised)
        close(features.cls, theirs if torch.is_tensor(theirs) else theirs.pooler_output)
        eager = copy.deepcopy(clip.vision_model)
        eager.set_attn_implementation("eager")
        output = eager(normalised, output_attentions=True)
        hidden = clip.vision_model.post_layernorm(output.last_hidden_state)
        close(features.patches, clip.visual_projection(hidden)[:, 1:])
        close(features.cls_attention, output.attentions[-1][:, :, 0, 1:].mean(1))
    assert features.patches.shape == (5, PATCHES, 20)
    # A test of attention needs attention that is not flat.
    assert (features.cls_attention.amax(1) > 2 * features.cls_attention.amin(1)).all()


def test_fused_attention_runs_in_every_layer(clip_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    fused = nn.functional.scaled_dot_product_attention

    def counted(*args: Any, **kwargs: Any) -> torch.Tensor:
        calls.append(1)
        return fused(*args, **kwargs)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counted)
    VisionEncoder.from_pretrained(clip_folder).encode(pixels(2))
    assert len(calls) == TOWER["num_hidden_layers"]


@pytest.mark.parametrize("whole", [True, False], ids=["SiglipModel", "SiglipVisionModel"])
def test_siglip_uses_its_pooling_head(siglip: SiglipModel, tmp_path: Path, whole: bool) -> None:
    tower = SiglipVisionModel(siglip.config.vision_config).eval()
    inner = getattr(tower, "vision_model", tower)
    inner.load_state_dict(siglip.vision_model.state_dict())
    (siglip if whole else tower).save_pretrained(tmp_path)
    encoder = VisionEncoder.from_pretrained(tmp_path)
    frames = pixels()
    normalised = Preprocessor(24, mean=(0.5,) * 3, std=(0.5,) * 3).normalise(frames)
    weights: list[torch.Tensor] = []
    hook = inner.head.attention.register_forward_hook(lambda _, __, output: weights.append(output[1]))
    with torch.no_grad():
        output = tower(normalised)
    hook.remove()
    features = encoder.encode(frames, batch_size=2)
    close(features.cls, output.pooler_output)
    close(features.patches, output.last_hidden_state)
    close(features.cls_attention, weights[0][:, 0])
    close(features.cls_attention.sum(1), torch.ones(5))  # no class token takes a share
    assert (encoder.out_width, encoder.num_patches) == (32, PATCHES)
    assert encoder.preprocessor.crop is False


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64])
def test_batch_size_does_not_change_the_features(clip_folder: Path, batch_size: int) -> None:
    encoder = VisionEncoder.from_pretrained(clip_folder)
    whole, parts = encoder.encode(pixels()), encoder.encode(pixels(), batch_size=batch_size)
    for name in ("cls", "patches", "cls_attention"):
        close(getattr(parts, name), getattr(whole, name))


def test_no_more_than_batch_size_frames_at_once(clip_folder: Path) -> None:
    encoder = VisionEncoder.from_pretrained(clip_folder)
    seen: list[int] = []
    encoder.model.visual_projection.register_forward_hook(lambda _, inputs, __: seen.append(len(inputs[0])))
    encoder.encode(pixels(), batch_size=2)
    assert seen == [2, 2, 1]


def test_other_frame_sizes_are_resized_and_floats_taken_as_normalised(clip_folder: Path) -> None:
    encoder = VisionEncoder.from_pretrained(clip_folder)
    large = pixels(3, 50)[..., :40]
    small = encoder.preprocessor.resize_pixels(large)
    expected = encoder.encode(small)
    close(encoder.encode(large).patches, expected.patches)
    close(encoder.encode(encoder.preprocessor.normalise(small)).patches, expected.patches)


def test_folder_of_the_vision_tower_alone_equals_the_full_one(clip_folder: Path, tmp_path: Path) -> None:
    encoder = VisionEncoder.from_pretrained(clip_folder)
    encoder.model.save_pretrained(tmp_path)
    assert torch.equal(
        VisionEncoder.from_pretrained(tmp_path).encode(pixels()).cls, encoder.encode(pixels()).cls
    )


def test_config_and_weights_alone_rebuild_the_encoder(clip_folder: Path, tmp_path: Path) -> None:
    stored = {"size": 24, "crop_size": 24, "image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(stored))
    encoder = VisionEncoder.from_pretrained(tmp_path)
    assert encoder.preprocessor.mean == (0.1, 0.2, 0.3)
    again = VisionEncoder.from_config(json.loads(json.dumps(encoder.to_config())))
    again.load_state_dict(encoder.state_dict())
    assert again.preprocessor == encoder.preprocessor
    assert torch.equal(again.encode(pixels()).patches, encoder.encode(pixels()).patches)


def test_full_clip_config_gives_its_vision_tower(clip: CLIPModel) -> None:
    encoder = VisionEncoder.from_config(clip.config.to_dict())
    assert (encoder.image_size, encoder.num_patches, encoder.out_width) == (24, PATCHES, 20)
    names = {name.removeprefix("model.") for name in encoder.state_dict()}
    assert names == {name for name in clip.state_dict() if name.startswith(("vision_model.", "visual_"))}


def test_dtype_follows_the_module(clip: CLIPModel, clip_folder: Path, tmp_path: Path) -> None:
    copy.deepcopy(clip).to(torch.bfloat16).save_pretrained(tmp_path)
    encoder = VisionEncoder.from_pretrained(tmp_path)
    assert encoder.dtype == torch.bfloat16
    features = encoder.encode(pixels())
    assert features.cls.dtype == features.patches.dtype == torch.bfloat16
    assert features.cls_attention.dtype == torch.float32  # its order picks the key tokens
    assert encoder.float().encode(pixels()).cls.dtype == torch.float32


def test_encoder_is_frozen_but_its_features_can_enter_training(clip_folder: Path) -> None:
    encoder = VisionEncoder.from_pretrained(clip_folder)
    model = nn.ModuleDict({"vision": encoder, "adapter": nn.Linear(20, 4)}).train()
    assert not any(module.training for module in encoder.modules())
    assert not any(weight.requires_grad for weight in encoder.parameters())
    model["adapter"](encoder.encode(pixels()).patches).sum().backward()
    assert model["adapter"].weight.grad is not None


def test_encode_is_safe_in_threads(clip_folder: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    encoder = VisionEncoder.from_pretrained(clip_folder)
    inputs = [pixels(frames) for frames in (3, 4, 5, 6)]
    with ThreadPoolExecutor(4) as pool:
        for parallel, alone in zip(
            pool.map(encoder.encode, inputs), map(encoder.encode, inputs), strict=True
        ):
            close(parallel.cls_attention, alone.cls_attention)


def test_full_size_clip_on_the_meta_device() -> None:
    """CLIP ViT-L/14 as the paper names it: 257 tokens of width 768 for a picture of 224 pixels."""
    config = {
        "model_type": "clip_vision_model",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "image_size": 224,
        "patch_size": 14,
        "projection_dim": 768,
    }
    with torch.device("meta"):
        encoder = VisionEncoder.from_config(config)
        features = encoder.encode(torch.zeros(2, 3, 224, 224))
    assert (1 + encoder.num_patches, encoder.out_width) == (257, 768)
    assert features.cls.shape == (2, 768)
    assert features.patches.shape == (2, 256, 768)
    assert features.cls_attention.shape == (2, 256)
    layer = 4 * (1024 * 1024 + 1024) + 2 * 1024 * 4096 + 4096 + 1024 + 4 * 1024
    embeddings = 1024 + 3 * 14 * 14 * 1024 + 257 * 1024
    expected = embeddings + 24 * layer + 4 * 1024 + 1024 * 768  # two more layer norms, the projection
    assert sum(weight.numel() for weight in encoder.parameters()) == expected


def test_incomplete_or_foreign_folders_are_refused(
    clip: CLIPModel, clip_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CheckpointError, match="neither a model folder"):
        VisionEncoder.from_pretrained(tmp_path / "absent")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(CheckpointError, match="model_type 'llama', expected one of clip"):
        VisionEncoder.from_pretrained(tmp_path / "text")
    clip.vision_model.save_pretrained(tmp_path / "no_projection")
    with pytest.raises(CheckpointError, match=r"lacks weights \(\d+, vis"):
        VisionEncoder.from_pretrained(tmp_path / "no_projection")
    (tmp_path / "cut").mkdir()
    for file in clip_folder.iterdir():
        content = file.read_bytes()
        cut = content[: len(content) // 2] if file.suffix == ".safetensors" else content
        (tmp_path / "cut" / file.name).write_bytes(cut)
    with pytest.raises(CheckpointError, match="is cut short or damaged"):
        VisionEncoder.from_pretrained(tmp_path / "cut")


def test_no_weight_is_skipped_in_silence(
    clip_folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(clip_folder / "model.safetensors")
    # OpenAI's published folders hold this constant; text tower and position ids go without a word on stderr.
    weights["vision_model.embeddings.position_ids"] = torch.arange(1 + PATCHES)[None]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    VisionEncoder.from_pretrained(tmp_path)
    assert "LOAD REPORT" not in capfd.readouterr().err
    weights["vision_model.encoder.layers.3.mlp.fc1.weight"] = torch.zeros(48, 32)
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"has unknown weights \(1, vision_model\.encoder\.layers\.3"):
        VisionEncoder.from_pretrained(tmp_path)


def test_weights_of_another_shape_are_refused(clip_folder: Path, tmp_path: Path) -> None:
    for file in clip_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["projection_dim"] = 12
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError):
        VisionEncoder.from_pretrained(tmp_path)


def test_wrong_calls_are_named(clip: CLIPModel) -> None:
    with pytest.raises(InputError, match="model_type None"):
        VisionEncoder.from_config({"hidden_size": 8})
    with pytest.raises(InputError, match=r"image_size is \[24, 32\], expected one number"):
        VisionEncoder.from_config({**TOWER, "model_type": "clip_vision_model", "image_size": [24, 32]})
    with pytest.raises(InputError, match="vision_use_head is off"):
        VisionEncoder(SiglipVisionModel(SiglipVisionConfig(**TOWER, vision_use_head=False)))
    encoder = VisionEncoder.from_config(clip.config.to_dict())
    with pytest.raises(InputError, match="preprocessor gives 48 pixels"):
        VisionEncoder(encoder.model, Preprocessor(48))
    with pytest.raises(InputError, match="batch_size is 0"):
        encoder.encode(pixels(), batch_size=0)
    with pytest.raises(InputError, match="pixels must be"):
        encoder.encode(pixels()[0])
    with pytest.raises(InputError, match=r"normalised floats of 24x24, got torch\.float32 of 30x30"):
        encoder.encode(torch.zeros(1, 3, 30, 30))
    with pytest.raises(InputError, match=r"got torch\.int64"):
        encoder.encode(pixels().long())


def test_a_family_of_towers_is_a_class_and_its_entry(monkeypatch):
    """Reading, width, preprocessing and features all come from the class: nothing else knows the families."""

    class Other(ClipTower):
        name = "other"

        def config(self, fields):
            return CLIPVisionConfig.from_dict({k: v for k, v in fields.items() if k != "model_type"})

    monkeypatch.setitem(TOWERS, "other", Other())
    assert isinstance(tower_of("other_vision_model"), Other)
    assert tower_config({**VISION, "model_type": "other"}).hidden_size == VISION["hidden_size"]
    with pytest.raises(
        InputError, match="model_type 'bert', expected one of clip, clip_vision_model, siglip"
    ):
        tower_of("bert")
