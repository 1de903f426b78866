"""Two processes on one ``--out``: the second is refused with the number of the first, whose result is whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from toy_ablation import RECIPE, TOY
from writers import build, commands, contents, undisturbed

ROOT = Path(__file__).resolve().parents[2]

# stops itself as soon as it has its first lock, so that the second surely comes while the lock is held
STOPS = """
import os, signal, sys
from videoexpert import locks
take = locks._take

def take_and_stop(lock):
    take(lock)
    locks._take = take
    os.kill(os.getpid(), signal.SIGSTOP)

locks._take = take_and_stop
from videoexpert.apps.cli import main
if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
"""
RUNS = "import sys; from videoexpert.apps.cli import main; sys.exit(main(sys.argv[1:]))"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "WUNTRACED"), reason="a process cannot be stopped here"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("two"))


def start(code: str, arguments: list[str], said: Path) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    with said.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-c", code, *arguments], env=env, stdout=subprocess.DEVNULL, stderr=stream
        )


def is_refused_beside(first: list[str], second: list[str], folder: Path, out: Path) -> None:
    """Runs the second call while the first holds its lock below ``out``; both end as they must."""
    process = start(STOPS, first, folder / "first.txt")
    try:
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status), (folder / "first.txt").read_text()
        assert [file for file in out.rglob("*") if "lock" in file.name]
        late = start(RUNS, second, folder / "second.txt")
        code, said = late.wait(), (folder / "second.txt").read_text().strip().splitlines()
        assert code == 2, said
        assert said[-1].startswith("Error: ")
        assert f"in use by process {process.pid} on this machine" in said[-1]
        assert said[-1].endswith(".")
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait() == 0, (folder / "first.txt").read_text()
    assert not [file for file in out.rglob("*") if "lock" in file.name]


@pytest.mark.parametrize("name", ["encode", "eval", "train", "finetune"])
def test_the_second_is_refused_and_the_first_ends_whole(name, world, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "out"
    for folder in (whole, out):
        folder.mkdir()
    alone = start(RUNS, commands(world, whole)[name], tmp_path / "alone.txt")
    assert alone.wait() == 0, (tmp_path / "alone.txt").read_text()
    call = commands(world, out)[name]
    is_refused_beside(call, call, tmp_path, out)
    undisturbed(name, out, whole)


def test_a_second_ablation_is_refused_and_the_first_ends_whole(tmp_path):
    options = [argument for value in TOY for argument in ("--set", value)]
    out = tmp_path / "out"
    call = ["ablate", "head", "--recipe", str(RECIPE), "--out", str(out), *options]
    is_refused_beside(call, call, tmp_path, out)
    assert {"head.md", "head.json"} <= {file.name for file in out.iterdir()}
    assert not [name for name in contents(out) if name.endswith(".part")]


def test_two_indexes_of_one_library_share_the_work(world, tmp_path):
    """A library is a database: nobody is refused, and each video is in it once."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    alone = start(RUNS, commands(world, whole)["index"], tmp_path / "alone.txt")
    assert alone.wait() == 0
    both = [start(RUNS, commands(world, out)["index"], tmp_path / f"{number}.txt") for number in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    undisturbed("index", out, whole)
