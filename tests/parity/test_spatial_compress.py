"""The `released` preset against the released filter's tensors (shared reference data, spatial_compress).

`compress_class_pool` is the method in force. `compress_pool` and `mean_pool` are switched-off experiments
of the released code; they are no part of the model and not implemented.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from videoexpert.config import VideoExpertConfig
from videoexpert.vision.compressor import CompressorConfig, _compress, _Compressed

CONFIG = VideoExpertConfig.from_preset("released")
OPTIONS = CompressorConfig.of(CONFIG)


@pytest.fixture(scope="module")
def folder(shared: Path) -> Path:
    return shared / "reference" / "spatial_compress"


def read_input(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """cls (2, 100, 768) and patches (2, 100, 256, 768), zero in the frames that the method does not read."""
    stored = load_file(folder / "input.safetensors")
    batch, frames, width = stored["cls_int8"].shape
    patches = torch.zeros(batch, frames, stored["patches_int8"].shape[2], width)
    patches[:, stored["frames"]] = stored["patches_int8"].float() / 32
    return stored["cls_int8"].float() / 32, patches


def check_decisions(result: _Compressed, expected: dict[str, torch.Tensor]) -> None:
    batch, groups, _ = expected["center_idx"].shape
    by_group = (batch, groups, 3, -1)
    torch.testing.assert_close(result.centres, expected["center_idx"].long(), rtol=0, atol=0)
    torch.testing.assert_close(result.labels.view(by_group), expected["labels"].long(), rtol=0, atol=0)
    kept = result.kept.view(by_group)
    assert kept[:, :, 0].all()  # the IDR frame stays whole
    assert torch.equal(kept[:, :, 1:], expected["kept"])
    torch.testing.assert_close(result.members, expected["members"].long(), rtol=0, atol=0)


def test_class_pool_decisions_are_equal_and_tokens_close(folder: Path) -> None:
    cls, patches = read_input(folder)
    expected = load_file(folder / "compress_class_pool.safetensors")
    result = _compress(cls, patches, None, OPTIONS)
    check_decisions(result, expected)
    torch.testing.assert_close(result.tokens.flatten(1, 2), expected["s_tokens"], rtol=0, atol=1e-5)
    # The case would show a wrong class token or a wrong reference frame: neither choice leaves it unchanged.
    other = _compress(cls, patches, None, replace(OPTIONS, static_reference="previous"))
    assert not torch.equal(other.kept, result.kept)


def test_frames_outside_the_groups_have_no_influence(folder: Path) -> None:
    cls, patches = read_input(folder)
    unread = torch.ones(patches.shape[1], dtype=torch.bool)
    unread[load_file(folder / "input.safetensors")["frames"]] = False
    patches[:, unread] = 7.0
    expected = load_file(folder / "compress_class_pool.safetensors")
    check_decisions(_compress(cls, patches, None, OPTIONS), expected)


def test_each_video_of_the_batch_is_compressed_alone(folder: Path) -> None:
    cls, patches = read_input(folder)
    expected = load_file(folder / "compress_class_pool.safetensors")
    for video in (1, 0):
        alone = _compress(cls[video : video + 1], patches[video : video + 1], None, OPTIONS)
        check_decisions(alone, {name: value[video : video + 1] for name, value in expected.items()})


def test_tiled_case(folder: Path) -> None:
    """Few distinct patch vectors: all other centres own no token and return the IDR token of their place."""
    stored = load_file(folder / "tiled_case.safetensors")
    vectors = stored["vectors_int8"].long()
    of_patch = stored["vector_of_patch"].long()
    patches = (vectors[of_patch] / 32)[None]  # (1, 100, 256, 768)
    class_token = (vectors[0] + vectors[4]).clamp(-127, 127) / 32
    cls = class_token.expand(1, 100, -1)
    features = torch.cat([cls[:, :, None], patches], dim=2).contiguous()
    with safe_open(folder / "tiled_case.safetensors", "pt") as file:
        sha256 = file.metadata()["sha256_input_float32"]
    assert hashlib.sha256(features.numpy().tobytes()).hexdigest() == sha256
    result = _compress(cls, patches, None, OPTIONS)
    assert torch.equal(result.centres[0], stored["center_idx"].long())
    distinct = len(of_patch.unique())
    assert distinct < CONFIG.tokens_per_group
    assert ((result.members > 0).sum(-1) <= distinct).all()
    expected = vectors[stored["vector_of_s_token"].long()] / 32
    torch.testing.assert_close(result.tokens.flatten(1, 2)[0], expected, rtol=0, atol=1e-5)
