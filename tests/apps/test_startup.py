"""A light start leaves out what is not used, and changes no answer."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from videoexpert.apps import startup
from videoexpert.apps.startup import lose_nothing
from videoexpert.apps.terminal import say, table
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path_factory.mktemp("startup") / "model")


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("videos") / "a.mp4", 6.0)


def run(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)


ASK = """
import sys
from videoexpert.apps import cli, startup
left = []
startup.os._exit = left.append
if sys.argv[1] == "plain":
    import torch
code = cli.main(["ground", *sys.argv[2:], "it falls", "--format", "json"])
startup.leave(code)
loaded = {"torch._dynamo.convert_frame", "sympy", "torch.distributed.tensor"} & set(sys.modules)
print(len(loaded), left, startup.os.environ["OMP_WAIT_POLICY"], file=sys.stderr)
if sys.argv[1] == "light":
    import torch
    torch._dynamo.config.verbose  # still there for whoever asks
    print("torch._dynamo.convert_frame" in sys.modules, file=sys.stderr)
"""


def test_a_light_start_answers_the_same_and_leaves_at_once(model, video):
    light, plain = (run(ASK, how, video, "--model", model) for how in ("light", "plain"))
    assert light.returncode == plain.returncode == 0, light.stderr + plain.stderr
    assert json.loads(light.stdout) == json.loads(plain.stdout)
    assert light.stderr.splitlines()[-2:] == ["0 [0] PASSIVE", "True"]
    assert plain.stderr.splitlines()[-1].endswith("[] PASSIVE")  # torch was there already: nothing is put off


@pytest.mark.parametrize(("pipe", "code"), [("ok", 3), ("broken", 3), ("broken", 0)])
def test_leaving_writes_what_was_said_and_keeps_the_code(pipe, code, monkeypatch):
    left = []
    monkeypatch.setattr(startup.os, "_exit", left.append)
    assert startup.leave(code) == code  # a process that did not start light goes the ordinary way
    assert left == []
    monkeypatch.setitem(startup._state, "light", True)
    if pipe == "broken":
        monkeypatch.setattr(sys, "stdout", Broken())
    startup.leave(code)
    assert left == [code if pipe == "ok" else code or 1]


class Broken:
    def flush(self) -> None:
        raise BrokenPipeError


def test_only_models_of_ours_start_light(model, tmp_path):
    assert startup.is_ours(None)
    assert startup.is_ours(str(model))
    for text in ('{"model_type": "qwen3_vl"}', "[]", "not json"):
        (tmp_path / "config.json").write_text(text)
        assert not startup.is_ours(str(tmp_path))
    for other in ("org/name", "http://127.0.0.1:1/v1#x", "contrastive:"):
        assert not startup.is_ours(other)


def test_what_the_environment_says_of_threads_stays(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    startup.quiet_threads()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"


def test_what_is_imported_or_absent_is_not_put_off():
    assert startup.put_off("json") is None
    assert startup.put_off("no_such_package_anywhere") is None


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_table_loses_no_line_under_a_strict_stdout(encoding, monkeypatch):
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding, "strict"))
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BytesIO(), encoding, "strict"))
    lose_nothing()
    say("caf\u00e9 \u65e5 \udce9")
    table(("a", "b"), [("\u65e5", "\u00e9")])
    sys.stdout.flush()
    lines = buffer.getvalue().decode(encoding).splitlines()
    assert len(lines) == 3
    assert lines[0].endswith("\\u65e5 \\udce9")
    assert "\\u65e5" in lines[2]
