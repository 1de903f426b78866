"""Addresses of object stores: what is one, what is read of it, and what never is."""

from __future__ import annotations

import os
import sys

import fsspec
import pytest

from videoexpert.errors import DependencyError, InputError, VideoError, WriteError
from videoexpert.features.store import HASH_BLOCK, content_hash
from videoexpert.files import remote


@pytest.fixture
def memory():
    """fsspec's store in memory, empty before and after."""
    store = fsspec.filesystem("memory")
    store.store.clear()
    yield store
    store.store.clear()
    store.pseudo_dirs[:] = [""]


@pytest.mark.parametrize(
    "address",
    [
        "http://example.org/a.mp4",
        "https://example.org/a.mp4",
        "ftp://example.org/a.mp4",
        "s3://bucket/a.zip::http://example.org/a.zip",
        "simplecache::s3://bucket/a.mp4",
        "s3://",
    ],
)
def test_nothing_but_an_object_store_is_asked(address):
    for ask in (
        remote.listing,
        remote.real_address,
        remote.size_and_reader,
        lambda a: remote.local(a).__enter__(),
    ):
        if remote.is_address(address):
            with pytest.raises(InputError, match="not an address of an object store"):
                ask(address)
    # a chain of stores is no address at all: it is looked for on the disk
    assert remote.is_address(address) or not os.path.exists(address)


def test_paths_are_no_addresses():
    names = ("a.mp4", "/a/b.mp4", "C:\\a.mp4", "s3:/bucket/a.mp4", "a b://c")
    assert not any(map(remote.is_address, names))


def test_one_spelling_for_one_thing(tmp_path):
    assert remote.real_address("memory://b/x/") == remote.real_address("memory:///b/x") == "memory://b/x"
    assert remote.real_address(f"file://{tmp_path}/") == f"file://{tmp_path}"


def test_a_store_lists_reads_parts_and_fetches(memory, tmp_path):
    data = os.urandom(4 * HASH_BLOCK)
    (tmp_path / "talk.mp4").write_bytes(data)
    memory.pipe("/b/sub/talk.mp4", data)
    memory.pipe("/b/notes.txt", b"no video")
    found = remote.listing("memory://b")
    assert [(one.address, one.size) for one in found] == [
        ("memory://b/notes.txt", 8),
        ("memory://b/sub/talk.mp4", len(data)),
    ]
    assert all(one.changed > 1.6e18 for one in found)
    (one,) = remote.listing("memory://b/sub/talk.mp4")
    assert one == found[1]
    assert content_hash("memory://b/sub/talk.mp4") == content_hash(tmp_path / "talk.mp4")
    with remote.local("memory://b/sub/talk.mp4") as file:
        assert file.suffix == ".mp4"
        assert file.read_bytes() == data
    assert not file.exists()
    with remote.local(tmp_path / "talk.mp4") as file:
        assert file == tmp_path / "talk.mp4"


def test_what_is_not_there_or_too_large(memory, monkeypatch):
    with pytest.raises(InputError, match="no file or folder 'memory://b'"):
        remote.listing("memory://b")
    with (
        pytest.raises(VideoError, match=r"'memory://b/a\.mp4' cannot be read"),
        remote.local("memory://b/a.mp4"),
    ):
        pass
    memory.pipe("/b/a.mp4", b"1234")
    monkeypatch.setenv("VIDEOEXPERT_MAX_REMOTE_BYTES", "3")
    with pytest.raises(VideoError, match="VIDEOEXPERT_MAX_REMOTE_BYTES"), remote.local("memory://b/a.mp4"):
        pass
    monkeypatch.delenv("VIDEOEXPERT_MAX_REMOTE_BYTES")
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and type("Disk", (), {"free": 3})
    )
    with pytest.raises(WriteError, match="TMPDIR"), remote.local("memory://b/a.mp4"):
        pass


def test_errors_name_the_address_and_not_the_copy(memory):
    memory.pipe("/b/a.mp4", b"no video")
    with pytest.raises(VideoError) as told, remote.local("memory://b/a.mp4") as file:
        raise VideoError(f"{str(file)!r} is not a readable video.")
    assert str(told.value) == "'memory://b/a.mp4' is not a readable video."


def test_a_disk_by_address_is_walked_once(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.mp4").write_bytes(b"1")
    (tmp_path / "sub" / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing.mp4")
    assert [one.address for one in remote.listing(f"file://{tmp_path}")] == [f"file://{tmp_path}/sub/a.mp4"]


def test_a_missing_package_is_named(monkeypatch):
    for package in ("s3fs", "gcsfs"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(DependencyError, match=r"pip install 'videoexpert\[s3\]'"):
        remote.listing("s3://bucket/folder")
    with pytest.raises(DependencyError, match=r"pip install 'videoexpert\[gcs\]'"):
        remote.listing("gs://bucket/folder")
