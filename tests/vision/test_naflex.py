"""SigLIP 2 NaFlex against transformers' own route: pictures of any shape, patches, masks and sentences."""

from __future__ import annotations

import json
import logging
import random
import shutil

import pytest
import torch
from PIL import Image
from transformers import AutoModel, AutoProcessor
from transformers.models.siglip2.image_processing_pil_siglip2 import (
    Siglip2ImageProcessorPil,
    get_image_size_for_max_num_patches,
)

import videoexpert
from towers import picture, write_tower
from videoexpert.backends.catalogue import kind_of
from videoexpert.backends.contrastive import Contrastive
from videoexpert.errors import CheckpointError, InputError
from videoexpert.testing import tiny_video
from videoexpert.vision.image_text import ImageTextTower, load_tower
from videoexpert.vision.naflex import PatchPreprocessor, patch_grid

TEXTS = ["a photo of a cat", "The red CIRCLE moves left", "x", "two dogs run over the grass"]
SHAPES = [(48, 64), (64, 36), (33, 91), (32, 32), (360, 640), (9, 200), (5, 7)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tower("naflex", tmp_path_factory.mktemp("towers") / "naflex")


def unit(rows):
    return rows.pooler_output / rows.pooler_output.norm(dim=-1, keepdim=True)


def test_embeddings_are_those_of_transformers(folder):
    tower = load_tower(folder)
    assert isinstance(tower, ImageTextTower)
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    pictures = [picture(i, *shape) for i, shape in enumerate(SHAPES)]
    with torch.no_grad():
        cut = Siglip2ImageProcessorPil.from_pretrained(folder)(
            images=[Image.fromarray(one) for one in pictures], return_tensors="pt"
        )
        theirs = unit(model.get_image_features(**cut))
        text = processor.tokenizer(
            TEXTS, return_tensors="pt", padding="max_length", max_length=64, truncation=True
        )
        texts = unit(model.get_text_features(**text))
    for one, row in zip(pictures, theirs, strict=True):
        small = tower.resize(one)[None]
        # transformers pads each picture of the batch to 20 patches and masks them
        assert torch.allclose(tower.encode_images(small), row, atol=1e-4)
        whole = torch.from_numpy(one).permute(2, 0, 1)[None]
        assert torch.allclose(tower.encode_images(whole), row, atol=2e-3)
    assert torch.allclose(tower.encode_texts(TEXTS), texts, atol=1e-4)
    assert (theirs[0] - theirs[1]).abs().max() > 1e-3
    assert (texts[0] - texts[1]).abs().max() > 1e-3


def test_a_batch_of_one_shape(folder):
    tower = load_tower(folder)
    frames = torch.stack([tower.resize(picture(i, 36, 64)) for i in range(5)])
    rows = torch.cat([tower.encode_images(frame[None]) for frame in frames])
    assert torch.allclose(tower.encode_images(frames, batch_size=2), rows, atol=1e-5)


def test_sizes_are_those_of_transformers():
    draw = random.Random(0)
    shapes = [(draw.randint(16, 2200), draw.randint(16, 4100)) for _ in range(300)]
    shapes += [(720, 1280), (1080, 1920), (2160, 3840), (1280, 720), (240, 320), (480, 854), (256, 256)]
    for height, width in shapes:
        for most in (64, 256, 1024):
            rows, columns = patch_grid(height, width, most)
            assert (rows * 16, columns * 16) == get_image_size_for_max_num_patches(height, width, 16, most)


def test_a_picture_of_the_right_shape_stays():
    draw = random.Random(1)
    prepared = PatchPreprocessor(max_patches=100)
    for _ in range(100):
        shape = prepared.shape(draw.randint(1, 3000), draw.randint(1, 3000))
        assert prepared.shape(*shape) == shape
        assert shape[0] * shape[1] <= 100 * 16 * 16


def test_grounding(folder, tmp_path):
    video = tiny_video(tmp_path / "a.mp4", 8.0)
    expert = videoexpert.load(folder, device="cpu")
    assert isinstance(expert, Contrastive)
    moments = expert.open(video).ground("a cat")
    assert moments[0].start < moments[0].end
    told = expert.describe()
    assert (told["preprocessing"]["max_patches"], told["preprocessing"]["patch_size"]) == (20, 8)
    assert kind_of({"model_type": "siglip2"}) == "contrastive"


def test_without_a_preprocessor_file_the_model_decides(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "preprocessor_config.json").unlink()
    assert load_tower(copy).preprocessing == PatchPreprocessor(patch_size=8, max_patches=16)


def test_tokens_that_nothing_uses_are_not_warned_of(folder, tmp_path):
    """transformers warns, once each, of numbers of tokens that are beyond the vocabulary."""
    said = []
    handler = logging.Handler()
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger("transformers").addHandler(handler)
    try:
        load_tower(_with_start_token(folder, tmp_path / "a", 777_001))
        assert not any("777001" in line for line in said)
        AutoModel.from_pretrained(_with_start_token(folder, tmp_path / "b", 777_002))
        assert any("777002" in line for line in said)
    finally:
        logging.getLogger("transformers").removeHandler(handler)


def _with_start_token(folder, copy, number):
    shutil.copytree(folder, copy)
    config = json.loads((copy / "config.json").read_text())
    config["text_config"]["bos_token_id"] = number
    (copy / "config.json").write_text(json.dumps(config))
    return copy


def test_wrong_settings():
    with pytest.raises(InputError, match="max_patches is 0"):
        PatchPreprocessor(max_patches=0)
    with pytest.raises(InputError, match="expected 1 to 65,536"):
        PatchPreprocessor(patch_size=1, max_patches=10**9)
    with pytest.raises(InputError, match="VIDEOEXPERT_MAX_PICTURE_PIXELS"):
        PatchPreprocessor(patch_size=60_000, max_patches=60_000)
    for stored in (
        {"max_num_patches": "many"},
        {"patch_size": 1e400},
        {"image_mean": 0.5},
        {"image_std": [0.5, 0.0, 0.5]},
        {"image_mean": [0.5, float("nan"), 0.5]},
        {"image_mean": ["a", "b", "c"]},
    ):
        with pytest.raises(CheckpointError, match=r"p\.json does not say how pictures are prepared"):
            PatchPreprocessor.from_stored(stored, "p.json")
    with pytest.raises(CheckpointError, match="resample 5, expected 2"):
        PatchPreprocessor.from_stored({"resample": 5}, "p.json")
    with pytest.raises(InputError, match="uint8"):
        PatchPreprocessor().resize_pixels(torch.zeros(1, 3, 8, 8))
    with pytest.raises(InputError, match="frame must be"):
        PatchPreprocessor().resize(picture(0, 8, 8)[..., 0])
