"""Libraries of videos in object stores: what they are on a disk, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import fsspec
import numpy as np
import pytest

from library.conftest import Colours
from library.test_build import shards
from videoexpert.apps.cli import main
from videoexpert.errors import InputError
from videoexpert.library import care
from videoexpert.library.build import index
from videoexpert.library.export import export
from videoexpert.library.find import Filter, Library
from videoexpert.library.manifest import Manifest

WORDS = "1\n00:00:01,000 --> 00:00:02,500\nthe red door\n"


@pytest.fixture
def store(videos):
    """The videos in fsspec's store in memory, with things that are none."""
    found = fsspec.filesystem("memory")
    found.store.clear()
    for file in videos.rglob("*.mp4"):
        found.pipe(f"/bucket/{file.relative_to(videos)}", file.read_bytes())
    found.pipe("/bucket/red.srt", WORDS.encode())
    found.pipe("/bucket/notes.txt", b"no video")
    found.pipe("/bucket/.trash/red.mp4", b"hidden")
    found.pipe("/bucket/broken.mp4", b"no video")
    yield found
    found.store.clear()
    found.pseudo_dirs[:] = [""]


def held(library: Path) -> set[str]:
    return {path for video in Manifest(library).videos(1).values() for path in video.paths}


def test_a_store_is_indexed_as_a_disk_is(store, videos, tmp_path):
    (videos / "red.srt").write_text(WORDS)
    index([videos], tmp_path / "disk", Colours())
    library = tmp_path / "lib"
    done = index(["memory://bucket/"], library, Colours())
    assert (done.found, done.encoded) == (4, 3)
    assert done.skipped == {
        "memory://bucket/.trash/red.mp4": "hidden",
        "memory://bucket/notes.txt": "not a video",
    }
    ((path, reason),) = done.failed.items()
    assert path == "memory://bucket/broken.mp4"
    assert reason.startswith("'memory://bucket/broken.mp4' is not a readable video")
    assert shards(library) == shards(tmp_path / "disk")
    assert held(library) == {f"memory://bucket/{name}" for name in ("red.mp4", "mixed.mp4", "sub/blue.mp4")}
    (hit,) = Library(library, Colours()).search("door", method="text").hits
    assert (hit.path, hit.text) == ("memory://bucket/red.mp4", "the red door")
    blue = Library(library, Colours()).search(
        "blue", method="recall", filter=Filter(within="sub/*", after=1e9)
    )
    assert [hit.path for hit in blue.hits] == ["memory://bucket/sub/blue.mp4"]


def test_new_changed_and_removed_objects(store, videos, tmp_path):
    library, encoder = tmp_path / "lib", Colours()
    index(["memory://bucket"], library, encoder)
    assert index(["memory://bucket"], library, encoder).encoded == 0
    store.pipe("/bucket/mixed.mp4", (videos / "mixed.mp4").read_bytes() + b"\0")
    store.rm("/bucket/sub/blue.mp4")
    store.pipe("/bucket/red.srt", WORDS.replace("door", "gate").encode())
    done = index(["memory://bucket"], library, encoder)
    assert (done.encoded, done.removed) == (1, 1)
    assert held(library) == {"memory://bucket/red.mp4", "memory://bucket/mixed.mp4"}
    manifest = Manifest(library)
    assert manifest.search_texts("door") == []
    assert len(manifest.search_texts("gate")) == 1
    # one object alone, with the words beside it; what else is known stays
    store.pipe("/bucket/mixed.vtt", b"WEBVTT\n\n00:00.500 --> 00:01.500\na green hill\n")
    assert index(["memory://bucket/mixed.mp4"], library, encoder).removed == 0
    assert len(manifest.search_texts("hill")) == 1
    assert care.remove(library, ["memory://bucket/mixed.mp4"]) == 1


def test_a_store_that_cannot_be_reached_loses_nothing(store, tmp_path, monkeypatch):
    index(["memory://bucket"], tmp_path / "lib", Colours())
    before = held(tmp_path / "lib")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Access Denied")

    with monkeypatch.context() as patch:
        patch.setattr(type(store), "info", refuse)
        done = index(["memory://bucket"], tmp_path / "lib", Colours())
    assert done.failed == {"memory://bucket": "'memory://bucket' cannot be read (Access Denied)."}
    assert held(tmp_path / "lib") == before
    assert "memory://bucket" not in index(["memory://bucket"], tmp_path / "lib", Colours()).failed


def test_the_web_is_never_asked(tmp_path):
    for address in ("https://example.org/videos", "s3://a.zip::https://example.org/a.zip"):
        with pytest.raises(InputError, match="not an address of an object store"):
            index([address], tmp_path / "lib", Colours())


def test_an_export_to_a_store_is_the_export_to_a_disk(store, tmp_path):
    library = tmp_path / "lib"
    index(["memory://bucket"], library, Colours())
    counts = export(library, tmp_path / "plain")
    assert export(library, "memory://exports/one") == counts
    assert export(library, "memory://exports/one") == counts
    names = {file.name for file in (tmp_path / "plain").iterdir()}
    assert names == {"library.json", "videos.jsonl", "texts.jsonl", "embeddings-1.npy", "times-1.npy"}
    for name in names:
        assert store.cat(f"/exports/one/{name}") == (tmp_path / "plain" / name).read_bytes()
    with store.open("/exports/one/embeddings-1.npy") as file:
        assert np.load(file).shape == (counts["rows"], 3)
    for place in ("memory://bucket", str(tmp_path)):
        with pytest.raises(InputError, match="holds no export"):
            export(library, place)
    with pytest.raises(InputError, match="not an address of an object store"):
        export(library, "https://example.org/one")


def test_commands_take_addresses(tmp_path, pictures, capsys):
    """A disk by address: other processes see it, too."""
    address = f"file://{pictures}"
    for name, place in (("one", address), ("two", str(pictures))):
        assert main(["index", place, "--library", str(tmp_path / name)]) == 0, capsys.readouterr().err
        assert main(["encode", "--videos", place, "--out", str(tmp_path / f"{name}-store")]) == 0
    assert shards(tmp_path / "one") == shards(tmp_path / "two")
    stores = [
        {f.name: f.read_bytes() for f in (tmp_path / f"{name}-store").glob("*.safetensors")}
        for name in ("one", "two")
    ]
    assert stores[0] == stores[1] != {}
    capsys.readouterr()
    call = [
        "search",
        str(tmp_path / "one"),
        "a red square",
        "--format",
        "json",
        "--plot",
        str(tmp_path / "hits.png"),
    ]
    assert main(call) == 0
    hits = json.loads(capsys.readouterr().out)["queries"][0]["results"]
    assert {hit["path"] for hit in hits} <= {f"{address}/{name}.mp4" for name in ("red", "mixed", "blue")}
    assert (tmp_path / "hits.png").stat().st_size > 0
    reel = [
        "library",
        "reel",
        str(tmp_path / "one"),
        "a red square",
        "--out",
        str(tmp_path / "reel.mp4"),
        "--format",
        "json",
    ]
    assert main(reel) == 0
    assert {one["video"] for one in json.loads(capsys.readouterr().out)["moments"]} <= {
        hit["path"] for hit in hits
    }
    assert main(["library", "export", str(tmp_path / "one"), "--out", f"file://{tmp_path}/plain"]) == 0
    assert (tmp_path / "plain" / "library.json").is_file()
    assert main(["index", "https://example.org/a.mp4", "--library", str(tmp_path / "one")]) == 2
    assert main(["encode", "--videos", "https://example.org/a.mp4", "--out", str(tmp_path / "x")]) == 2
