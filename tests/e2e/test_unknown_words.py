"""Every verb says which words the shipped model does not know, and claims nothing about them."""

from __future__ import annotations

import json

import pytest

import videoexpert
from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.export import Answers, answers_json
from videoexpert.types import Moment, Moments
from videoexpert.windows import iou

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


POLITE = [
    f"please {KNOWN}",
    f"could you show me when {KNOWN}",
    f"{KNOWN} please",
    "the purple triangle quickly moves right",
]


@pytest.mark.parametrize("query", POLITE)
def test_a_harmless_word_costs_no_answer(video, query):
    known, found = video.ground([KNOWN, query])
    assert found.unknown_words
    assert (found.query, found.guess, found.absent, found.cannot_tell) == (query, False, False, False)
    assert iou((known[0].start, known[0].end), (found[0].start, found[0].end)) > 0.8
    rated = video.highlights(query)
    assert (rated.guess, rated.unknown_words) == (False, found.unknown_words)


@pytest.mark.parametrize(
    "query",
    [
        GERMAN,
        "a dog runs",  # the model finds something, at a high score
        "please the purple dog",  # too little is known
        "the cat sits on the purple sofa and looks right",
        "the purple triangle explodes there again",  # what is known is not found
        f"please {KNOWN.replace('purple', 'yellow')}",  # absent, and never said to be
    ],
)
def test_words_that_may_be_what_is_asked_make_a_guess(video, query):
    found = video.ground(query)
    assert found.unknown_words
    assert (found.guess, found.cannot_tell, found.absent) == (True, True, False)


def test_each_video_and_query_is_judged_alone(video):
    """Three kinds of query in one call, in any order, answer as each alone."""
    queries = [GERMAN, POLITE[0], KNOWN]
    together = [(m.query, m.guess, m.unknown_words) for m in video.ground(queries)]
    assert together == [(q, m.guess, m.unknown_words) for q in queries for m in [video.ground(q)]]
    assert [guess for _, guess, _ in together] == [True, False, False]


@pytest.mark.parametrize("verb", ["ground", "highlight"])
def test_an_answer_that_stands_names_the_word_under_it(capsys, tmp_path, verb):
    code, out, _ = run(capsys, verb, SHIPPED_VIDEO, POLITE[0], "--device", "cpu")
    assert code == 0
    assert "15." in out or "14.9" in out
    assert 'the model does not know the word "please": this answers the rest' in out
    assert "guess" not in out
    code, out, _ = run(capsys, verb, SHIPPED_VIDEO, POLITE[0], "--device", "cpu", "--format", "json")
    document = json.loads(out)
    query = document.get("queries", [document])[0]
    assert (query["unknown_words"], query["guess"], query["absent"]) == (["please"], False, False)
    (back,) = answers_json.read(document, "it").answers
    assert back.marks()
    code, out, err = run(capsys, "ground", SHIPPED_VIDEO, POLITE[0], "--device", "cpu", "--format", "srt")
    assert (code, err) == (0, "")
    assert "-->" in out


def test_a_long_video_is_judged_by_its_best_window():
    video = videoexpert.load(device="cpu").open_long(SHIPPED_VIDEO, window=12.0)
    polite, german = video.ground([POLITE[0], GERMAN])
    assert (polite.guess, german.guess) == (False, True)


def test_documents_from_before_the_word_guess():
    query = {"query": GERMAN, "presence": 0.1, "absent": False, "unknown_words": ["ein"], "moments": []}
    (item,) = answers_json.read(
        {"video": "v.mp4", "duration": 2.0, "model": "m", "queries": [query]}, "it"
    ).answers
    assert item.found[0].guess


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
