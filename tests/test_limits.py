"""Limits: documented, moved by the environment, named by their errors."""

from __future__ import annotations

import ast
import gzip
import inspect
import json
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

import pytest

from chat_server import Server, completion
from hostile import greedy
from videoexpert import files
from videoexpert import limits as module
from videoexpert.backends.base import check_amounts, check_queries, check_question
from videoexpert.errors import DataError, InputError, VideoExpertError
from videoexpert.files import remote
from videoexpert.http_client import ChatServer, Refused, chat
from videoexpert.limits import Limits, limits, variable
from videoexpert.pretrained import check_fields
from videoexpert.scoring.predictions import read_predictions
from videoexpert.testing import tiny_video
from videoexpert.video import read_frames, sandbox, stream_frames
from videoexpert.video.stream import window_clips


def test_the_environment_moves_a_limit(monkeypatch):
    assert limits() == Limits()
    monkeypatch.setenv("VIDEOEXPERT_MAX_CHOICES", " 1_000 ")
    assert limits() == Limits(choices=1000)


@pytest.mark.parametrize("value", ["", "0", "-1", "many", "1e6", "2.5", "٣", "9" * 400])
def test_a_variable_that_is_no_number(monkeypatch, value):
    monkeypatch.setenv("VIDEOEXPERT_MAX_QUERIES", value)
    with pytest.raises(InputError, match=r"VIDEOEXPERT_MAX_QUERIES is .* expected a whole number above 0"):
        limits()


def test_an_error_names_the_variable():
    bounds = Limits(queries=3)
    bounds.check("queries", 3, "3 queries were given")
    with pytest.raises(
        InputError, match="4 queries were given, at most 3 are allowed; set VIDEOEXPERT_MAX_QUERIES"
    ):
        bounds.check("queries", 4, "4 queries were given")
    with pytest.raises(DataError):
        bounds.check("queries", 4, "4 queries were given", DataError)


def test_every_limit_says_what_it_is():
    (body,) = [n.body for n in ast.parse(inspect.getsource(module)).body if isinstance(n, ast.ClassDef)]
    after = {
        field.target.id: said.value.value
        for field, said in pairwise(body)
        if isinstance(field, ast.AnnAssign) and isinstance(said, ast.Expr)
    }
    assert list(after) == [field.name for field in fields(Limits)]
    assert all(text.endswith(".") for text in after.values())
    assert variable("text_bytes") == "VIDEOEXPERT_MAX_TEXT_BYTES"


def _gzip(folder: Path) -> object:
    (folder / "a.gz").write_bytes(gzip.compress(b"12345678"))
    return files.read_text(folder / "a.gz")


def _text(folder: Path) -> object:
    (folder / "a.txt").write_text("12345678")
    return files.read_text(folder / "a.txt")


def _windows(folder: Path) -> object:
    row = {"id": "a", "pred_relevant_windows": [[0, 1]] * 101}
    (folder / "p.jsonl").write_text(json.dumps(row) + "\n")
    return read_predictions(folder / "p.jsonl")


def _remote(folder: Path) -> object:
    pytest.importorskip("fsspec").filesystem("memory").pipe("/limits/a.mp4", b"12345678")
    with remote.local("memory://limits/a.mp4") as file:
        return file


def _reply(folder: Path) -> object:
    server = Server()
    try:
        server.answer = lambda *_: completion("x" * 100)
        return chat(
            ChatServer(server.url, "m", key_variable=None, attempts=1), [{"role": "user", "content": "a"}]
        )
    finally:
        server.close()


def _clip(folder: Path) -> Path:
    return tiny_video(folder / "a.mp4", 4.0)


# every limit, and a call that passes it where it is set to 3
PASSES = {
    "text_bytes": _text,
    "decompressed_bytes": _gzip,
    "yaml_values": lambda _: files.parse_yaml("a: &a [1, 2]\nb: [*a, *a]", "r.yaml"),
    "layers": lambda folder: check_fields(folder / "config.json", {"text": {"num_hidden_layers": 10**400}}),
    "reply_bytes": _reply,
    "query_characters": lambda _: check_queries(["a man runs"]),
    "choices": lambda _: check_question("why?", list("abcd")),
    "queries": lambda _: check_queries(["a"] * 4),
    "video_seconds": lambda _: files.duration(10**7, "line 1"),
    "windows": _windows,
    "clips": lambda _: check_amounts(10.0, clip_s=1e-7),
    "new_tokens": lambda _: check_amounts(10.0, max_new_tokens=10**9),
    "moments": lambda _: check_amounts(10.0, top_k=10**9),
    "picture_pixels": lambda folder: read_frames(_clip(folder), 2),
    "frames": lambda folder: read_frames(_clip(folder), 10**6),
    "streamed_frames": lambda folder: list(stream_frames(_clip(folder), 100.0)),
    "video_windows": lambda _: window_clips(0.0, 100.0, 1.0, 0.0),
    "remote_bytes": _remote,
    "decoder_bytes": lambda folder: sandbox.run_safely(greedy, folder / "a.mp4"),
}


def test_no_limit_is_without_a_call_that_passes_it():
    assert list(PASSES) == [field.name for field in fields(Limits)]


@pytest.mark.parametrize("name", PASSES)
def test_what_passes_a_limit_ends_in_a_sentence_with_its_variable(name, tmp_path, monkeypatch):
    # the windows of a prediction are counted from a hundred on
    monkeypatch.setenv(variable(name), {"windows": "100", "decoder_bytes": str(2**28)}.get(name, "3"))
    with pytest.raises((VideoExpertError, Refused), match=rf"{variable(name)}\b") as caught:
        PASSES[name](tmp_path)
    assert "\n" not in str(caught.value)
    monkeypatch.undo()
