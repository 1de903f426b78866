"""A folder is one process's at a time; a lock that nobody holds any more is taken over and said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import warnings

import pytest

from videoexpert.apps.cli import main
from videoexpert.errors import InputError, ResumeWarning, WriteError
from videoexpert.files import is_unfinished
from videoexpert.locks import LOCK, held
from videoexpert.runtime import process_name


def test_a_lock_is_there_while_it_is_held_and_gone_after(tmp_path):
    with held(tmp_path):
        assert json.loads((tmp_path / LOCK).read_text())["process"] == process_name()
        assert [file.name for file in tmp_path.iterdir()] == [LOCK]
        with (
            pytest.raises(InputError, match=rf"in use by process {os.getpid()} on this machine: wait"),
            held(tmp_path),
        ):
            pass
    assert not list(tmp_path.iterdir())
    with pytest.raises(KeyError), held(tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": ""}'])
def test_a_lock_that_says_nothing_is_taken_over(tmp_path, content):
    (tmp_path / LOCK).write_text(content)
    with pytest.warns(ResumeWarning, match="ended without giving it back"), held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_its_lock_and_the_next_takes_it(tmp_path):
    code = f"""import os, pathlib
from videoexpert.locks import held
with held(pathlib.Path({str(tmp_path)!r})):
    os._exit(9)
"""
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 9
    killed = json.loads((tmp_path / LOCK).read_text())["process"].rpartition(":")[2]
    with pytest.warns(ResumeWarning, match=rf"was locked by process {killed}, which ended"), held(tmp_path):
        pass


def test_the_number_of_a_process_may_be_another_process_by_now(tmp_path):
    stored = {"process": process_name(), "birth": "another boot:12"}
    (tmp_path / LOCK).write_text(json.dumps(stored))
    with pytest.warns(ResumeWarning), held(tmp_path):
        pass


def test_a_process_of_another_machine_is_not_judged(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"process": "elsewhere:77"}))
    with (
        pytest.raises(InputError, match=r"in use by process 77 on elsewhere, .* or delete .*\.lock"),
        held(tmp_path),
    ):
        pass


def test_a_disk_without_room_is_told_and_leaves_nothing(tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(WriteError, match="no space is left on the disk"), held(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
@pytest.mark.parametrize("call", ["link", "rename"])
def test_what_a_kill_inside_the_taking_left_goes(tmp_path, call):
    if call == "rename":  # a stale lock is moved aside
        (tmp_path / LOCK).write_text("")
    child = os.fork()
    if not child:
        real = getattr(os, call)
        setattr(os, call, lambda *paths: (real(*paths), os._exit(9)))
        with held(tmp_path):
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert [f for f in tmp_path.iterdir() if is_unfinished(f.name)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResumeWarning)
        with held(tmp_path):
            assert [f.name for f in tmp_path.iterdir()] == [LOCK]
    assert not list(tmp_path.iterdir())


def test_a_file_system_without_links(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with held(tmp_path), pytest.raises(InputError, match="in use"), held(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\x80",
        b"[" * 100_000,
        b'{"process": "no number"}',
        b'{"process": "here:-1"}',
        b'{"process": "' + process_name().rpartition(":")[0].encode() + b":" + b"9" * 400 + b'"}',
        b'{"process": "x:y", "birth": {"a": NaN}}',
    ],
)
def test_a_lock_of_garbage_ends_in_a_sentence_or_is_taken_over(tmp_path, content):
    (tmp_path / LOCK).write_bytes(content)
    name = json.loads(content)["process"] if content.startswith(b'{"process": "') else ""
    foreign = name.startswith(("here:", "x:")) or name == "no number"
    told = pytest.raises(InputError, match=r"delete .*\.lock") if foreign else pytest.warns(ResumeWarning)
    with told, held(tmp_path):
        pass
    assert (tmp_path / LOCK).exists() == foreign


def test_a_folder_in_a_locks_place(tmp_path):
    (tmp_path / LOCK).mkdir()
    with pytest.raises(InputError, match=r"delete .*\.lock"), held(tmp_path):
        pass


def test_two_ablations_do_not_share_a_folder(tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    with held(out):
        assert main(["ablate", "fusion", "--recipe", "ablation", "--out", str(out)]) == 2
    assert f"in use by process {os.getpid()}" in capsys.readouterr().err
