"""Models that cannot be asked, by hub id and in every command: one sentence, nothing fetched but text, nothing run."""

from __future__ import annotations

import http.server
import json
import threading

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save

from videoexpert import settings

COMMIT = "d" * 40
EVIL = b"open('executed', 'w').close()\nraise SystemExit('executed')\n"
WEIGHTS = save({"w": torch.zeros(4)})
MODELS = {
    "them/text-only": {"model_type": "llama", "architectures": ["LlamaForCausalLM"]},
    "them/detector": {"model_type": "detr", "architectures": ["DetrForObjectDetection"]},
    "them/remote-code": {"model_type": "evil", "auto_map": {"AutoModel": "modeling_evil.Evil"}},
}
GATED = "them/gated"


def answer(path, asked):
    """(status, body, headers) of the hub; files that are asked for go into ``asked``."""
    name = next((n for n in (*MODELS, GATED) if n in path), None)
    if name in (None, GATED):
        return (404, b"{}", {}) if name is None else (403, b"{}", {"X-Error-Code": "GatedRepo"})
    files = {
        "config.json": json.dumps(MODELS[name]).encode(),
        "modeling_evil.py": EVIL,
        "model.safetensors": WEIGHTS,
        "pytorch_model.bin": EVIL,
    }
    if "/tree/" in path:
        listed = [{"type": "file", "path": f, "size": len(held), "oid": f} for f, held in files.items()]
        return 200, json.dumps(listed).encode(), {}
    if path.startswith("/api/models/"):
        told = {"id": name, "sha": COMMIT, "tags": [], "downloads": 0, "likes": 0, "private": False}
        return 200, json.dumps({**told, "siblings": [{"rfilename": f} for f in files]}).encode(), {}
    file = path.rsplit("/", 1)[1]
    if file not in files:
        return 404, b"{}", {"X-Error-Code": "EntryNotFound"}
    asked.append(file)
    return 200, files[file], {"ETag": f'"{file}"', "X-Repo-Commit": COMMIT}


@pytest.fixture(autouse=True)
def fetched(tmp_path, monkeypatch):
    """A hub that serves MODELS and keeps one behind its gate; gives the list of the files that were asked for."""
    asked: list[str] = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self._send(*answer(self.path.split("?")[0], asked))

        do_HEAD = do_GET

        def _send(self, status, body, headers):
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    there = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setattr(constants, "ENDPOINT", there)
    template = f"{there}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.chdir(tmp_path)
    yield asked
    server.shutdown()
    server.server_close()
    assert not (tmp_path / "executed").exists()


SENTENCES = {
    "them/text-only": "is a model of type 'llama', which reads text alone and sees no pictures",
    "them/detector": "is a model of type 'detr', which finds objects in single pictures and reads no sentences",
    "them/remote-code": "asks to run code of its own, which videoexpert never does",
    GATED: "is a gated model: accept its terms on its page at the hub, then run `hf auth login` or set HF_TOKEN",
}


def refused(done, name, sentence):
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith(f"Error: {name} ")
    assert sentence in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize("name", SENTENCES)
def test_a_wrong_hub_id(call, video, fetched, name):
    refused(call("ground", video, "it falls", "--model", name), name, SENTENCES[name])
    assert set(fetched) <= {"config.json"}


COMMANDS = (
    ("highlight", "VIDEO", "it falls"),
    ("caption", "VIDEO"),
    ("ask", "VIDEO", "what?"),
    ("clip", "VIDEO", "it falls"),
    ("index", "VIDEO", "--library", "library"),
    ("eval", "charades-sta", "--annotations", "a.txt", "--videos", ".", "--out", "out"),
    ("calibrate", "--annotations", "own.jsonl", "--videos", "."),
    ("serve", "--state", "state"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c[0])
def test_every_command_says_the_same(call, video, fetched, command):
    arguments = [video if part == "VIDEO" else part for part in command]
    done = call(*arguments, "--model", "them/remote-code")
    refused(done, "them/remote-code", SENTENCES["them/remote-code"])
    assert set(fetched) <= {"config.json"}


def test_a_second_model_and_a_default_are_checked_alike(call, video, fetched):
    for arguments in (
        ("ground", video, "it falls", "--verify", "them/detector"),
        ("models", "use", "them/detector"),
    ):
        refused(call(*arguments), "them/detector", SENTENCES["them/detector"])
    assert not settings.settings_file().exists()
    assert set(fetched) <= {"config.json"}


def test_no_network(call, video, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    done = call("ground", video, "it falls", "--model", "them/text-only")
    refused(done, "them/text-only", "nor in the cache, and the hub cannot be reached")


@pytest.mark.parametrize("kind", ["shard", "cut"])
def test_half_a_download(call, video, tmp_path, monkeypatch, kind):
    """A snapshot in the cache that a stopped download left, without a network."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    root = tmp_path / "hub" / "models--them--half"
    snapshot = root / "snapshots" / COMMIT
    for folder in (snapshot, root / "refs", root / "blobs"):
        folder.mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    (snapshot / "config.json").write_text(
        json.dumps({"model_type": "clip", "text_config": {}, "vision_config": {}})
    )
    if kind == "shard":
        index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
        (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
        (snapshot / "model-1.safetensors").write_bytes(WEIGHTS)
    else:
        (snapshot / "model.safetensors").write_bytes(WEIGHTS[:-4])
    done = call("ground", video, "it falls", "--model", "them/half")
    refused(done, "them/half", "is half a download: ")
