"""Round trips of model folders, and one clear sentence for each way a folder can be wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import CheckpointError
from videoexpert.testing import LOC, segment, tiny_model, tiny_tokenizer
from videoexpert.types import VisualTokens


def answer(model) -> torch.Tensor:
    torch.manual_seed(5)
    shown = VisualTokens(torch.randn(6, 24), torch.randn(6, 24), 10.0)
    return model.locate(model.open_prefix(shown, [1, 5]), [segment([7, 8, LOC, 3], 2)]).indicator_logits


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path / "model")


def test_full_round_trip(folder):
    loaded, _ = checkpoint.load(folder)
    assert torch.equal(answer(loaded), answer(tiny_model()))
    assert loaded.vision.preprocessor == tiny_model().vision.preprocessor
    # a file has no integer keys
    ours, theirs = (json.loads(json.dumps(m.config.to_dict())) for m in (loaded, tiny_model()))
    nested = ("vision_config", "language_config")
    assert not {k for k in theirs if ours[k] != theirs[k]} - {"architectures", *nested}
    for part in nested:  # transformers reorders these; every field keeps its value
        assert all(
            ours[part].get(k) == v for k, v in theirs[part].items() if k not in ("dtype", "_name_or_path")
        )


def test_adapter_round_trip_beside_its_bases(tmp_path):
    model = tiny_model()
    with pytest.raises(CheckpointError, match="must name its base models"):
        checkpoint.save(model, tiny_tokenizer(), tmp_path / "adapter", adapter_only=True)
    made = tmp_path / "bases"
    _save_bases(model, made)
    model.config.vision_name, model.config.language_name = "bases/vision", "bases/language"
    out = checkpoint.save(model, tiny_tokenizer(), tmp_path / "adapter", adapter_only=True)
    assert set(load_file(out / "model.safetensors")) == set(model.trained_names())
    loaded, _ = checkpoint.load(out)
    torch.testing.assert_close(answer(loaded), answer(model))


def _save_bases(model, folder: Path) -> None:
    """The base models on their own, as they would be downloaded."""
    from transformers import AutoConfig, AutoModelForCausalLM

    model.vision.model.save_pretrained(folder / "vision")
    fields = dict(model.config.language_config)
    plain = AutoModelForCausalLM.from_config(AutoConfig.for_model(fields.pop("model_type"), **fields))
    weights = {
        k.removeprefix("language.").replace(".base.", "."): v
        for k, v in model.state_dict().items()
        if k.startswith("language.") and not k.endswith(("lora_A", "lora_B", "loc_row"))
    }
    plain.load_state_dict(weights)
    plain.save_pretrained(folder / "language")
    tiny_tokenizer().save_pretrained(folder / "language")


def test_released_preset_keeps_its_trained_vocabulary_in_the_adapter(tmp_path):
    model = tiny_model("released")
    model.config.vision_name, model.config.language_name = "some/clip", "some/llama"
    out = checkpoint.save(model, tiny_tokenizer(), tmp_path / "adapter", adapter_only=True)
    stored = load_file(out / "model.safetensors")
    for name in ("language.lm_head.base.weight", "language.model.embed_tokens.base.weight"):
        assert torch.equal(stored[name], model.state_dict()[name])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda t: t.pop("adapter.linear.bias"), "1 tensors missing .adapter.linear.bias."),
        (lambda t: t.update(stray=torch.zeros(1)), "1 unexpected .stray."),
        (
            lambda t: t.update({"adapter.linear.bias": torch.zeros(3)}),
            r"shape \(3,\), the config asks for \(32,\)",
        ),
    ],
)
def test_damaged_weights_are_refused(folder, damage, message):
    tensors = load_file(folder / "model.safetensors")
    damage(tensors)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)


def test_truncated_weights_are_refused(folder):
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        checkpoint.load(folder)


def test_other_folders_are_refused(tmp_path, folder):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        checkpoint.load(tmp_path)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(CheckpointError, match="'llama', expected 'videoexpert'"):
        checkpoint.load(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(CheckpointError, match="not valid JSON"):
        checkpoint.load(folder)
    with pytest.raises(CheckpointError, match="neither a model folder"):
        checkpoint.load(tmp_path / "a" / "b" / "nowhere")


def test_saving_over_a_folder_replaces_it_whole(folder):
    (folder / "stale.txt").write_text("old")
    checkpoint.save(tiny_model(seed=1), tiny_tokenizer(), folder)
    assert not (folder / "stale.txt").exists()
    assert [p.name for p in folder.parent.iterdir()] == ["model"]
    assert torch.equal(answer(checkpoint.load(folder)[0]), answer(tiny_model(seed=1)))


def test_a_folder_does_not_tell_where_its_bases_lay(tmp_path):
    model = tiny_model()
    model.config.vision_config = {**model.config.vision_config, "_name_or_path": "/somebodys/disk"}
    out = checkpoint.save(model, tiny_tokenizer(), tmp_path / "model")
    assert "/somebodys/disk" not in (out / "config.json").read_text()
