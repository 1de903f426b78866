"""Models of a known shape with random weights, and videos and questions of realistic length, for speed alone.

No weights are needed to measure speed. Everything else is what the package runs: its model class, experts on
every linear layer, packed sequences, losses.
"""

from __future__ import annotations

import random
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, CLIPVisionConfig, LlamaConfig

from videoexpert.config import VideoExpertConfig
from videoexpert.language.sequence import IGNORED, Segment
from videoexpert.model import VideoExpertModel
from videoexpert.recipes import Recipe, load_recipe
from videoexpert.training.batches import Example
from videoexpert.types import VisualTokens

ROOT = Path(__file__).resolve().parent.parent
# name -> width, inner width, layers, heads, vocabulary
SIZES = {
    "tiny": (64, 172, 2, 4, 1000),
    "small": (512, 1376, 8, 8, 32000),
    "wide": (2048, 5504, 4, 16, 1000),
    "vicuna-layers": (4096, 11008, 2, 32, 1000),  # two of its layers: what a CPU holds
    "vicuna-7b": (4096, 11008, 32, 32, 32000),
}
# FLOP/s of dense bfloat16 products, from the makers' data sheets
PEAKS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}
PREFIX = 42  # tokens of Vicuna's system text, about
DURATION_S = 120.0


def pretraining() -> Recipe:
    """recipes/pretrain.yaml: ranks, dropout, checkpointing and precision of the paper's run."""
    recipe: Recipe = load_recipe(ROOT / "recipes" / "pretrain.yaml")
    return recipe


def pick_size(size: str, device: torch.device) -> str:
    """ "auto" is Vicuna-7B's shape on a GPU and the tiny one elsewhere."""
    if size != "auto":
        return size
    return "vicuna-7b" if device.type == "cuda" else "tiny"


def build(size: str, device: torch.device, dtype: torch.dtype) -> VideoExpertModel:
    """A random model of that shape with the fields of recipes/pretrain.yaml, made where it is to stay.

    The base language model is ``dtype`` from the first moment, so that no more memory is needed than it takes;
    what trains is float32. The vision tower is a stand-in of CLIP ViT-L/14's output width: it does not run here.
    """
    width, inner, layers, heads, vocabulary = SIZES[size]
    language = LlamaConfig(
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        vocab_size=vocabulary,
        max_position_embeddings=4096,
    )
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, projection_dim=768
    )
    config = VideoExpertConfig.from_preset(
        "paper",
        vision_config=vision.to_dict(),
        language_config=language.to_dict(),
        loc_token_id=vocabulary,
        **pretraining().model.config,
    )
    torch.manual_seed(0)
    with torch.device(device):
        base = AutoModelForCausalLM.from_config(language, dtype=dtype)
        return VideoExpertModel(config, language=base)


def video(model: VideoExpertModel, spatial_tokens: int | None = None) -> VisualTokens:
    """Random T-tokens (N, C) and S-tokens (M, C); ``spatial_tokens`` M where it is not the config's."""
    config = model.config
    count = config.num_spatial_tokens if spatial_tokens is None else spatial_tokens
    width = config.vision_width
    return VisualTokens(torch.randn(config.num_frames, width), torch.randn(count, width), DURATION_S)


def prefix_ids(model: VideoExpertModel) -> list[int]:
    """Ids that stand for the system text."""
    return words(model, random.Random(0), PREFIX)


def words(model: VideoExpertModel, draw: random.Random, count: int) -> list[int]:
    """Random ids that are neither special nor ``<LOC>``."""
    return draw.choices(range(10, loc_id(model)), k=count)


def loc_id(model: VideoExpertModel) -> int:
    """The id of ``<LOC>``, here the first after the vocabulary."""
    found = model.config.loc_token_id
    assert found is not None
    return found


def examples(model: VideoExpertModel, count: int, seed: int = 0) -> Iterator[Example]:
    """Training samples with the lengths of the paper's mixture, in random ids.

    One in six is a question with a short answer, and of the others one in five a dense caption and the rest
    queries. A sentence has 13.5 words and a video 3.65 of them (ActivityNet Captions, Krishna et al., 2017), at
    1.3 tokens a word; around it stand about 25 tokens of template.
    """
    draw = random.Random(seed)
    for number in range(count):
        sentence = [max(4, round(draw.gauss(13.5, 5) * 1.3)) for _ in range(4)]
        if number % 6 == 5:
            question, answer = 25 + sentence[0] + 20, [8]  # with choices
        elif number % 5 == 4:
            question, answer = 25, [length + 4 for length in sentence]
        else:
            question, answer = 25 + sentence[0], [4]
        asked = words(model, draw, question)
        ids, labels = list(asked), [IGNORED] * question
        places = []
        for length in answer:
            places.append(len(ids) + 1)
            told = words(model, draw, length)
            told[1] = loc_id(model)
            ids += told
            labels += told
        starts = [draw.uniform(0, DURATION_S * 0.7) for _ in places]
        windows = tuple(((start, start + DURATION_S * 0.25),) for start in starts)
        yield Example(Segment(tuple(ids), tuple(labels), tuple(places)), windows, DURATION_S)


def peak_flops(device: torch.device) -> float | None:
    """FLOP/s in bfloat16 that the device's maker states; None for a device that is not in PEAKS."""
    if device.type != "cuda":
        return None
    name = torch.cuda.get_device_name(device)
    return next((peak for part, peak in PEAKS.items() if part in name), None)


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def peak_memory(device: torch.device) -> float:
    """GiB: on a GPU the most since ``forget_peak``; elsewhere the most that the process ever held."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def forget_peak(device: torch.device) -> None:
    """Begin anew with ``peak_memory``; memory that nothing holds any more goes back to the device."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


@contextmanager
def autocast(device: torch.device) -> Iterator[None]:
    """As a run with ``precision: bf16``: products in bfloat16, trained weights and losses in float32."""
    with torch.autocast(device.type, dtype=torch.bfloat16):
        yield


def print_table(rows: list[dict[str, Any]]) -> None:
    """Rows of the same keys, one a line."""
    cells = [list(rows[0]), *[[_cell(value) for value in row.values()] for row in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(cells[0]))]
    for line in cells:
        print("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
