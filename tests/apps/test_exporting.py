"""--format, --out, --rate and --start-timecode: where answers go, and what is refused before the model is loaded."""

from __future__ import annotations

import csv
import io
import json
import shutil
from functools import lru_cache

import pytest

from videoexpert import session
from videoexpert.export import FORMATS


@pytest.fixture(autouse=True)
def loaded_once(monkeypatch):
    """Each model is read from the disk once for all tests of this module."""
    monkeypatch.setattr(session, "load", LOAD)


LOAD = lru_cache(session.load)


@pytest.fixture
def caption_two(monkeypatch):
    """The model tells of two events."""
    from videoexpert.types import Captions, Moment

    told = Captions([Moment(1.0, 2.0, 0.7, text="A ball falls."), Moment(3.0, 4.5, 0.6, text="It stops.")])
    monkeypatch.setattr(session.Video, "caption", lambda self: told)


@pytest.fixture
def never_loads(monkeypatch):
    """The call is wrong before anything heavy happens."""
    monkeypatch.setattr(session, "load", lambda *_, **__: pytest.fail("the model was loaded"))


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"chapters"}))
def test_what_is_printed_is_what_is_written(call, model, video, tmp_path, name, caption_two):
    asked = ("caption", video, "--model", model, "--format", name)
    printed = call(*asked)
    assert printed.code == 0
    assert printed.out
    out = tmp_path / "answer"
    written = call(*asked, "--out", out)
    assert (written.code, written.out) == (0, "")
    assert written.err.splitlines()[-1] == f"written to {out}"
    assert out.read_bytes().decode("utf-8") == printed.out
    assert [file.name for file in tmp_path.iterdir()] == ["answer"]


def test_the_ending_says_the_format(call, model, video, tmp_path, caption_two):
    for name in ("a.srt", "a.vtt", "a.markers.edl"):
        assert call("caption", video, "--model", model, "--out", tmp_path / name).code == 0
    assert (tmp_path / "a.srt").read_text() == (
        "1\n00:00:01,000 --> 00:00:02,000\nA ball falls.\n\n2\n00:00:03,000 --> 00:00:04,500\nIt stops.\n"
    )
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n")
    assert "|D:" in (tmp_path / "a.markers.edl").read_text()


def test_frames_are_counted_at_the_video_s_rate_or_at_the_one_asked_for(call, model, video, caption_two):
    asked = ("caption", video, "--model", model, "--format", "edl")
    done = call(*asked)
    # 5 pictures a second are exact at 25
    assert f"Note: {video} has 5 pictures a second: times are written in frames at 25 a second" in done.err
    assert done.out.splitlines()[3].split()[4:6] == ["00:00:01:00", "00:00:02:00"]
    done = call(*asked, "--rate", "29.97df", "--start-timecode", "10:00:00;00")
    assert done.err == ""
    assert done.out.splitlines()[1] == "FCM: DROP FRAME"
    assert done.out.splitlines()[3].split()[4:] == [
        "00:00:01;00",
        "00:00:02;00",
        "10:00:00;00",
        "10:00:01;00",
    ]
    assert "FCM: DROP" in call(*asked, "--rate", "29.97", "--start-timecode", "00:00:00;00").out


def test_each_task_is_exported(call, model, video):
    common = ("--model", model, "--format", "csv")
    for asked, kinds in (
        (("ground", video, "it falls", "a dog"), {"moment"}),
        (("highlight", video, "it falls"), {"moment", "clip"}),
        (("ask", video, "what falls?", "--choice", "a ball", "--choice", "a dog"), {"moment"}),
    ):
        rows = list(csv.DictReader(io.StringIO(call(*asked, *common).out, newline="")))
        assert {row["kind"] for row in rows} == kinds
        assert {row["video"] for row in rows} == {str(video)}


def test_what_is_absent_gives_no_moment_and_says_so(call, model_that_finds_nothing, video):
    done = call("ground", video, "it falls", "--model", model_that_finds_nothing, "--format", "vtt")
    assert (done.code, done.out) == (0, "WEBVTT\n")
    assert done.err == f"{video}: nothing was found; the vtt file holds no moment.\n"


@pytest.fixture
def three(video, tmp_path):
    """Two good videos of one name in two folders, and a broken one."""
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        shutil.copy(video, tmp_path / folder / "a.mp4")
    (tmp_path / "one" / "b.mp4").write_text("this is a text")
    return (tmp_path / "one", tmp_path / "two")


def test_several_videos_in_a_folder_of_files(call, model, three, tmp_path, caption_two):
    out = tmp_path / "out"
    out.mkdir()
    done = call("caption", *three, "--model", model, "--format", "srt", "--out", out)
    assert done.code == 1
    assert "1 of 3 videos failed." in done.err
    assert sorted(file.name for file in out.iterdir()) == ["a-2.srt", "a.srt"]
    assert (out / "a.srt").read_text() == (out / "a-2.srt").read_text()


def test_several_videos_in_one_file(call, model, three, tmp_path, caption_two):
    done = call("caption", *three, "--model", model, "--out", tmp_path / "all.jsonl")
    assert done.code == 1
    lines = [json.loads(line) for line in (tmp_path / "all.jsonl").read_text().splitlines()]
    assert [("error" in line, line["video"]) for line in lines] == [
        (False, str(three[0] / "a.mp4")),
        (True, str(three[0] / "b.mp4")),
        (False, str(three[1] / "a.mp4")),
    ]
    tasks = json.loads(call("caption", *three, "--model", model, "--format", "label-studio").out)
    assert len(tasks) == 2


def test_lines_come_as_videos_are_done(call, model, three, capsys, monkeypatch):
    printed = []

    def look(self):
        printed.append(capsys.readouterr().out)
        return []

    monkeypatch.setattr(session.Video, "caption", look)
    done = call("caption", *three, "--model", model, "--format", "jsonl")
    assert printed[0] == ""
    assert [json.loads(line)["video"] for line in printed[1].splitlines()] == [
        str(three[0] / "a.mp4"),
        str(three[0] / "b.mp4"),
    ]
    assert json.loads(done.out)["video"] == str(three[1] / "a.mp4")


def test_a_file_of_json_lines_is_resumed(call, model, video, tmp_path):
    out = tmp_path / "found.jsonl"
    three = [shutil.copy(video, tmp_path / f"{name}.mp4") for name in "abc"]
    asked = ("ground", *three, "it falls", "--model", model)
    whole = call(*asked, "--out", out)
    assert (whole.code, whole.out, whole.err) == (0, "", f"written to {out}\n")
    text = out.read_text()
    lines = text.splitlines(keepends=True)
    assert [json.loads(line)["video"] for line in lines] == [str(video) for video in three]
    # a kill in the middle of the second line, and a video that failed
    failed = json.dumps({"video": str(three[2]), "error": "no picture"}) + "\n"
    out.write_text(failed + lines[0] + lines[1][:40])
    again = call(*asked, "--out", out)
    assert again.code == 0
    assert again.err.splitlines()[0] == f"1 of 3 videos are answered in {out} already."
    assert out.read_text() == text
    other = call("ground", *three, "a dog", "--model", model, "--out", out)
    assert other.code == 2
    assert "holds answers to other sentences" in other.err
    out.write_text(lines[0].replace(str(model), "elsewhere"))
    assert "holds answers of elsewhere, expected those of" in call(*asked, "--out", out).err
    out.write_text("no answer\n")
    assert "is not a file of answers" in call(*asked, "--out", out).err


def test_of_several_videos_one_that_a_format_cannot_hold_is_told(call, model, three, tmp_path, caption_two):
    out = tmp_path / "out"
    out.mkdir()
    done = call("caption", three[1], "--model", model, "--format", "chapters", "--out", out)
    assert done.code == 1
    assert "2 chapters were found, and YouTube wants at least 3" in done.err
    assert list(out.iterdir()) == []
    alone = call("caption", three[1] / "a.mp4", "--model", model, "--format", "chapters")
    assert (alone.code, alone.out) == (2, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--out", "x.doc"], "the name 'x.doc' says no format, expected an ending such as .json"),
        (["--out", "folder"], "--out folder needs a format, expected --format with one such as json or srt"),
        (["--format", "table", "--out", "x.srt"], "--out x.srt needs a format"),
        (["--format", "srt", "--out", "a.mp4"], "--out is 'a.mp4', which would overwrite a video"),
        (["--format", "srt", "--out", "new.mkv"], "which would overwrite a video"),
        (["--format", "srt", "--out", "none/x.srt"], "but its folder does not exist"),
        (
            ["--format", "srt", "--rate", "25"],
            "--rate is for formats whose times are frames, and srt has none",
        ),
        (["--rate", "25"], "and table has none of it"),
        (["--format", "label-studio", "--start-timecode", "00:00:00:00"], "--start-timecode is for formats"),
        (["--format", "edl", "--rate", "fast"], "the rate is 'fast'"),
        (["--format", "edl", "--start-timecode", "1h"], "the timecode is '1h'"),
    ],
)
def test_wrong_calls(call, video, tmp_path, monkeypatch, never_loads, options, message):
    monkeypatch.chdir(tmp_path)
    shutil.copy(video, "a.mp4")
    (tmp_path / "folder").mkdir()
    done = call("ground", "a.mp4", "q", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_one_video_a_file_needs_a_folder_for_several(call, three, never_loads):
    done = call("caption", *three, "--format", "srt")
    assert done.code == 2
    assert "srt holds one video a file, and several were named: give --out an existing folder" in done.err


def test_an_unknown_format_names_those_there_are(call):
    done = call("ground", "a.mp4", "q", "--format", "doc")
    assert (done.code, done.out) == (2, "")
    assert "'doc' is not one of table, json" in " ".join(done.err.split()).replace(" │ │ ", " ")
