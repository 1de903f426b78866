"""A base of 4 or 8 bits under the shipped experts: quantised, saved and named as a person would, then asked."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import videoexpert
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.checkpoints.folder import CONFIG, PREPROCESSOR, load, save, shipped

pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")

QUERIES = ("the red square shrinks", "the purple triangle moves right")
OFF = {4: 0.3, 8: 0.05}  # seconds that a moment's ends may move; of 20


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped model's vision tower and language model as folders of transformers."""
    folder = tmp_path_factory.mktemp("bases")
    model, tokenizer = load(shipped())
    model.vision.model.save_pretrained(folder / "vision")
    shutil.copy(shipped() / PREPROCESSOR, folder / "vision")
    state = {
        name.replace(".base.weight", ".weight"): tensor.contiguous()
        for name, tensor in model.language.state_dict().items()
        if not name.endswith((".lora_A", ".lora_B", ".loc_row"))
    }
    rows = len(state["model.embed_tokens.weight"])  # without that of <LOC>, which is the model's own
    model.language.save_pretrained(folder / "language", state_dict=state)
    tokenizer.save_pretrained(folder / "language")
    stored = folder / "language" / CONFIG
    stored.write_text(json.dumps({**json.loads(stored.read_text()), "vocab_size": rows}))
    return folder


def settings(bits: int) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_compute_dtype=torch.float32)


@pytest.mark.parametrize("bits", [4, 8])
def test_it_answers_as_the_whole_one_does(bases: Path, bits: int) -> None:
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(bases / "language", quantization_config=settings(bits))
    base.save_pretrained(bases / f"{bits}bit")
    model, tokenizer = load(shipped())
    tokenizer.save_pretrained(bases / f"{bits}bit")
    model.config.vision_name, model.config.language_name = str(bases / "vision"), str(bases / f"{bits}bit")
    save(model, tokenizer, bases / f"expert{bits}", adapter_only=True)

    found = videoexpert.load(str(bases / f"expert{bits}")).open(SHIPPED_VIDEO)
    whole = videoexpert.load().open(SHIPPED_VIDEO)
    for query in QUERIES:
        one, other = found.ground(query)[0], whole.ground(query)[0]
        assert abs(one.start - other.start) <= OFF[bits]
        assert abs(one.end - other.end) <= OFF[bits]
        assert abs(one.score - other.score) <= 0.1
        assert (one.start, one.end) != (other.start, other.end)  # it is not the whole one that answered
