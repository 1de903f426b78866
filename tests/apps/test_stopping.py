"""Ctrl-C is "Stopped." and 130: in every command's work, while libraries are imported, and where Python drops it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

import av
import pytest

from videoexpert.apps import stopping

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="signals are the main thread's"
)


@pytest.fixture
def listening(monkeypatch):
    """This process hears Ctrl-C as a command does."""
    monkeypatch.setitem(stopping._state, "asked", False)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    monkeypatch.setattr(stopping, "_end", _stay)  # where the process would be gone, and these tests with it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    stopping.listen()
    yield
    signal.signal(signal.SIGINT, before)


def _stay():
    stopping._state["asked"] = True
    raise KeyboardInterrupt


@pytest.fixture
def at_decoding(monkeypatch):
    """Ctrl-C when the first video is opened; the opening itself goes on."""
    opened = av.open

    def interrupted(*arguments, **options):
        monkeypatch.setattr(av, "open", opened)
        signal.raise_signal(signal.SIGINT)
        return opened(*arguments, **options)

    monkeypatch.setattr(av, "open", interrupted)


@pytest.fixture
def world(tmp_path, video):
    (tmp_path / "own.jsonl").write_text(
        json.dumps({"video": video.name, "query": "it falls", "moments": [[1, 2]]})
    )
    (tmp_path / "charades_sta_test.txt").write_text("a 1.0 3.0##a red circle\n")
    return tmp_path


@pytest.mark.parametrize("command", ["ground", "eval", "encode", "finetune", "index"])
@pytest.mark.usefixtures("listening", "at_decoding")
def test_a_command_that_works(command, call, model, video, world):
    out = world / "out"
    arguments = {
        "ground": (video, "it falls"),
        "eval": ("charades-sta", "--annotations", world / "charades_sta_test.txt", "--videos", video.parent),
        "encode": ("--videos", video.parent),
        "finetune": (world / "own.jsonl", "--videos", video.parent),
        "index": (video.parent, "--library", world / "library"),
    }[command]
    place = () if command in ("ground", "index") else ("--out", out)
    # a library needs a model that can compare words with pictures: the shipped one
    chosen = () if command == "index" else ("--model", model)
    done = call(command, *arguments, *place, *chosen)
    assert (done.code, done.err) == (130, "Stopped.\n")
    assert not [p for p in world.rglob("*") if ".part" in p.name or p.name.endswith(".tmp")]


@pytest.mark.usefixtures("listening")
def test_a_server(call, model, monkeypatch, tmp_path):
    """uvicorn hears the signal, shuts down, and passes it on to nobody."""
    import uvicorn

    async def interrupted(server):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(uvicorn.Server, "main_loop", interrupted)
    done = call("serve", "--port", "0", "--state", tmp_path / "state", "--model", model)
    assert done.code == 130
    assert done.err.endswith("\nStopped.\n")


@pytest.mark.usefixtures("listening")
def test_a_library_that_turns_it_into_an_error(call, monkeypatch):
    from videoexpert.apps import program

    def wrapping(*_, **__):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise RuntimeError("initialisation failed") from error

    monkeypatch.setattr(program, "program", lambda arguments: wrapping)
    done = call("demo")
    assert (done.code, done.out, done.err) == (130, "", "Stopped.\n")


BEFORE = """
import signal, sys
from videoexpert.apps import stopping
stopping.listen()
ctrl_c = lambda: signal.raise_signal(signal.SIGINT)
"""
DROPPED = {
    "an import that swallows it": "import greedy",
    "a finaliser": """
class Last:
    def __del__(self):
        ctrl_c()
Last()
""",
    "a second one, while the first is cleaned up": """
try:
    ctrl_c()
finally:
    ctrl_c()
""",
}


@pytest.mark.parametrize("where", DROPPED)
def test_where_python_would_drop_it(where, tmp_path):
    (tmp_path / "greedy.py").write_text(
        "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n    pass\n"
    )
    done = run(BEFORE + DROPPED[where] + "\nprint('went on')", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def test_other_errors_of_finalisers_are_told_as_ever(tmp_path):
    failing = (
        "class Last:\n    def __del__(self):\n        raise ValueError('in vain')\nLast()\nprint('went on')"
    )
    done = run(BEFORE + failing, tmp_path)
    assert (done.returncode, done.stdout) == (0, "went on\n")
    assert "ValueError: in vain" in done.stderr


def test_a_job_in_the_background_of_a_script_stays_deaf(tmp_path):
    deaf = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    done = run(deaf + BEFORE + "ctrl_c(); print('went on')", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "went on\n", "")


def test_the_program_listens_before_it_imports_anything_large(tmp_path):
    """As the console script does: the first large import is where Ctrl-C comes."""
    (tmp_path / "typer.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = run("from videoexpert.apps.cli import entry; entry()", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Stopped.\n")


def run(code: str, folder) -> subprocess.CompletedProcess[str]:
    """A process of its own, with ``folder`` before all other modules."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])}
    # a shell's background job may have given us a deaf SIGINT, which children inherit
    hearing = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    command = [sys.executable, "-c", hearing + code]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
