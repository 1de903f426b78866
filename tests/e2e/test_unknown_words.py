"""Every verb says which words the shipped model does not know, and claims nothing about them."""

from __future__ import annotations

import json

import pytest

import videoexpert
from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.export import Answers, answers_json
from videoexpert.types import Moment, Moments

GERMAN = "ein Hund bellt"
KNOWN = "the purple triangle moves right"
SENTENCE = 'the model does not know the words "ein", "Hund", "bellt"'


@pytest.fixture(scope="module")
def video():
    return videoexpert.load(device="cpu").open(SHIPPED_VIDEO)


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def test_nothing_is_absent_and_the_words_are_named(video):
    german, known = video.ground([GERMAN, KNOWN])
    assert (german.unknown_words, german.absent, german.query) == (("ein", "Hund", "bellt"), False, GERMAN)
    assert (known.unknown_words, known.absent) == ((), False)
    rated = video.highlights(GERMAN)
    assert (rated.unknown_words, rated.absent) == (german.unknown_words, False)
    answer = video.ask("what does the Purple dog do?", ["moves right", "Bellt"])
    assert answer.unknown_words == ("dog", "Bellt")
    assert answer.choices == ("moves right", "Bellt")
    assert answer.question == "what does the Purple dog do?"


def test_capital_letters_change_nothing(video):
    small, large = video.ground([KNOWN, "THE Purple triangle MOVES right"])
    assert [m.start for m in large] == pytest.approx([m.start for m in small], abs=1e-3)
    assert large.presence == pytest.approx(small.presence, abs=1e-3)
    assert large.query == "THE Purple triangle MOVES right"


@pytest.mark.parametrize("model", ["shipped", "contrastive:"])
@pytest.mark.parametrize("verb", ["ground", "highlight"])
def test_one_sentence_on_a_terminal_a_field_in_json(capsys, verb, model):
    options = ("--model", model, "--device", "cpu")
    code, out, _ = run(capsys, verb, SHIPPED_VIDEO, GERMAN, *options)
    assert code == 0
    assert SENTENCE in out
    assert "not in this video" not in out
    code, out, _ = run(capsys, verb, SHIPPED_VIDEO, GERMAN, *options, "--format", "json")
    document = json.loads(out)
    query = document.get("queries", [document])[0]
    assert (code, query["unknown_words"], query["absent"]) == (0, ["ein", "Hund", "bellt"], False)
    (back,) = answers_json.read(document, "it").answers
    assert back.unknown_words == ("ein", "Hund", "bellt")


def test_guesses_become_no_subtitles_and_no_clips(capsys, tmp_path):
    code, out, err = run(capsys, "ground", SHIPPED_VIDEO, GERMAN, "--device", "cpu", "--format", "srt")
    assert (code, out) == (0, "")
    assert err == f"{SHIPPED_VIDEO}: {SENTENCE}; the srt file holds no moment.\n"
    code, out, err = run(capsys, "clip", SHIPPED_VIDEO, GERMAN, "--device", "cpu", "--out", tmp_path)
    assert (code, err) == (3, f"{SHIPPED_VIDEO}: {SENTENCE}; nothing was cut.\n")


def test_two_thousand_words_are_refused(capsys):
    code, _, err = run(capsys, "ground", SHIPPED_VIDEO, "red " * 2000, "--device", "cpu")
    assert code == 2
    assert "a query has 8,000 characters, at most 2,000 are allowed" in err


def test_moments_of_a_document_that_contradicts_itself_are_no_claim():
    query = {"query": GERMAN, "presence": 0.1, "absent": True, "unknown_words": ["ein"], "moments": []}
    head = {"video": "v.mp4", "duration": 2.0, "model": "m"}
    (item,) = answers_json.read({**head, "queries": [query]}, "it").answers
    assert isinstance(item, Answers)
    assert item.found[0].absent is False
    with pytest.raises(ValueError, match="cannot tell"):
        Moments("q", (Moment(0, 1),), absent=True, unknown_words=("q",))
