"""``models``: the list, the default, and one sentence for each name that cannot be loaded."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from towers import write_tower
from videoexpert import session, settings
from videoexpert.apps.commands import models
from videoexpert.backends.catalogue import CATALOGUE
from videoexpert.backends.contrastive import Contrastive
from videoexpert.errors import CheckpointError, DataError


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def test_the_list(call):
    document = call("models", "--format", "json").json
    assert document["default"] == "shipped"
    assert [row["name"] for row in document["models"]] == [entry.name for entry in CATALOGUE]
    assert [row["name"] for row in document["models"] if row["cached"]] == ["shipped"]
    table = call("models").out
    assert all(entry.name in table and entry.licence in table for entry in CATALOGUE)
    assert max(map(len, table.splitlines())) <= 90
    assert " * shipped" in table


def test_a_default_for_all_commands(call, model, video, monkeypatch):
    done = call("models", "use", model)
    assert (done.code, done.err) == (0, "")
    assert json.loads(settings.settings_file().read_text()) == {"model": str(model)}
    asked = ("ground", video, "it falls", "--format", "json")
    assert call(*asked).json["model"] == str(model)
    assert call(*asked, "--model", "shipped").json["model"] == "shipped"
    monkeypatch.setenv("VIDEOEXPERT_MODEL", "shipped")
    assert call(*asked).json["model"] == "shipped"
    assert "comes first" in call("models", "use", model).err
    monkeypatch.delenv("VIDEOEXPERT_MODEL")
    assert call("models", "use", "shipped").code == 0
    assert call(*asked).json["model"] == "shipped"


def test_a_folder_as_default_is_found_from_anywhere(call, model, video, tmp_path, monkeypatch):
    monkeypatch.chdir(model.parent)
    assert call("models", "use", model.name, "--format", "json").json["default"] == str(model)
    monkeypatch.chdir(tmp_path)
    assert call("ground", video, "it falls", "--format", "json").json["model"] == str(model)
    (tmp_path / "shipped").mkdir()
    assert [
        settings.whole_name(name) for name in ("shipped", "contrastive:", "a/b", "contrastive:shipped")
    ] == [
        "shipped",
        "contrastive:",
        "a/b",
        f"contrastive:{tmp_path / 'shipped'}",
    ]


def test_the_variable_names_any_kind(monkeypatch):
    monkeypatch.setenv("VIDEOEXPERT_MODEL", "contrastive:")
    assert isinstance(session.load(device="cpu"), Contrastive)


def test_a_clip_folder_needs_no_prefix():
    from videoexpert.assets import SHIPPED_CLIP

    found = session.load(SHIPPED_CLIP, device="cpu", method="tag")
    assert isinstance(found, Contrastive)
    assert (found.method, found.name) == ("tag", str(SHIPPED_CLIP))


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"model_type": "llama"}, "type 'llama', which reads text alone and sees no pictures"),
        ({"model_type": "bert"}, "type 'bert', which reads text alone and sees no pictures"),
        ({"model_type": "detr"}, "type 'detr', which finds objects in single pictures"),
        ({"model_type": "vit"}, "type 'vit', which sees pictures and reads no sentences"),
        ({"model_type": "x", "auto_map": {"AutoModel": "evil.Model"}}, "asks to run code of its own"),
        ({"model_type": "nothing-known"}, "does not answer about videos"),
        ({}, "a model of unknown type"),
    ],
)
def test_wrong_models_in_one_sentence_and_nothing_runs(call, video, tmp_path, fields, sentence):
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(fields))
    (folder / "evil.py").write_text("raise SystemExit('executed')")
    done = call("ground", video, "it falls", "--model", folder)
    assert (done.code, done.out) == (1, "")
    assert sentence in done.err
    assert done.err.count("\n") == 1


def test_pickled_weights_are_written_again(call, video, tmp_path):
    folder = write_tower("clip", tmp_path / "clip")
    asked = ("ground", video, "it falls", "--device", "cpu", "--format", "json", "--model")
    before = call(*asked, folder).json["queries"]
    done = call("convert", folder, tmp_path / "again")
    assert (done.code, "has safetensors" in done.err) == (2, True)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert f"`videoexpert convert {folder} FOLDER`" in call(*asked, folder).err
    assert call("convert", folder, tmp_path / "again", "--format", "json").json == {
        "out": str(tmp_path / "again"),
    }
    assert call(*asked, tmp_path / "again").json["queries"] == before
    assert call("convert", folder, tmp_path / "again").code == 2  # it exists
    for option in (("--fusion", "add"), ("--verbose",), ("--stage1", folder / "config.json")):
        refused = call("convert", folder, tmp_path / "b", *option)  # they mean the authors' checkpoint
        assert (refused.code, "give --language and --vision" in refused.err) == (2, True)
    assert "cannot be reached" in call("convert", "owner/model", tmp_path / "b").err
    (folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch it_ran'\ntR.")
    assert call("convert", folder, tmp_path / "b").code == 1
    assert not (tmp_path / "b").exists()


def test_a_wrong_name_does_not_become_the_default(call, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    for name, sentence in ((tmp_path, "reads text alone"), ("owner/model", "the hub cannot be reached")):
        done = call("models", "use", name)
        assert (done.code, sentence in done.err) == (1, True)
    assert not settings.settings_file().exists()
    with pytest.raises(CheckpointError):
        session.check_name("contrastive:owner/model")
    session.check_name("http://localhost:8000/v1#x")


def test_a_broken_settings_file(tmp_path):
    file = settings.settings_file()
    file.parent.mkdir(parents=True)
    for text in ('{"model": 3}', "[]", "{"):
        file.write_text(text)
        with pytest.raises(DataError):
            settings.default_model()


def test_sizes_are_read_by_people():
    assert [models._size(value) for value in (0.004, 0.6, 17.5)] == ["4 MB", "0.6 GB", "17.5 GB"]
