"""Folders with all kinds of things in them: each is a video, a fault or left out, with the reason."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from library.conftest import Colours
from videoexpert.library.build import index
from videoexpert.library.manifest import Manifest
from videoexpert.library.scan import scan


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
