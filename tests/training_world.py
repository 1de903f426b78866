"""A tiny world for training: base models on disk in their real layouts, own data, tokens in memory."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection, LlamaConfig, LlamaForCausalLM

from videoexpert.recipes import Recipe, from_mapping
from videoexpert.testing import LANGUAGE, VISION, tiny_tokenizer
from videoexpert.types import VisualTokens

N, M, C = 6, 6, 24
SIZES = {
    "num_frames": N,
    "groups": 2,
    "tokens_per_group": 3,
    "key_tokens": 2,
    "temporal_rank": 3,
    "spatial_rank": 2,
    "lora_alpha": 5.0,
    "lora_dropout": 0.1,  # resuming must bring back the random states
    "head_width": 16,
}


def save_bases(folder: Path) -> Path:
    """CLIP and Llama of toy size."""
    torch.manual_seed(0)
    CLIPVisionModelWithProjection(CLIPVisionConfig.from_dict(VISION)).save_pretrained(folder / "vision")
    LlamaForCausalLM(LlamaConfig.from_dict(LANGUAGE)).save_pretrained(folder / "language")
    tiny_tokenizer().save_pretrained(folder / "language")
    return folder


def records(videos: int) -> list[dict[str, Any]]:
    """Four questions a video: two queries, captions, a question with choices."""
    found: list[dict[str, Any]] = []
    for i in range(videos):
        video, start = f"v{i}", 1.0 + i % 4
        found += [
            {
                "video": video,
                "duration": 10,
                "query": f"it is {'abcdefgh'[i % 8]}",
                "moments": [[start, start + 4]],
            },
            {"video": video, "duration": 10, "query": "it falls", "moments": [[0, start], [8, 9]]},
            {
                "video": video,
                "duration": 10,
                "moments": [[0, 3], [4, 9]],
                "captions": ["it runs", f"it is {'abcdefgh'[i % 8]} and then it stops"],
            },
            {
                "video": video,
                "duration": 10,
                "question": "who is it?",
                "choices": ["a", "b"],
                "answer": i % 2,
                "moments": [[2, 3]],
            },
        ]
    return found


def write_records(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def tokens(videos: int) -> dict[str, VisualTokens]:
    draw = torch.Generator().manual_seed(3)
    return {
        f"v{i}": VisualTokens(torch.randn(N, C, generator=draw), torch.randn(M, C, generator=draw), 10.0)
        for i in range(videos)
    }


def make_recipe(bases: Path, annotations: Path, valid: bool = False, **training: Any) -> Recipe:
    source = {"benchmark": "jsonl", "annotations": str(annotations), "features": "memory"}
    raw = {
        "kind": "train",
        "seed": 3,
        "model": {"vision": str(bases / "vision"), "language": str(bases / "language"), "config": SIZES},
        "data": [source],
        "validation": [source] if valid else [],
        "training": {
            "steps": 6,
            "batch_size": 4,
            "micro_batch": 2,
            "learning_rate": 0.01,
            "precision": "float32",
            "log_every": 1,
            "save_every": 2,
            **training,
        },
    }
    return from_mapping(raw, "test")


@pytest.fixture(scope="session")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="session")
def annotations(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_records(tmp_path_factory.mktemp("own") / "own.jsonl", records(5))


@pytest.fixture(scope="session")
def stores() -> dict[str, dict[str, VisualTokens]]:
    return {"memory": tokens(5)}
