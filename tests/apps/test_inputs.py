"""Which arguments are videos and which are sentences, and what is refused before anything heavy is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.apps.inputs import as_seconds, check_clip, check_picture, picture_name, split_arguments
from videoexpert.errors import InputError, VideoError
from videoexpert.export.text import clock


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.ogv", "c.MKV", "notes.txt", ".hidden.mp4", "plain"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "empty.avi").mkdir()
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.gif").write_bytes(b"x")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "e.mp4").write_bytes(b"x")
    return tmp_path


def test_leading_files_are_videos_and_the_rest_sentences(folder):
    found = split_arguments(["a.mp4", "plain", "a dog", "it runs a.mp4"], "query", many=True)
    assert found.videos == ("a.mp4", "plain")
    assert found.texts == ("a dog", "it runs a.mp4")
    assert found.several
    assert not split_arguments(["a.mp4", "a dog"], "query").several
    # only leading ones: later a sentence may have the name of a file
    assert split_arguments(["a.mp4", "a dog", "plain"], "query", many=True).texts == ("a dog", "plain")


def test_a_folder_gives_its_videos_in_order(folder):
    found = split_arguments([".", "a dog"], "query")
    assert found.videos == ("a.mp4", "b.ogv", "c.MKV")
    assert split_arguments(["more", "a dog"], "query").several
    assert split_arguments(["a.mp4", "more"]).videos == ("a.mp4", str(Path("more") / "d.gif"))


@pytest.mark.parametrize(
    ("arguments", "kind", "error", "message"),
    [
        (["none.mp4", "a dog"], "query", VideoError, "'none.mp4' does not exist"),
        (["a dog", "gone"], "query", VideoError, "'a dog' does not exist"),
        (["a dog", "a.mp4"], "query", InputError, 'the video first: a.mp4 "a dog"'),
        (["a dog", "b.ogv", "a.mp4"], "query", InputError, 'the video first: b.ogv a.mp4 "a dog"'),
        (["a dog", "more"], "query", InputError, 'the video first: more "a dog"'),
        (["deep", "a dog"], "query", VideoError, "its folders do: add --recursive"),
        (["https://x.org/a.mp4", "q"], "query", VideoError, "expected a local video file"),
        (["a.mp4", "typo.webm", "a dog"], "query", VideoError, r"'typo\.webm' does not exist"),
        (["a.mp4", "other"], "", VideoError, "'other' does not exist"),
        (["empty.avi", "a dog"], "query", VideoError, r"folder 'empty\.avi' holds no video"),
        (["a.mp4"], "query", InputError, r"no query after 'a\.mp4'"),
        (["a.mp4", "plain"], "question", InputError, "no question after 'plain'"),
        (["a.mp4", "a dog", " "], "query", InputError, "the query is empty"),
        (["a.mp4", "a", "dog"], "query", InputError, "2 texts were given, expected one query"),
        (["a.mp4", "x" * 5000, "y"], "query", InputError, "2 texts were given"),
    ],
)
def test_refused(folder, arguments, kind, error, message):
    with pytest.raises(error, match=message):
        split_arguments(arguments, kind)


def test_folders_of_a_folder_and_sentences_of_a_file(folder):
    assert split_arguments(["deep", "a dog"], "query", recursive=True).videos == ("deep/er/e.mp4",)
    listed = folder / "queries.txt"
    listed.write_text("a dog\n\n  it runs, é \n", encoding="utf-8")
    found = split_arguments(["a.mp4", "first"], "query", many=True, listed=listed)
    assert found.texts == ("first", "a dog", "it runs, é")
    assert split_arguments(["a.mp4"], "query", many=True, listed=listed).texts == ("a dog", "it runs, é")
    listed.write_text("\n")
    with pytest.raises(InputError, match="holds no query, expected one sentence a line"):
        split_arguments(["a.mp4"], "query", many=True, listed=listed)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), (" 1.5 ", 1.5), ("1:30", 90.0), ("1:02:03.5", 3723.5), ("90:00", 5400.0), ("-1", -1.0)],
)
def test_times_are_seconds_or_clock(text, seconds):
    assert as_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["", "a", "1:", "1:60", "1:-3", "-1:30", "1:2:3:4", "1.5:00", "nan:10", "1:nan", "nan", "inf", "1e400"],
)
def test_what_is_no_time(text):
    with pytest.raises(InputError, match="expected seconds or h:mm:ss"):
        as_seconds(text)


@given(st.floats(120, 1e6), st.floats(120, 1e6))
def test_a_time_that_is_printed_is_a_time_that_is_read(value, end):
    assert as_seconds(clock(value, end)) == pytest.approx(value, abs=0.05001)


def test_clips_that_no_video_has():
    check_clip(None, None)
    check_clip(0.0, 1.0)
    check_clip(3.0, None)
    for start, end, message in (
        (5.0, 2.0, "--end is 2 s and --start 5 s"),
        (2.0, 2.0, "expected the end after the start"),
        (None, 0.0, "--end is 0 s and --start 0 s"),
    ):
        with pytest.raises(InputError, match=message):
            check_clip(start, end)


def test_pictures(tmp_path):
    check_picture(None)
    check_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"ends in \.png, \.svg, \.pdf"):
        check_picture(tmp_path / "a.jpg")
    with pytest.raises(InputError, match="its folder does not exist"):
        check_picture(tmp_path / "none" / "a.png")
    assert picture_name(Path("out/a.png"), None) == Path("out/a.png")
    assert picture_name(Path("out/a.png"), 3) == Path("out/a-3.png")
