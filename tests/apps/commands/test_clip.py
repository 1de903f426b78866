"""``clip``: files of the moments, a contact sheet, a reel; nothing where nothing is found."""

from __future__ import annotations

import json
import shutil
from functools import lru_cache

import pytest
from PIL import Image

from videoexpert import session
from videoexpert.apps.commands import clip
from videoexpert.types import Moment, Moments
from videoexpert.video import probe

LOAD = lru_cache(session.load)


@pytest.fixture(autouse=True)
def here(monkeypatch, tmp_path):
    """Each test works in a folder of its own, with a model that is loaded once."""
    monkeypatch.setattr(session, "load", LOAD)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def finds(monkeypatch):
    """The model finds these moments for each query."""

    def say(*found: Moment) -> None:
        monkeypatch.setattr(
            session.Video, "ground", lambda self, queries, top_k: [Moments(q, found) for q in queries]
        )

    return say


def files(folder) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_moments_become_files(call, model, video, tmp_path, finds):
    finds(Moment(1.0, 2.5, 0.9), Moment(5.0, 6.0, 0.5))
    done = call("clip", video, "it falls: left/right?", "--model", model, "--exact")
    assert done.code == 0
    assert files(tmp_path / "clips") == [
        "001_a_0m01.00s-0m02.50s_it-falls-left-right.mp4",
        "002_a_0m05.00s-0m06.00s_it-falls-left-right.mp4",
        "contact-sheet.jpg",
    ]
    first, second, sheet = done.out.splitlines()
    assert first == "clips/001_a_0m01.00s-0m02.50s_it-falls-left-right.mp4   1.0 s to 2.5 s, encoded"
    assert "5.0 s to 6.0 s, encoded" in second
    assert sheet == "clips/contact-sheet.jpg   contact sheet"
    made = tmp_path / "clips" / first.split("   ")[0].removeprefix("clips/")
    assert probe(made).duration_s == pytest.approx(1.5, abs=1e-3)
    with Image.open(tmp_path / "clips" / "contact-sheet.jpg") as sheet:
        assert sheet.width == 1200


def test_copies_say_what_was_cut(call, model, video, finds, monkeypatch):
    finds(Moment(5.1, 6.0, 0.9))
    done = call("clip", video, "it falls", "--model", model, "--out", "out")
    # the scene changes every second
    assert "5.0 s to 6.0 s, copied (0.10 s earlier than asked: key frames)" in done.out
    assert done.err == ""
    monkeypatch.setattr(clip, "FAR_S", 0.05)
    done = call("clip", video, "it falls", "--model", model, "--out", "out")
    assert done.err == "A copied clip begins at a key frame; --exact begins where it was asked to.\n"


def test_padding_stays_inside_the_video(call, model, video, finds):
    finds(Moment(0.5, 1.0, 0.9), Moment(7.5, 7.8, 0.9), Moment(4.0, 4.0, 0.9))
    done = call("clip", video, "it falls", "--model", model, "--exact", "--pad", 1)
    assert [line.split("   ")[1] for line in done.out.splitlines()[:3]] == [
        "0.0 s to 2.0 s, encoded",
        "3.0 s to 5.0 s, encoded",
        "6.5 s to 8.0 s, encoded",
    ]
    done = call("clip", video, "it falls", "--model", model, "--exact", "--out", "points")
    assert "4.0 s to 4.1 s, encoded" in done.out  # a moment that is a point is seen for a while


def test_the_best_of_each_sentence(call, model, video, tmp_path, finds):
    finds(Moment(1, 2, 0.9), Moment(3, 4, 0.8), Moment(5, 6, 0.3))
    asked = ("clip", video, "a", "b", "--model", model, "--exact")
    assert len(call(*asked, "--min-score", 0.5).out.splitlines()) == 4 + 1
    assert len(call(*asked, "--top-k", 1, "--out", "one").out.splitlines()) == 2 + 1
    assert files(tmp_path / "one")[:2] == [
        "001_a_0m01.00s-0m02.00s_a.mp4",
        "002_a_0m01.00s-0m02.00s_b.mp4",
    ]


def test_a_reel(call, model, video, tmp_path, finds):
    finds(Moment(1.0, 2.5, 0.9), Moment(5.0, 6.0, 0.5))
    done = call("clip", video, "it falls", "--model", model, "--reel", "reel.mp4")
    assert done.out.splitlines()[-1] == "reel.mp4   2 moments, 2.5 s"
    assert probe(tmp_path / "reel.mp4").duration_s == pytest.approx(2.5, abs=1e-3)


def test_what_is_absent_gives_no_file(call, model, model_that_finds_nothing, video, tmp_path, finds):
    before = files(tmp_path)
    done = call("clip", video, "it falls", "--model", model_that_finds_nothing)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"{video}: nothing was found; nothing was cut.\n"
    finds(Moment(1, 2, 0.4))
    done = call("clip", video, "it falls", "--model", model, "--min-score", 0.5)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"{video}: no moment scores 0.5, the best one 0.40; nothing was cut.\n"
    assert files(tmp_path) == before


def test_a_saved_answer_is_cut_without_a_model(call, video, tmp_path, monkeypatch):
    monkeypatch.setattr(session, "load", lambda *_, **__: pytest.fail("the model was loaded"))
    moments = [{"start": 1.0, "end": 2.0, "score": 0.9, "text": "It falls."}]
    answer = {"video": str(video), "duration": 8.0, "model": "m", "captions": moments}
    (tmp_path / "a.json").write_text(json.dumps(answer))
    done = call("clip", "--from", "a.json", "--exact")
    assert done.code == 0
    assert files(tmp_path / "clips")[0] == "001_a_0m01.00s-0m02.00s_It-falls.mp4"
    (tmp_path / "a.json").write_text(json.dumps(answer | {"captions": []}))
    assert call("clip", "--from", "a.json").code == 3


def test_of_several_videos_a_broken_one_is_told(call, model, video, tmp_path, finds):
    finds(Moment(1, 2, 0.9))
    (tmp_path / "in").mkdir()
    shutil.copy(video, tmp_path / "in" / "a.mp4")
    (tmp_path / "in" / "b.mp4").write_text("a text")
    done = call("clip", "in", "it falls", "--model", model)
    assert done.code == 1
    assert done.err.splitlines()[-1] == "1 of 2 videos failed."
    assert len(files(tmp_path / "clips")) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "there is nothing to cut, expected VIDEO and QUERY, or --from"),
        (["a.mp4", "q", "--from", "a.json"], "--from names the videos and sentences itself"),
        (["--from", "a.json", "--frames", "4"], "--from asks no model: leave --model"),
        (["a.mp4", "q", "--reel", "reel.avi"], "expected a file name that ends in .mp4"),
        (["a.mp4", "q", "--out", "file"], "--out is 'file', which is a file, expected a folder"),
        (["a.mp4", "q", "--pad", "inf"], "a time is 'inf'"),
        (["a.mp4", "q", "--start", "5", "--end", "2"], "expected the end after the start"),
    ],
)
def test_wrong_calls(call, video, tmp_path, arguments, message):
    shutil.copy(video, "a.mp4")
    (tmp_path / "file").touch()
    done = call("clip", *arguments)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
