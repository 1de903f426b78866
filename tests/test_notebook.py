"""Answers in a notebook, as plain values, and as tables."""

from __future__ import annotations

import builtins
import re
import subprocess
import sys

import pytest

import videoexpert
from videoexpert import display
from videoexpert.errors import DependencyError
from videoexpert.session import Expert
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import Answer, Captions, Highlights, Moment, Moments, Source


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("videos") / "a b.mp4", 8.0)


@pytest.fixture(scope="module")
def video(file):
    return Expert(tiny_model(num_frames=16), tiny_tokenizer(), "tiny").open(file)


def test_every_answer_knows_its_video(video, file):
    source = Source(str(file), 0.0, 8.0)
    assert video.ground("it falls").source == source
    assert [found.source for found in video.ground(["it falls", "a dog"])] == [source, source]
    assert video.ground([]) == []
    assert video.highlights("it falls").source == source
    assert video.caption().source == source
    answer = video.ask("what falls?", ["a ball", "a dog"])
    assert (answer.source, answer.choices) == (source, ("a ball", "a dog"))
    assert video.ask("what falls?").choices == ()
    assert video.blank().ground("it falls").source is None


def test_pictures_and_a_player_where_the_file_is(video, file, monkeypatch, tmp_path):
    found = video.ground("it falls", 3)
    monkeypatch.chdir(file.parent)
    html = found._repr_html_()
    assert re.findall(r'src="([^"#]+)#t=', html)[0] == "a%20b.mp4"
    assert "data:image/jpeg;base64,/9j/" in html
    monkeypatch.chdir(tmp_path)
    assert re.findall(r'src="([^"#]+)#t=', found._repr_html_())[0] == file.as_uri()


@pytest.mark.parametrize("name", ["gone.mp4", "text.mp4"])
def test_a_video_that_is_gone_leaves_the_bars(name, tmp_path):
    (tmp_path / "text.mp4").write_text("a text")
    found = Moments("a", (Moment(1, 2, 0.9),), source=Source(str(tmp_path / name), 0.0, 8.0))
    html = found._repr_html_()
    assert "<rect" in html
    assert "image/jpeg" not in html
    assert ("<video" in html) == (name == "text.mp4")


def test_formats_that_no_browser_plays_are_pictures(file, tmp_path):
    (tmp_path / "a.avi").write_bytes(file.read_bytes())
    html = Moments("a", (Moment(1, 2, 0.9),), source=Source(str(tmp_path / "a.avi"), 0.0, 8.0))._repr_html_()
    assert "<img" in html
    assert "<video" not in html


SHOWN = [
    (Moments("a", (Moment(1, 2, 0.9),), 0.8), {"query": "a", "presence": 0.8, "absent": False}, ["moment"]),
    (
        Highlights("a", (0.0,), (0.1,), (Moment(1, 2, 0.9),)),
        {"clip": 2.0, "times": [0.0]},
        ["moment", "clip"],
    ),
    (
        Captions([Moment(1, 2, 0.9, "a")]),
        {"captions": [{"start": 1, "end": 2, "score": 0.9, "text": "a"}]},
        ["caption"],
    ),
    (Answer("a?", "b", 0, (), (1.0,), choices=("b",)), {"answer": "b", "choice": 0}, ["moment"]),
]


@pytest.mark.parametrize(("shown", "some", "kinds"), SHOWN, ids=lambda value: type(value).__name__)
def test_plain_values_and_tables(shown, some, kinds):
    plain = shown.to_dict()
    assert some.items() <= plain.items()
    pytest.importorskip("pandas")
    table = shown.to_pandas()
    assert list(table["kind"]) == kinds
    if kinds[0] != "moment" or not isinstance(shown, Answer):
        assert (table["start"][0], table["end"][0]) == (1, 2)


def test_without_pandas_one_sentence_says_so(monkeypatch):
    usual = builtins.__import__

    def without(name, *rest):
        if name == "pandas":
            raise ImportError(name)
        return usual(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DependencyError, match="to_pandas needs pandas, which is not installed: pip install"):
        SHOWN[0][0].to_pandas()


def test_nothing_is_imported_before_something_is_shown():
    check = (
        "import sys, videoexpert; from videoexpert import Moments\n"
        "assert 'videoexpert.notebook' not in sys.modules\n"
        "Moments('a', ()).to_dict()\n"
        "assert not {'torch', 'av', 'numpy', 'pandas'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], check=True)


def test_the_door_is_opened_by_the_package(monkeypatch):
    assert videoexpert.Moments is Moments
    monkeypatch.setattr(display, "_find", None)
    with pytest.raises(RuntimeError, match="no display is registered"):
        Moments("a", ()).to_dict()
