"""A file or folder is there whole or not at all, whatever interrupts the writing."""

from __future__ import annotations

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from videoexpert import files
from videoexpert.errors import DataError, VideoExpertError, WriteError


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_text_appears_whole(tmp_path):
    out = tmp_path / "new" / "a.txt"
    files.write_text(out, "é\r\n\ud800")
    assert out.read_bytes() == b"\xc3\xa9\r\n\\ud800"
    files.write_json(out, {"é": [1]})
    assert out.read_text(encoding="utf-8") == '{\n "é": [\n  1\n ]\n}\n'
    assert names(out.parent) == ["a.txt"]


def leave(part: Path, kind: type[BaseException]) -> None:
    (part / "half" if part.is_dir() else part).write_text("half")
    raise kind("mine")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, DataError, ValueError])
def test_what_goes_wrong_in_the_block_leaves_everything_as_it_was(tmp_path, kind):
    (tmp_path / "a.txt").write_text("old")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    for place in (files.whole_file(tmp_path / "a.txt"), files.whole_folder(tmp_path / "folder")):
        with pytest.raises(kind, match="mine"), place as part:
            leave(part, kind)
    assert names(tmp_path) == ["a.txt", "folder"]
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path / "folder") == ["old"]


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "no space is left on the disk; free some, or"),
        (errno.EDQUOT, "quota is used up"),
        (errno.EPERM, "permission is denied; choose a folder"),
        (errno.EACCES, "permission is denied; choose a folder"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "input/output error; check it"),
        (errno.ENODEV, "No such device; choose another place"),
    ],
)
def test_a_disk_that_refuses_is_one_sentence(tmp_path, monkeypatch, number, words):
    (tmp_path / "a.txt").write_text("old")

    def refuse(handle: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)
    for write in (lambda out: files.write_text(out, "new"), fill):
        with pytest.raises(WriteError, match=rf"a\.txt cannot be written: .*{words}") as caught:
            write(tmp_path / "a.txt")
        assert str(caught.value).count(". ") == 0
        assert str(caught.value).endswith(".")
    assert names(tmp_path) == ["a.txt"]
    assert (tmp_path / "a.txt").read_text() == "old"


def fill(out: Path) -> None:
    with files.whole_folder(out) as part:
        (part / "file").touch()


def long_text(out: Path) -> None:
    files.write_text(out, "x" * (1 << 20))


def many_numbers(out: Path) -> None:
    with files.whole_file(out) as part:
        save_file({"a": torch.zeros(1 << 18)}, part)


@pytest.mark.parametrize("write", [long_text, many_numbers])
def test_a_full_disk_for_real(tmp_path, write):
    """A limit on the size of files, which the system enforces in Python's writing and in a library's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, hard))
    try:
        with pytest.raises(WriteError, match=r"a cannot be written: it outgrows"):
            write(tmp_path / "a")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert names(tmp_path) == []


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="folder cannot be written: a folder has that name"):
        files.write_text(tmp_path / "folder", "")
    with pytest.raises(WriteError, match="a cannot be written: a file is in the way"):
        files.write_text(tmp_path / "file" / "a", "")
    with pytest.raises(WriteError, match="the name is too long"):
        files.write_text(tmp_path / ("x" * 300), "")
    assert names(tmp_path) == ["file", "folder"]


def test_access_rights_links_and_long_names(tmp_path):
    out, kept = tmp_path / "a.safetensors", tmp_path / "kept"
    with files.whole_file(out) as part:
        save_file({"a": torch.zeros(1)}, part)
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(out.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    kept.write_text("old")
    kept.chmod(0o640)
    (tmp_path / "link").symlink_to(kept)
    files.write_text(tmp_path / "link", "new")
    assert (kept.read_text(), stat.S_IMODE(kept.stat().st_mode)) == ("new", 0o640)
    assert (tmp_path / "link").is_symlink()
    files.write_text(tmp_path / ("é" * 127), "long")
    assert (tmp_path / ("é" * 127)).read_text() == "long"


def test_devices_and_pipes_are_written_to(tmp_path):
    files.write_text("/dev/null", "gone")
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
    code = "from videoexpert import files; files.write_text('/dev/stdout', 'said')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "said"


def test_a_folder_takes_the_place_of_another(tmp_path):
    out = tmp_path / "model"
    for name in ("first", "second"):
        with files.whole_folder(out) as part:
            (part / "inner").mkdir()
            (part / "inner" / name).write_text(name)
        assert names(out / "inner") == [name]
    assert names(tmp_path) == ["model"]


KILLED = """
import os, signal, sys
from pathlib import Path
from videoexpert import files
folder, kind = Path(sys.argv[1]), sys.argv[2]
if kind == "moved":
    rename = Path.rename
    Path.rename = lambda self, to: (rename(self, to), os.kill(os.getpid(), signal.SIGKILL))
with (files.whole_file if kind == "file" else files.whole_folder)(folder / "a") as part:
    (part if kind == "file" else part / "new").write_text("half")
    if kind != "moved":
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "folder", "moved"])
def test_what_a_killed_process_left_goes_at_the_next_write(tmp_path, kind):
    if kind != "file":
        (tmp_path / "a").mkdir()
        (tmp_path / "a" / "old").touch()
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), kind], check=False)
    assert done.returncode == -signal.SIGKILL
    left = [name for name in names(tmp_path) if files.is_unfinished(name)]
    assert len(left) == (2 if kind == "moved" else 1)
    elsewhere = ".a.elsewhere.1-0.part"  # a machine whose processes are not to be seen here may still write
    (tmp_path / elsewhere).touch()
    files.write_text(tmp_path / "b", "new")
    assert names(tmp_path) == [elsewhere, *([] if kind == "file" else ["a"]), "b"]
    if kind != "file":
        assert names(tmp_path / "a") == ["old"]


def test_a_running_writer_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr("videoexpert.files.write._SWEEP_EVERY_S", 0.0)
    with files.whole_file(tmp_path / "a") as part:
        part.write_text("slow")
        files.write_text(tmp_path / "a", "quick")
        assert part.exists()
        assert not files.is_unfinished("a.part")
    assert (tmp_path / "a").read_text() == "slow"
    assert names(tmp_path) == ["a"]


def test_the_error_is_one_of_ours():
    assert issubclass(WriteError, VideoExpertError)
    assert WriteError.exit_code == 1


def test_a_folder_is_made_unless_a_file_is_in_the_way(tmp_path):
    for _ in range(2):
        files.make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
    (tmp_path / "file").touch()
    for place in ("file", "file/below"):
        with pytest.raises(WriteError, match="a file is in the way where a folder is expected"):
            files.make_folder(tmp_path / place)


def test_a_name_that_a_library_cannot_write_is_said(tmp_path):
    place = tmp_path / "\udcff"
    with pytest.raises(WriteError, match="its name is not UTF-8"), files.writing(place):
        str(place).encode()
