"""kill -9 of every command that writes, at places drawn with a seed: run again it ends as if undisturbed.

One process runs a command undisturbed, then forks for each run that dies, and runs again what died. It dies before or
after one of the calls by which something comes to be on the disk: fsync, replace, rename, link, unlink, mkdir.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from writers import build, commands, compared, contents, undisturbed

QUICK = ("import",)
SLOW = (
    *("export", "lines", "plot", "encode", "eval", "index"),
    *("convert", "synth", "panels", "train", "finetune"),
)
PLACES, SEED = 4, 18

RUNS = """
import json, os, random, signal, sys, warnings
from videoexpert.apps.cli import main
count = deadly = 0

def reach():
    global count
    count += 1
    if count == deadly:
        os.kill(os.getpid(), signal.SIGKILL)

def counted(call):
    def called(*args, **named):
        reach()
        try:
            return call(*args, **named)
        finally:
            reach()
    return called

def run(arguments):
    global count
    count = 0
    said, sys.stdout = sys.stdout, open(os.devnull, "w")
    try:
        return main(arguments)
    finally:
        sys.stdout = said

def dies_at(place, arguments):
    global deadly
    child = os.fork()
    if not child:
        deadly = place
        os._exit(run(arguments))
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

for name in ("fsync", "replace", "rename", "link", "unlink", "mkdir"):
    setattr(os, name, counted(getattr(os, name)))
warnings.simplefilter("ignore")
draw = random.Random(int(sys.argv[1]))
for name, warm, whole, others in json.load(sys.stdin):
    run(warm)  # what only a first run writes, such as caches, is written
    code, moments = run(whole), count
    print(json.dumps([name, "whole", code]), flush=True)
    for number, (arguments, finished) in enumerate(others):
        # once in each part of what it writes, so that early and late places come up
        first, last = (1 + moments * n // len(others) for n in (number, number + 1))
        print(json.dumps([name, "killed", dies_at(draw.randrange(first, max(last, first + 1)), arguments)]), flush=True)
        if not (finished and os.path.exists(finished)):
            print(json.dumps([name, "again", run(arguments)]), flush=True)
"""


def run(name: str, folders: list[Path], world: Path) -> list[list]:
    """(name, what, exit code) of every run; the first two folders are for runs that nothing disturbs."""
    warm, whole, *others = (commands(world, folder)[name] for folder in folders)
    # convert writes new folders only: where it died after its folder had its name, it is done
    finished = [str(folder / "model") if name == "convert" else "" for folder in folders[2:]]
    root = Path(__file__).resolve().parent
    path = os.pathsep.join([str(root), str(root.parent / "src")])
    done = subprocess.run(
        [sys.executable, "-c", RUNS, str(SEED)],
        input=json.dumps([[name, warm, whole, list(zip(others, finished, strict=True))]]),
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("kills"))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(n, marks=pytest.mark.slow) for n in SLOW)])
def test_killed_and_run_again_it_ends_as_if_undisturbed(name, world, tmp_path):
    folders = [tmp_path / place for place in ("warm", "whole", *map(str, range(PLACES)))]
    for folder in folders:
        folder.mkdir()
    said = run(name, folders, world)
    codes = {what: {code for _, kind, code in said if kind == what} for _, what, _ in said}
    assert codes == {"whole": {0}, "killed": {-9}, "again": {0}}
    for folder in folders[2:]:
        undisturbed(name, folder, tmp_path / "whole")


def test_no_command_that_writes_is_left_out():
    assert {*QUICK, *SLOW} == set(commands(Path(), Path()))


def test_contents_and_what_is_compared(tmp_path):
    (tmp_path / ".a.part").write_text("x")
    assert contents(tmp_path) == {".a.part": b"x"}
    assert compared("finetune", {"model/x": b"", "log.json": b""}) == {"model/x": b""}
