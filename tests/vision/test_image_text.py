"""Towers against transformers' own route, tokenisation and preprocessing included."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from matplotlib.cbook import get_sample_data
from PIL import Image
from transformers import AutoModel, AutoProcessor, pipeline

from towers import FAMILIES, IMAGE, picture, write_tower
from videoexpert.errors import CheckpointError, InputError, ModelWarning
from videoexpert.video import read_frames
from videoexpert.vision.image_text import ImageTextTower, load_tower

TEXTS = [
    "a photo of a cat",
    "The red CIRCLE moves left",
    "zwei Hunde, 3 Katzen!",
    "x",
    "two dogs run over the grass near the red fridge",
]
PICTURES = [picture(i, h, w) for i, (h, w) in enumerate([(48, 64), (64, 36), (33, 91), (32, 32), (120, 117)])]


@pytest.fixture(scope="session")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("towers")
    return {family: write_tower(family, root / family, seed) for seed, family in enumerate(FAMILIES)}


def unit(rows):
    rows = rows if isinstance(rows, torch.Tensor) else rows.pooler_output
    return rows / rows.norm(dim=-1, keepdim=True)


def assert_embeds_like_transformers(folder, pictures):
    """Pictures (H, W, 3) and TEXTS through our tower and through transformers' own model and processor."""
    tower = load_tower(folder)
    assert isinstance(tower, ImageTextTower)
    model, processor = AutoModel.from_pretrained(folder).eval(), AutoProcessor.from_pretrained(folder)
    padding = (
        {"padding": "max_length", "max_length": 64, "truncation": True}
        if "sig" in folder.name
        else {"padding": True}
    )
    with torch.no_grad():
        images = [Image.fromarray(picture) for picture in pictures]
        pixels = processor.image_processor(images=images, return_tensors="pt")
        theirs = unit(model.get_image_features(**pixels))
        text = unit(model.get_text_features(**processor.tokenizer(TEXTS, return_tensors="pt", **padding)))
    small = torch.stack([tower.resize(picture) for picture in pictures])
    assert small.shape[1:] == (3, IMAGE, IMAGE)
    assert torch.allclose(tower.encode_images(small, batch_size=2), theirs, atol=1e-4)
    assert torch.allclose(tower.encode_texts(TEXTS), text, atol=1e-4)
    assert tower.width == theirs.shape[1]
    assert (theirs[0] - theirs[1]).abs().max() > 1e-3  # the pictures are told apart at all
    assert (text[0] - text[1]).abs().max() > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_are_those_of_transformers(folders, family):
    assert_embeds_like_transformers(folders[family], PICTURES)


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_of_photographs(folders, family):
    """The portrait that matplotlib ships, whole and turned on its side."""
    with Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as portrait:
        photo = np.asarray(portrait.convert("RGB"))
    assert_embeds_like_transformers(folders[family], [photo, np.rot90(photo).copy()])


@pytest.mark.parametrize("family", FAMILIES)
def test_embeddings_of_frames_of_real_videos(folders, family, shared):
    names = ("yoga.mp4", "univtg_charades.mp4", "skateboarding_portrait_vfr.mp4", "chaplin.mp4")
    frames = [read_frames(shared / "videos" / name, 2).pixels for name in names]
    pictures = [picture.permute(1, 2, 0).numpy() for two in frames for picture in two]
    assert_embeds_like_transformers(folders[family], pictures)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_pipeline(folders, family):
    tower = load_tower(folders[family])
    ask = pipeline("zero-shot-image-classification", model=str(folders[family]), device="cpu")
    cosine = tower.encode_images(tower.resize(PICTURES[0])[None]) @ tower.encode_texts(TEXTS).T
    logits = cosine[0] * tower.logit_scale + (tower.logit_bias or 0.0)
    ours = logits.sigmoid() if "sig" in family else logits.softmax(-1)
    theirs = {
        row["label"]: row["score"]
        for row in ask(Image.fromarray(PICTURES[0]), candidate_labels=TEXTS, hypothesis_template="{}")
    }
    assert ours.tolist() == pytest.approx([theirs[t] for t in TEXTS], abs=1e-4)


def test_pictures_of_any_size_are_resized(folders):
    tower = load_tower(folders["clip"])
    whole = torch.from_numpy(PICTURES[0]).permute(2, 0, 1)[None]
    small = tower.resize(PICTURES[0])[None]
    assert torch.allclose(tower.encode_images(whole), tower.encode_images(small), atol=2e-3)
    assert tower.encode_images(small[:0]).shape == (0, tower.width)
    assert tower.encode_texts([]).shape == (0, tower.width)
    for wrong in (small[0], small.float(), small[:, :2]):
        with pytest.raises(InputError, match="uint8"):
            tower.encode_images(wrong)


@pytest.mark.parametrize("family", ["clip", "siglip"])
def test_a_long_sentence_is_cut_and_said(folders, family):
    tower = load_tower(folders[family])
    words = "a photo of a cat " * 40
    with pytest.warns(ModelWarning, match=r"reads the first \d+ tokens"):
        rows = tower.encode_texts([words, "a cat"])
    assert rows.isfinite().all()


def test_a_key_tells_towers_apart(folders, tmp_path):
    clip, siglip = load_tower(folders["clip"]), load_tower(folders["siglip"])
    assert clip.revision != siglip.revision
    assert clip.preprocessing != siglip.preprocessing
    shutil.copytree(folders["clip"], tmp_path / "copy")
    assert load_tower(tmp_path / "copy").revision == clip.revision


def test_without_a_preprocessor_file_the_family_decides(folders, tmp_path):
    for family in FAMILIES:
        copy = shutil.copytree(folders[family], tmp_path / family)
        (copy / "preprocessor_config.json").unlink()
        assert load_tower(copy).preprocessing == load_tower(folders[family]).preprocessing


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model_type": "llama"}, "type 'llama', which does not embed pictures"),
        ({"model_type": "detr"}, "type 'detr', which does not embed pictures"),
        ({"model_type": "mine", "auto_map": {"AutoModel": "evil.Model"}}, "code of its own"),
        ({}, "type None"),
    ],
)
def test_other_models_are_refused_before_their_weights_are_read(tmp_path, fields, sentence):
    (tmp_path / "config.json").write_text(json.dumps(fields))
    (tmp_path / "evil.py").write_text("raise SystemExit('executed')")
    with pytest.raises(CheckpointError, match=sentence):
        load_tower(tmp_path)


def test_incomplete_folders(folders, tmp_path):
    whole = folders["clip"]
    cut = shutil.copytree(whole, tmp_path / "cut")
    data = (cut / "model.safetensors").read_bytes()
    (cut / "model.safetensors").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"half a download: model\.safetensors is cut short"):
        load_tower(cut)
    (cut / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="has no weights"):
        load_tower(cut)
    (cut / "pytorch_model.bin").write_bytes(b"not opened")
    with pytest.raises(CheckpointError, match=r"as a pickle \(pytorch_model\.bin\)"):
        load_tower(cut)


@pytest.mark.parametrize("family", ["metaclip2", "siglip", "siglip2"])
def test_a_folder_without_tokenizer_is_refused(folders, tmp_path, family):
    """transformers would make one that knows no words."""
    copy = shutil.copytree(folders[family], tmp_path / family)
    for file in ("tokenizer.json", "spiece.model"):
        (copy / file).unlink(missing_ok=True)
    with pytest.raises(CheckpointError, match="has no tokenizer"):
        load_tower(copy)


def test_missing_weights_are_not_made_up(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    copy = shutil.copytree(folders["clip"], tmp_path / "copy")
    tensors = load_file(copy / "model.safetensors")
    del tensors["text_projection.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 of its weights \(text_projection\.weight"):
        load_tower(copy)


def test_a_tower_without_end_token_gets_one(folders):
    """The shipped tower's tokenizer adds none; CLIP would read the sentence at another word."""
    from videoexpert.assets import SHIPPED_CLIP

    tower = load_tower(SHIPPED_CLIP)
    rows = tower.encode_texts(["the red circle moves left", "the blue square grows"])
    assert np.allclose(rows.norm(dim=-1), 1, atol=1e-5)
    assert rows.shape == (2, tower.width)
