"""Models by folder and by hub id: what is fetched, and one sentence for each way in which that fails."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from videoexpert import hub
from videoexpert.errors import CheckpointError

COMMIT = "c" * 40


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of our own, and no network."""
    folder = tmp_path / "hub"
    folder.mkdir()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    return folder


@pytest.fixture
def answering(monkeypatch, cache):
    """A hub that answers every request with one status and error code."""
    answer = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(answer["status"])
            self.send_header("X-Error-Code", answer.get("code", ""))
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    yield answer
    server.shutdown()
    server.server_close()


def put_in_cache(cache, name, files):
    root = cache / f"models--{name.replace('/', '--')}"
    snapshot = root / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "blobs").mkdir()
    (root / "refs" / "main").write_text(COMMIT)
    for file, content in files.items():
        (snapshot / file).write_bytes(content)
    return snapshot


def weights(tmp_path):
    file = tmp_path / "w.safetensors"
    save_file({"a": torch.zeros(3)}, file)
    return file.read_bytes()


def test_the_cache_serves_without_a_network(cache, tmp_path):
    files = {"config.json": b'{"model_type": "clip"}', "model.safetensors": weights(tmp_path)}
    snapshot = put_in_cache(cache, "a/b", files)
    assert hub.read_config("a/b") == {"model_type": "clip"}
    assert hub.files("a/b") == snapshot
    assert hub.cached("a/b")
    assert not hub.cached("a/c")


def test_half_a_download_in_the_cache(cache, tmp_path):
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    files = {
        "config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        "model-1.safetensors": weights(tmp_path),
    }
    put_in_cache(cache, "a/b", files)
    with pytest.raises(
        CheckpointError, match=r"a/b is half a download: 1 of 2 weight files.*model-2\.safetensors"
    ):
        hub.files("a/b")
    assert not hub.cached("a/b")


def test_no_network_and_nothing_in_the_cache(cache):
    with pytest.raises(CheckpointError, match="nor in the cache, and the hub cannot be reached"):
        hub.read_config("owner/model")


def test_offline_by_choice(cache, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(CheckpointError, match="unset HF_HUB_OFFLINE"):
        hub.read_config("owner/model")


@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (403, "GatedRepo", "owner/model is a gated model: accept its terms"),
        (401, "GatedRepo", "owner/model is a gated model: accept its terms"),
        (401, "RepoNotFound", "nor a public model on the hub"),
        (404, "RepoNotFound", "nor a public model on the hub"),
        (400, "", "the hub did not give owner/model"),
    ],
)
def test_refusals_of_the_hub(answering, status, code, sentence):
    answering |= {"status": status, "code": code}
    with pytest.raises(CheckpointError, match=sentence) as caught:
        hub.read_config("owner/model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["no/such/folder/here", "./nothing", "http://x/y", "a b", "../up"])
def test_names_that_are_no_ids(cache, name):
    with pytest.raises(CheckpointError, match="neither a model folder here nor the id"):
        hub.read_config(name)


def test_a_file_and_an_empty_folder(tmp_path):
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x")
    with pytest.raises(CheckpointError, match="is a file, expected a model"):
        hub.read_config(file)
    with pytest.raises(CheckpointError, match=r"it has no config\.json"):
        hub.read_config(tmp_path)
    (tmp_path / "config.json").write_text("[1]")
    with pytest.raises(CheckpointError, match="no JSON object"):
        hub.read_config(tmp_path)


def test_open_clip_configs(tmp_path):
    (tmp_path / "open_clip_config.json").write_text('{"model_cfg": {"embed_dim": 8}}')
    assert hub.read_config(tmp_path)["model_type"] == "open_clip"
    (tmp_path / "config.json").write_text('{"architecture": "vit"}')
    assert hub.read_config(tmp_path)["model_type"] == "open_clip"
    (tmp_path / "config.json").write_text('{"model_type": "clip"}')
    assert hub.read_config(tmp_path)["model_type"] == "clip"


def test_code_beside_a_known_type_is_not_asked_for(tmp_path):
    (tmp_path / "config.json").write_text(
        '{"model_type": "clip", "auto_map": {"AutoModel": "modeling.Mine"}}'
    )
    assert hub.read_config(tmp_path)["model_type"] == "clip"


@pytest.mark.parametrize(
    ("config", "without"),
    [
        ({"config.json": {"model_type": "clip"}}, list(hub.OF_OPEN_CLIP)),
        ({"open_clip_config.json": {}}, None),
    ],
)
def test_weights_that_are_there_twice_are_fetched_once(tmp_path, monkeypatch, config, without):
    """Some models hold the same weights for transformers and for open_clip."""
    for file, fields in config.items():
        (tmp_path / file).write_text(json.dumps(fields))
    weights(tmp_path)
    asked = []

    def download(name, *, allow_patterns, ignore_patterns):
        asked.append((hub.WEIGHTS in allow_patterns, ignore_patterns))
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert hub.files("owner/both") == tmp_path
    assert asked == [(False, None), (True, without)]


def test_the_digest_tells_weights_apart(tmp_path):
    for name, value in (("a", 0.0), ("b", 0.0), ("c", 1.0)):
        (tmp_path / name).mkdir()
        save_file({"a": torch.full((5,), value)}, tmp_path / name / "model.safetensors")
    a, b, c = (hub.weights_digest(tmp_path / name) for name in "abc")
    assert a == b != c
    assert len(a) == 16
