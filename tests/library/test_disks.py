"""Libraries on disks that are full, or that nobody may write."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from library.conftest import Colours
from videoexpert.errors import DataError, WriteError
from videoexpert.library import care
from videoexpert.library.build import index
from videoexpert.library.find import Library
from videoexpert.library.manifest import Manifest


def mounted(*call: str) -> bool:
    return subprocess.run(["mount", *call], capture_output=True, check=False).returncode == 0


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A disk of a megabyte; mounting one takes a superuser."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.name != "posix" or os.geteuid() or not mounted("-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)):
        pytest.skip("no disk can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def sealed(videos, tmp_path) -> Iterator[Path]:
    """A library that cannot be written, not even by a superuser."""
    library = tmp_path / "lib"
    index([videos], library, Colours())
    if os.geteuid():
        for folder in (library, *(f for f in library.rglob("*") if f.is_dir())):
            folder.chmod(0o555)
        yield library
        for folder in (library, *(f for f in library.rglob("*") if f.is_dir())):
            folder.chmod(0o755)
        return
    if not (mounted("--bind", str(library), str(library)) and mounted("-o", "remount,ro,bind", str(library))):
        pytest.skip("no disk can be mounted here")
    yield library
    subprocess.run(["umount", "-l", str(library)], check=True)


def test_a_library_that_cannot_be_written_is_searched(sealed, videos):
    before = sorted(sealed.rglob("*"))
    page = Library(sealed, Colours()).search("blue", method="recall")
    assert {Path(hit.path).name for hit in page.hits} == {"blue.mp4", "mixed.mp4", "red.mp4"}
    assert care.info(sealed).videos == 3
    assert care.verify(sealed) == []
    assert care.duplicates(sealed, 1, 3) == []
    with pytest.raises(WriteError, match="cannot be written"):
        care.remove(sealed, [str(videos / "red.mp4")])
    with pytest.raises(WriteError, match="cannot be written"):
        index([videos], sealed, Colours())
    assert sorted(sealed.rglob("*")) == before


def test_what_it_finds_is_what_it_finds_where_it_may_be_written(videos, tmp_path, monkeypatch):
    index([videos], tmp_path / "lib", Colours())

    def full(*_: object) -> None:
        raise WriteError("no space is left on the disk; free some.")

    with monkeypatch.context() as patch:
        patch.setattr("videoexpert.library.snapshot._write", full)
        sealed = Library(tmp_path / "lib", Colours()).search("blue", method="recall")
        assert not (tmp_path / "lib" / "vectors").exists()
    assert Library(tmp_path / "lib", Colours()).search("blue", method="recall").hits == sealed.hits


def test_a_log_that_is_left_over_is_not_passed_over(videos, tmp_path, monkeypatch):
    library = tmp_path / "lib"
    index([videos], library, Colours())
    (library / "library.sqlite-wal").write_bytes(b"more than the file holds")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DataError, match="was not closed"):
        Manifest(library)


def test_a_full_disk_is_said_and_the_library_still_opens(small_disk, videos, tmp_path):
    library = small_disk / "lib"
    index([videos], library, Colours())
    for i in range(40):
        (videos / f"more{i}.mp4").write_bytes((videos / "mixed.mp4").read_bytes() + bytes([i]))
    (small_disk / "ballast").write_bytes(b"x" * (os.statvfs(small_disk).f_bavail * 4096 - 3 * 4096))
    with pytest.raises(WriteError, match="disk") as told:
        index([videos], library, Colours())
    assert "no space is left" in str(told.value) or "free disk space" in str(told.value)
    found = care.info(library)
    assert found.videos >= 3
    assert Library(library, Colours()).search("blue", method="recall").hits
    (small_disk / "ballast").unlink()
    done = index([videos], library, Colours())
    assert (done.encoded, done.failed) == (43 - found.videos, {})
    assert care.verify(library) == []
    assert not [file for file in library.rglob("*") if ".part" in file.name or file.name.startswith(".")]
