"""OpenCLIP checkpoints, with a stand-in for open_clip: what we ask of it, and what we read of its config."""

from __future__ import annotations

import json
import sys
import types

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from videoexpert.errors import CheckpointError, DependencyError
from videoexpert.vision.image_text import ImageTextTower, load_tower
from videoexpert.vision.open_clip_tower import preprocessor_of
from videoexpert.vision.preprocess import CLIP_MEAN

CONFIG = {
    "model_cfg": {"embed_dim": 6, "vision_cfg": {"image_size": 16}, "text_cfg": {}},
    "preprocess_cfg": {
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bilinear",
        "resize_mode": "squash",
    },
}


class Stand(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.arange(18.0).view(3, 6))
        self.logit_scale = nn.Parameter(torch.zeros(()))

    def encode_image(self, pixels):
        return pixels.mean((2, 3)) @ self.weight

    def encode_text(self, ids):
        return ids.float() @ self.weight


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "open_clip_config.json").write_text(json.dumps(CONFIG))
    save_file({"a": torch.zeros(1)}, tmp_path / "open_clip_model.safetensors")
    return tmp_path


def test_without_open_clip(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "open_clip", None)
    with pytest.raises(DependencyError, match=r"pip install videoexpert\[openclip\]"):
        load_tower(folder)


def test_a_tower_of_open_clip(folder, monkeypatch):
    asked = []

    def create_model(name, **options):
        asked.append((name, options))
        return Stand()

    stand = types.SimpleNamespace(
        create_model=create_model,
        get_tokenizer=lambda name: lambda texts: torch.tensor([[len(t), 1, 0] for t in texts]),
    )
    monkeypatch.setitem(sys.modules, "open_clip", stand)
    tower = load_tower(folder)
    assert isinstance(tower, ImageTextTower)
    assert asked == [(f"local-dir:{folder}", {"require_pretrained": True, "weights_only": True})]
    assert (tower.width, tower.logit_scale, tower.logit_bias) == (6, 1.0, None)
    texts = tower.encode_texts(["ab", "abc"])
    expected = torch.tensor([[2.0, 1, 0], [3.0, 1, 0]]) @ torch.arange(18.0).view(3, 6)
    assert torch.allclose(texts, expected / expected.norm(dim=-1, keepdim=True))
    rows = tower.encode_images(torch.full((3, 3, 16, 16), 255, dtype=torch.uint8), batch_size=2)
    ones = torch.ones(3) @ torch.arange(18.0).view(3, 6)
    assert torch.allclose(rows, (ones / ones.norm()).expand(3, 6))


def test_what_its_config_says_of_pictures():
    found = preprocessor_of("m", CONFIG)
    assert (found.image_size, found.crop, found.interpolation, found.mean) == (
        16,
        False,
        "bilinear",
        (0.5,) * 3,
    )
    plain = preprocessor_of("m", {"model_cfg": {"embed_dim": 6, "vision_cfg": {"image_size": [24, 24]}}})
    assert (plain.image_size, plain.crop, plain.mean) == (24, True, CLIP_MEAN)
    for wrong in (
        {},
        {"model_cfg": {"embed_dim": 6, "vision_cfg": {"image_size": [24, 32]}}},
        {**CONFIG, "preprocess_cfg": {"resize_mode": "longest"}},
    ):
        with pytest.raises(CheckpointError):
            preprocessor_of("m", wrong)
