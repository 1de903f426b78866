"""Indexing: every content once, whatever happens to its files, its process or its neighbours."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from library.conftest import Colours, write
from videoexpert.errors import DataError, InputError, WriteError
from videoexpert.library import care
from videoexpert.library.build import index, scan
from videoexpert.library.manifest import Manifest
from videoexpert.library.shards import shard_path


def shards(library: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted((library / "shards").rglob("*.safetensors"))}


def paths(library: Path) -> dict[str, tuple[str, ...]]:
    manifest = Manifest(library)
    return {Path(video.paths[0]).name: video.paths for video in manifest.videos(1).values()}


def test_new_changed_moved_copied_and_removed_videos(videos, tmp_path):
    library, encoder = tmp_path / "lib", Colours()
    first = index([videos], library, encoder)
    assert (first.found, first.encoded, first.failed) == (3, 3, {})
    assert index([videos], library, encoder).encoded == 0
    (videos / "red.mp4").rename(videos / "sub" / "moved.mp4")
    (videos / "copy.mp4").write_bytes((videos / "mixed.mp4").read_bytes())
    again = index([videos], library, encoder)
    assert (again.encoded, again.removed) == (0, 1)
    assert set(paths(library)) == {"moved.mp4", "copy.mp4", "blue.mp4"}
    assert len(paths(library)["copy.mp4"]) == 2
    write(videos / "sub" / "blue.mp4", ["green"])
    (videos / "sub" / "moved.mp4").unlink()
    assert index([videos], library, encoder).encoded == 1
    assert set(paths(library)) == {"copy.mp4", "blue.mp4"}
    # what no file holds any more stays until its space is asked for
    assert len(shards(library)) == 4
    assert care.gc(library) > 0
    assert len(shards(library)) == 2
    assert care.verify(library) == []


def test_a_folder_of_odd_things_is_indexed_or_listed_with_its_reason(videos, tmp_path):
    (videos / "notes.txt").write_text("no video")
    (videos / "broken.mp4").write_bytes(b"no video either")
    (videos / "猫 \u202e 🐈.mp4").write_bytes((videos / "red.mp4").read_bytes()[:-1] + b"x")
    (videos / "loop").symlink_to(videos)
    (videos / "dangling.mp4").symlink_to(tmp_path / "nothing.mp4")
    os.mkfifo(videos / "pipe.mp4")
    done = index([videos], tmp_path / "lib", Colours())
    assert {Path(path).name for path in done.failed} == {"broken.mp4"}
    assert "video" in next(iter(done.failed.values()))
    assert len(paths(tmp_path / "lib")) == 4


def test_a_failed_video_waits_until_it_changes_or_is_tried_again(videos, tmp_path):
    library, encoder = tmp_path / "lib", Colours()
    (videos / "unlucky.mp4").write_bytes((videos / "red.mp4").read_bytes() + b"\0")
    assert index([videos], library, encoder).failed == {
        str(videos / "unlucky.mp4"): "this one cannot be decoded."
    }
    assert index([videos], library, encoder).encoded == 0
    (videos / "unlucky.mp4").rename(videos / "lucky.mp4")
    assert index([videos], library, encoder).encoded == 0
    again = index([videos], library, encoder, retry=True)
    assert (again.encoded, again.failed) == (1, {})


def test_two_encoders_stand_side_by_side_and_an_unknown_one_is_refused(videos, tmp_path):
    library = tmp_path / "lib"
    index([videos], library, Colours("a"))
    with pytest.raises(DataError, match=r"not indexed with 'b' \(indexed with: 'a'\)"):
        Manifest(library).encoder({"name": "b"})
    index([videos], library, Colours("b"))
    assert len(shards(library)) == 6
    assert Manifest(library).encoder({"name": "b"}) == 2


def test_rolling_captions_are_heard_once(videos, tmp_path):
    """A video site's own captions show each line three times."""
    (videos / "red.pt-BR.forced.vtt").write_text(
        "WEBVTT\nKind: captions\nLanguage: pt\n\n"
        "00:00:00.469 --> 00:00:01.169 align:start\n \nopen<00:00:00.900><c> the</c><00:00:01.100><c> door</c>\n\n"
        "00:00:01.169 --> 00:00:01.179 align:start position:0%\nopen the door\n \n\n"
        "00:00:01.179 --> 00:00:02.100 align:start position:0%\nopen the door\nand<00:00:01.500><c> leave</c>\n"
    )
    index([videos], tmp_path / "lib", Colours())
    manifest = Manifest(tmp_path / "lib")
    found = [(text.start, text.end, text.words) for text, _ in manifest.search_texts("door")]
    assert found == [(0.469, 1.169, "open the door")]
    assert [text.words for text, _ in manifest.search_texts("leave")] == ["and leave"]


def test_transcripts_beside_a_video_are_read(videos, tmp_path):
    (videos / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red door\n")
    (videos / "mixed.en.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.500\na green hill\n")
    (videos / "sub" / "blue.json").write_text('{"segments": [{"start": 0, "end": 1, "text": " blue sky "}]}')
    (videos / "red-carpet.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nnot of red.mp4\n")
    index([videos], tmp_path / "lib", Colours())
    manifest = Manifest(tmp_path / "lib")
    (found,) = [text for text, _ in manifest.search_texts("DOOR")]
    assert (found.start, found.end, found.words, found.kind) == (1.0, 2.5, "the red door", "transcript")
    assert [text.words for text, _ in manifest.search_texts("hill")] == ["a green hill"]
    assert [text.words for text, _ in manifest.search_texts("sky")] == ["blue sky"]
    assert manifest.search_texts("carpet") == []
    # what FTS takes for operators is plain words here
    for odd in ('"', "AND", "a*", "NEAR(", "-x", "col:y"):
        manifest.search_texts(odd)


def test_two_processes_make_the_library_of_one(videos, tmp_path):
    for i in range(6):
        write(videos / f"more{i}.mp4", ["red", "blue"], part_s=0.5 + i / 4)
    whole, shared = tmp_path / "whole", tmp_path / "shared"
    index([videos], whole, Colours())
    command = [sys.executable, "-c", PLAIN, str(videos), str(shared)]
    workers = [subprocess.Popen(command, env=environment()) for _ in range(2)]
    assert [worker.wait() for worker in workers] == [0, 0]
    assert shards(shared) == shards(whole)
    assert paths(shared) == paths(whole)


def environment() -> dict[str, str]:
    """In which a process finds these helpers and the checkout."""
    root = Path(__file__).resolve().parents[1]
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root.parent / "src")])}


PLAIN = """
import sys
from library.conftest import Colours
from videoexpert.library.build import index
index([sys.argv[1]], sys.argv[2], Colours())
"""
KILLED = """
import os, signal, sys
from library.conftest import Colours
from videoexpert.library import build, manifest
import videoexpert.library.build as build
place = int(sys.argv[3])
count = 0
def maybe(*_):
    global count
    count += 1
    if count == place:
        os.kill(os.getpid(), signal.SIGKILL)
for owner, name in ((build, "write_shard"), (manifest.Manifest, "finish"), (manifest.Manifest, "claim")):
    old = getattr(owner, name)
    def wrapped(*a, old=old, **k):
        maybe()
        found = old(*a, **k)
        maybe()
        return found
    setattr(owner, name, wrapped)
build.index([sys.argv[1]], sys.argv[2], Colours())
"""


@pytest.mark.parametrize("place", [2, 3, 5, pytest.param(8, marks=pytest.mark.slow)])
def test_killed_anywhere_it_continues_to_the_same_library(videos, tmp_path, place):
    library = tmp_path / "lib"
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(videos), str(library), str(place)], env=environment(), check=False
    )
    assert done.returncode == -signal.SIGKILL
    index([videos], library, Colours())
    index([videos], tmp_path / "whole", Colours())
    assert shards(library) == shards(tmp_path / "whole")
    assert paths(library) == paths(tmp_path / "whole")
    assert care.verify(library) == []
    assert not [file for file in library.rglob("*") if file.name.endswith(".part")]


def test_a_full_disk_is_said_and_the_library_stays_open(videos, tmp_path, monkeypatch):
    library = tmp_path / "lib"

    def full(*_: object) -> int:
        raise WriteError("no space is left on the disk; free some.")

    with monkeypatch.context() as patch:
        patch.setattr("videoexpert.library.build.write_shard", full)
        with pytest.raises(WriteError, match="no space"):
            index([videos], library, Colours())
    assert care.info(library).videos == 0
    assert index([videos], library, Colours()).encoded == 3


def test_a_reader_never_sees_half_a_video(videos, tmp_path):
    """Whatever the rows say, the shard is there: looked at from inside each step."""
    library, seen = tmp_path / "lib", []

    def look(done: int, total: int, seconds: float) -> None:
        manifest = Manifest(library)
        for content in manifest.videos(1):
            assert shard_path(library, content, 1).is_file()
        seen.append((done, total, len(manifest.videos(1))))

    index([videos], library, Colours(), progress=look)
    assert seen == [(1, 3, 1), (2, 3, 2), (3, 3, 3)]


def test_damage_is_found_and_mended(videos, tmp_path):
    library = tmp_path / "lib"
    index([videos], library, Colours())
    victim = next((library / "shards").rglob("*.safetensors"))
    victim.write_bytes(b"damaged")
    (told,) = care.verify(library)
    assert victim.name in told
    care.verify(library, repair=True)
    assert index([videos], library, Colours()).encoded == 1
    assert care.verify(library) == []


def test_wrong_calls(tmp_path):
    with pytest.raises(InputError, match="no file or folder"):
        scan([tmp_path / "nothing"])
    with pytest.raises(DataError, match="holds no library"):
        care.info(tmp_path)
    (tmp_path / "library.sqlite").write_bytes(b"no database" * 100)
    with pytest.raises(DataError, match="damaged"):
        Manifest(tmp_path)
    other = tmp_path / "newer"
    Manifest(other, create=True).close()
    with sqlite3.connect(other / "library.sqlite") as db:
        db.execute("UPDATE meta SET value = '99'")
    with pytest.raises(DataError, match="newer videoexpert"):
        Manifest(other)
