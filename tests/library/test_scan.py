"""Folders with all kinds of things in them: each is a video, a fault or left out, with the reason."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from unittest import mock

import pytest

from library.conftest import Colours
from videoexpert.errors import DataError
from videoexpert.library.build import index
from videoexpert.library.manifest import Manifest
from videoexpert.library.scan import scan
from videoexpert.library.shards import Shard


@pytest.fixture
def odd(videos, tmp_path) -> Path:
    """Names in several scripts, and what is no video in every way that a folder has."""
    red = (videos / "red.mp4").read_bytes()
    for number, name in enumerate(
        ("猫 🐈", "видео", "فيديو", "a' \"b; --c", "e\u0301", "\u202enip", "x" * 200)
    ):
        (videos / f"{name}.mp4").write_bytes(red + bytes([number]))
    (videos / "no ending").write_bytes(red + b"y")
    (videos / "broken.mp4").write_bytes(b"no video")
    (videos / "empty.mkv").touch()
    (videos / "cut.mp4").write_bytes(red[: len(red) // 2])
    (videos / "notes.txt").write_text("no video")
    (videos / "words.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nof nobody\n")
    (videos / ".hidden.mp4").write_bytes(red)
    (videos / "folder.mp4").mkdir()
    (videos / "loop").symlink_to(videos)
    (videos / "itself.mp4").symlink_to("itself.mp4")
    (videos / "dangling.mp4").symlink_to(tmp_path / "nothing.mp4")
    os.mkfifo(videos / "pipe.mp4")
    return videos


SKIPPED = {
    "notes.txt": "not a video",
    "words.srt": "no video has its name",
    ".hidden.mp4": "hidden",
    "loop": "a link to a folder that is looked at elsewhere",
    "itself.mp4": "a link to itself",
    "dangling.mp4": "a link to nothing",
    "pipe.mp4": "no regular file",
}


def everything(folder: Path) -> set[str]:
    return {str(file) for file in folder.rglob("*") if file.is_symlink() or not file.is_dir()}


def test_each_thing_is_indexed_or_has_its_reason(odd, tmp_path):
    done = index([odd], tmp_path / "lib", Colours())
    assert {Path(path).name: reason for path, reason in done.skipped.items()} == SKIPPED
    assert {Path(path).name for path in done.failed} == {"broken.mp4", "empty.mkv", "cut.mp4"}
    assert all(reason.endswith(".") for reason in done.failed.values())
    held = [path for video in Manifest(tmp_path / "lib").videos(1).values() for path in video.paths]
    assert len(held) == 11
    told = [*held, *done.failed, *done.skipped]
    assert len(told) == len(set(told))
    assert set(told) == everything(odd)


def test_a_name_that_is_no_text_is_a_fault(videos, tmp_path):
    wrong = os.fsencode(videos) + b"/caf\xe9.mp4"
    try:
        with open(wrong, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes no such name")
    found = scan([videos])
    assert {os.path.basename(path): reason for path, reason in found.faults.items()} == {
        "caf\ufffd.mp4": "its name is not UTF-8; rename it."
    }
    assert len(index([videos], tmp_path / "lib", Colours()).failed) == 1


def test_what_cannot_be_read_is_a_fault(videos, tmp_path, monkeypatch):
    def refuse(path: str) -> str:
        if "red" in path:
            raise PermissionError(13, "Permission denied")
        return path

    monkeypatch.setattr("videoexpert.library.build.content_hash", refuse)
    done = index([videos], tmp_path / "lib", Colours())
    assert done.failed == {str(videos / "red.mp4"): "the file cannot be read (Permission denied)."}
    assert done.encoded == 2


def test_a_broken_transcript_costs_its_words_alone(videos, tmp_path):
    words = videos / "red.en.srt"
    words.write_bytes(b"1\n00:00:01,000 --> 00:00:02,500\nthe red d\xff\xfe\n")
    (videos / "mixed.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\na green hill\n")
    library = tmp_path / "lib"
    first = index([videos], library, Colours())
    assert first.encoded == 3
    assert list(first.failed) == [str(words)]
    assert "UTF-8" in first.failed[str(words)]
    assert list(index([videos], library, Colours()).failed) == [str(words)]
    manifest = Manifest(library)
    assert [text.words for text, _ in manifest.search_texts("hill")] == ["a green hill"]
    assert manifest.search_texts("door") == []
    # mended, its words are read without encoding the video again
    words.write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red door\n")
    again = index([videos], library, Colours())
    assert (again.encoded, again.failed) == (0, {})
    assert [text.words for text, _ in manifest.search_texts("door")] == ["the red door"]


def test_words_beside_any_copy_of_a_video_count(videos, tmp_path):
    (videos / "sub" / "copy.mp4").write_bytes((videos / "red.mp4").read_bytes())
    for name, words in (("red", "the red door"), ("sub/copy", "a loud bell")):
        (videos / f"{name}.srt").write_text(f"1\n00:00:01,000 --> 00:00:02,500\n{words}\n")
    done = index([videos], tmp_path / "lib", Colours())
    assert (done.encoded, done.skipped) == (3, {})
    manifest = Manifest(tmp_path / "lib")
    found = [text for query in ("door", "bell") for text, _ in manifest.search_texts(query)]
    assert [text.words for text in found] == ["the red door", "a loud bell"]
    assert len({text.content for text in found}) == 1


def test_a_broken_transcript_that_is_taken_away_is_no_fault(videos, tmp_path):
    words = videos / "red.vtt"
    words.write_bytes(b"\xff\xfe\xff")
    assert len(index([videos], tmp_path / "lib", Colours()).failed) == 1
    words.unlink()
    assert index([videos], tmp_path / "lib", Colours()).failed == {}


def cue(words: str) -> str:
    return f"1\n00:00:01,000 --> 00:00:02,500\n{words}\n"


def heard(library: Path, *words: str) -> list[str]:
    manifest = Manifest(library)
    return [word for word in words if manifest.search_texts(word)]


def test_transcripts_that_change_are_read_again_and_nothing_is_encoded(videos, tmp_path):
    library, encoder = tmp_path / "lib", Colours()
    (videos / "sub" / "copy.mp4").write_bytes((videos / "red.mp4").read_bytes())
    (videos / "sub" / "copy.srt").write_text(cue("a loud bell"))

    def told(path: Path, shard: Shard) -> list[tuple[float, float, str]]:
        return [(0.0, 1.0, f"captioned {path.stem}")]

    index([videos], library, encoder, captions=told)
    for change, words in (
        (lambda: (videos / "red.srt").write_text(cue("the red door")), ["door", "bell"]),
        (lambda: (videos / "red.srt").write_text(cue("the red gate")), ["gate", "bell"]),
        (
            lambda: (videos / "red.en.vtt").write_text("WEBVTT\n\n00:00.500 --> 00:01.500\na hill\n"),
            ["gate", "hill", "bell"],
        ),
        ((videos / "red.srt").unlink, ["hill", "bell"]),
        (lambda: (videos / "red.en.vtt").write_bytes(b"\xff\xfe\xff"), ["bell"]),
        ((videos / "sub" / "copy.srt").unlink, []),
    ):
        change()
        # the copy's folder is not looked at, and its words stay
        done = index(
            [videos / "red.mp4"] if (videos / "sub" / "copy.srt").exists() else [videos], library, encoder
        )
        assert done.encoded == 0
        assert set(heard(library, "door", "gate", "hill", "bell")) == set(words)
        assert heard(library, "captioned") == ["captioned"]
    assert list(done.failed) == [str(videos / "red.en.vtt")]
    assert len(encoder.encoded) == 3


def test_a_library_of_version_1_is_read_on(videos, tmp_path):
    """Its words lay in the index itself."""
    library = tmp_path / "lib"
    (videos / "red.srt").write_text(cue("the red door"))
    index([videos], library, Colours())
    with closing(sqlite3.connect(library / "library.sqlite")) as db:
        rows = db.execute("SELECT words, content, kind, start, end FROM cues").fetchall()
        db.executescript("DROP TABLE terms; DROP TABLE texts; DROP TABLE cues; DROP TABLE transcripts;")
        db.execute(
            "CREATE VIRTUAL TABLE texts USING fts5 (words, content UNINDEXED, kind UNINDEXED, start UNINDEXED, "
            "end UNINDEXED, tokenize = 'unicode61 remove_diacritics 2')"
        )
        db.execute("CREATE VIRTUAL TABLE terms USING fts5vocab (texts, 'row')")
        db.executemany("INSERT INTO texts (words, content, kind, start, end) VALUES (?, ?, ?, ?, ?)", rows)
        db.execute("UPDATE meta SET value = '1'")
        db.commit()
    with mock.patch("os.access", return_value=False), pytest.raises(DataError, match="older videoexpert"):
        Manifest(library)
    assert heard(library, "door", "gate") == ["door"]
    assert index([videos], library, Colours()).encoded == 0
    assert [text.words for text in Manifest(library).texts({rows[0][1]})] == ["the red door"]


def test_a_folder_that_can_be_read_again_is_no_fault(videos, tmp_path, monkeypatch):
    """And what lay in it is not lost meanwhile."""
    library, listing = tmp_path / "lib", os.scandir
    index([videos], library, Colours())

    def refuse(folder: str):
        if str(folder).endswith("sub"):
            raise PermissionError(13, "Permission denied")
        return listing(folder)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", refuse)
        done = index([videos], library, Colours())
    assert (list(done.failed), done.removed) == ([str(videos / "sub")], 0)
    done = index([videos], library, Colours())
    assert (done.failed, done.removed, done.encoded) == ({}, 0, 0)
