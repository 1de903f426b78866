"""A disk that is full, forbids or breaks at a write: one sentence, nothing half, and the next run as if undisturbed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from videoexpert.apps.cli import main
from writers import build, commands, compared, contents, undisturbed

CODES = {
    errno.ENOSPC: "no space is left",
    errno.EPERM: "permission is denied",
    errno.EIO: "input/output error",
}
QUICK = ("encode", "export", "lines", "plot", "import")
SLOW = ("synth", "eval", "index", "convert", "train", "finetune", "panels")
NAMES = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    return build(tmp_path_factory.mktemp("faults"))


def test_no_command_that_writes_is_left_out():
    assert {*QUICK, *SLOW} == set(commands(Path(), Path()))


@pytest.mark.parametrize("name", NAMES)
def test_a_write_that_fails_costs_nothing_once_the_disk_is_free(name, world, tmp_path, monkeypatch, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), sync(handle))[1])
    assert main(commands(world, whole)[name]) == 0
    expected = contents(whole)
    assert expected
    assert synced
    told = 0
    for place, (code, words) in enumerate(CODES.items()):
        # the first, a middle and the last of what is put on the disk
        fatal = (0, len(synced) // 2, len(synced) - 1)[place]
        calls = []

        def fail(handle, fatal=fatal, code=code, calls=calls):
            calls.append(handle)
            if len(calls) > fatal:
                raise OSError(code, os.strerror(code))
            sync(handle)

        monkeypatch.setattr(os, "fsync", fail)
        capsys.readouterr()
        result, said = main(commands(world, broken)[name]), capsys.readouterr().err
        if result:  # some file systems refuse it for folders, which is no fault
            told += 1
            assert words in said
            assert "Traceback" not in said
        half = compared(name, contents(broken))
        assert not [file for file in half if file.endswith(".part")]
        changed = [file for file, data in half.items() if expected.get(file) != data]
        assert not [file for file in changed if not file.endswith((".jsonl", ".json"))]
    assert told
    monkeypatch.setattr(os, "fsync", sync)
    again(name, world, broken, whole)


def again(name: str, world: Path, broken: Path, whole: Path) -> None:
    """The disk is free again."""
    if name == "convert" and (broken / "model").exists():  # the last thing that failed came after the move
        assert contents(broken) == contents(whole)
        shutil.rmtree(broken / "model")  # it writes new folders only
    assert main(commands(world, broken)[name]) == 0
    undisturbed(name, broken, whole)


def mounted(*call: str) -> bool:
    return subprocess.run(["mount", *call], capture_output=True, check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", [*QUICK, *SLOW])
def test_a_disk_that_is_really_full(name, world, tmp_path, capsys):
    """A file system that holds half of what the command writes, then one that holds all."""
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    assert main(commands(world, whole)[name]) == 0
    half = max(sum(map(len, contents(whole).values())) // 2, 1)
    if (
        os.name != "posix"
        or os.geteuid()
        or not mounted("-t", "tmpfs", "-o", f"size={half}", "tmpfs", str(broken))
    ):
        pytest.skip("no disk can be mounted here")
    try:
        capsys.readouterr()
        result, said = main(commands(world, broken)[name]), capsys.readouterr().err
        if result or half > 3 * 4096:  # a page is the least that such a disk holds
            assert result == 1
            assert "no space is left" in said or "disk is full" in said
            assert "Traceback" not in said
        assert mounted("-o", "remount,size=64m", str(broken))
        again(name, world, broken, whole)
    finally:
        subprocess.run(["umount", "-l", str(broken)], check=True)
