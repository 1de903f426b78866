"""Foreign model folders: their code never runs, nothing is asked, no size is believed, and one sentence says why."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from videoexpert import pretrained
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.checkpoints.released.base import needs_safetensors, write_base
from videoexpert.errors import CheckpointError
from videoexpert.testing import tiny_config, tiny_model, tiny_tokenizer

CODE = "import pathlib; pathlib.Path(__file__).with_name('it_ran').touch()\n"


@pytest.fixture(scope="module")
def ours(tmp_path_factory) -> Path:
    return checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path_factory.mktemp("ours") / "model")


@pytest.fixture(scope="module")
def language(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bases") / "language"
    fields = dict(tiny_config().language_config)
    AutoModelForCausalLM.from_config(AutoConfig.for_model(**fields)).save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(autouse=True)
def _nobody_is_asked(monkeypatch):
    def ask(*_):
        raise AssertionError("something was asked on the terminal")

    monkeypatch.setattr("builtins.input", ask)


def copy(folder: Path, tmp_path: Path, file: str = "config.json", **fields) -> Path:
    out = tmp_path / "copy"
    shutil.copytree(folder, out)
    stored = json.loads((out / file).read_text())
    (out / file).write_text(json.dumps(stored | fields))
    return out


AUTO_MAP = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model", "AutoTokenizer": ["evil.T", "evil.T"]}


@pytest.mark.parametrize(
    ("file", "fields", "message"),
    [
        ("config.json", {"auto_map": AUTO_MAP}, "code of the folder's own"),
        (
            "tokenizer_config.json",
            {"auto_map": AUTO_MAP, "tokenizer_class": "Evil"},
            "asks to run code of its own",
        ),
        ("config.json", {"attn_implementation": "someone/kernel"}, "the attention 'someone/kernel'"),
        ("config.json", {"_attn_implementation": {"": "someone/kernel"}}, "the attention 'someone/kernel'"),
    ],
)
def test_foreign_code_of_a_model_of_ours(ours, tmp_path, file, fields, message):
    folder = copy(ours, tmp_path, file, **fields)
    (folder / "evil.py").write_text(CODE)
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(folder)
    assert not (folder / "it_ran").exists()


@pytest.mark.parametrize(
    ("file", "fields"),
    [
        ("config.json", {"auto_map": AUTO_MAP, "model_type": "evil"}),
        ("config.json", {"attn_implementation": "someone/kernel"}),
        ("tokenizer_config.json", {"auto_map": AUTO_MAP, "tokenizer_class": "Evil"}),
    ],
)
def test_foreign_code_of_a_base(language, tmp_path, file, fields):
    folder = copy(language, tmp_path, file, **fields)
    (folder / "evil.py").write_text(CODE)
    with pytest.raises(CheckpointError, match=r"code of its own|the attention"):
        checkpoint.load_language(folder)
    assert not (folder / "it_ran").exists()


def test_code_beside_a_known_model_is_not_used(language, tmp_path):
    folder = copy(language, tmp_path, auto_map=AUTO_MAP)
    (folder / "evil.py").write_text(CODE)
    model, _ = checkpoint.load_language(folder)
    assert type(model).__module__.startswith("transformers.")
    assert not (folder / "it_ran").exists()


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.int64, torch.bool, torch.float8_e4m3fn])
def test_weights_that_are_no_floating_numbers(ours, language, tmp_path, dtype):
    folder = copy(ours, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    tensors["adapter.linear.weight"] = tensors["adapter.linear.weight"].to(dtype)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"adapter.linear.weight .* holds \w+, expected float16"):
        checkpoint.load(folder)
    base = copy(language, tmp_path / "base")
    tensors = load_file(base / "model.safetensors")
    tensors["lm_head.weight"] = tensors["lm_head.weight"].to(dtype)
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lm_head.weight of .* holds \w+, expected F16"):
        checkpoint.load_language(base)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"nms_iou": float("nan")}, "nms_iou is nan|NaN is not a JSON number"),
        ({"num_frames": 1e9}, "num_frames is 1000000000.0, expected a whole number"),
        ({"num_frames": 10**9}, "VIDEOEXPERT_MAX_FRAMES"),
        ({"head_width": 60_000}, r"shape .*, the config asks for \(60000,"),
        ({"temporal_rank": 60_000}, "shape .*, the config asks for"),
        ({"what_is_this": 1}, "'what_is_this' is not a field of the config"),
        ({"language_config": {"model_type": "nothing"}}, "cannot be built into a model"),
        ({"language_config": {}}, "cannot be built into a model"),
        ({"vision_config": {"model_type": "llama"}}, "expected one of clip"),
        ({"language_config": None}, "lacks vision_config"),
        ({"language_config": 5}, "language_config is 5, expected an object"),
    ],
)
def test_configs_that_are_wrong(ours, tmp_path, fields, message):
    with pytest.raises(CheckpointError, match=message):
        checkpoint.load(copy(ours, tmp_path, **fields))


@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("language_config", "num_hidden_layers", 10**9),
        ("language_config", "hidden_size", 2**40),
        ("language_config", "vocab_size", 10**15),
        ("language_config", "hidden_size", "wide"),
        ("language_config", "num_attention_heads", 0),
        ("vision_config", "image_size", 10**9),
        ("vision_config", "hidden_size", -5),
        ("vision_config", "patch_size", 0),
    ],
)
def test_no_memory_is_taken_for_a_network_that_its_file_does_not_hold(ours, tmp_path, part, field, value):
    stored = json.loads((ours / "config.json").read_text())
    with pytest.raises(CheckpointError, match=r"cannot be built|the config asks for|VIDEOEXPERT_MAX_LAYERS"):
        checkpoint.load(copy(ours, tmp_path, **{part: stored[part] | {field: value}}))


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_pipe_in_place_of_a_file(ours, language, tmp_path, name):
    for source, load in ((ours, checkpoint.load), (language, checkpoint.load_language)):
        folder = copy(source, tmp_path / source.name)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(CheckpointError, match=rf"{name} is a pipe or device, expected a plain file"):
            load(folder)


@pytest.mark.parametrize(
    "text", ["{", "[1]", "null", '{"a": ' * 5000, '"\ud800"', '{"model": {"type": "BPE"}}', '{"version": 1}']
)
def test_tokenizers_that_are_damaged(ours, language, tmp_path, text):
    for source, load in ((ours, checkpoint.load), (language, checkpoint.load_language)):
        folder = copy(source, tmp_path / source.name)
        (folder / "tokenizer.json").write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(CheckpointError):
            load(folder)


def test_pickles_are_opened_by_convert_alone(language, tmp_path):
    folder = copy(language, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(tensors, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match=r"as a pickle \(pytorch_model.bin\), which can run code"):
        checkpoint.load_language(folder)
    assert needs_safetensors(folder)
    assert not needs_safetensors(language)
    written = write_base(folder, tmp_path / "written")
    assert not list(written.glob("*.bin"))
    model, _ = checkpoint.load_language(written)
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in tensors.items())
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch it_ran'\ntR.")
    with pytest.raises(CheckpointError):
        write_base(folder, tmp_path / "again")
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd"])
def test_an_index_that_names_files_elsewhere(language, tmp_path, shard):
    folder = copy(language, tmp_path)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
    with pytest.raises(CheckpointError, match="expected files beside it"):
        checkpoint.load_language(folder)


def test_reasons():
    assert pretrained.reason(KeyError("size")) == "KeyError: 'size'"
    assert pretrained.reason(OSError("no\nmore")) == "no"
    assert pretrained.reason(MemoryError()) == "MemoryError"
