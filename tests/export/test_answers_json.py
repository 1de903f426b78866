"""The documented JSON: every key by hand, and what is written is read back as it was."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.errors import DataError
from videoexpert.export import Answers, AnswerSet, Failed, answers_json, export
from videoexpert.types import Answer, Captions, Evidence, Highlights, Moment, Moments

MOMENT = Moment(0.12345, 1.0, 0.98765, "it falls")


def about(found, evidence=(), start=None) -> Answers:
    return Answers("a.mp4", 8.0004, "shipped", found, start, evidence)


def test_ground():
    found = Moments("a dog", (Moment(5.0, 7.0004, 0.9),), 0.93333)
    evidence = Evidence("a dog", found[0], Moment(3.0, 6.14, 0.2), 0.93333, 0.18, 0.25, 1.43)
    assert answers_json.document(about((found,), (evidence,), 2.0)) == {
        "video": "a.mp4",
        "duration": 8.0,
        "model": "shipped",
        "start": 2.0,
        "queries": [
            {
                "query": "a dog",
                "presence": 0.9333,
                "absent": False,
                "moments": [{"start": 5.0, "end": 7.0, "score": 0.9}],
                "evidence": {
                    "overlap": 0.25,
                    "shift": 1.43,
                    "presence": 0.9333,
                    "blank_presence": 0.18,
                    "blank_moment": {"start": 3.0, "end": 6.14, "score": 0.2},
                },
            }
        ],
    }
    silent = Evidence("a dog", found[0], None, 0.9, 0.125, 0.0, None)
    told = answers_json.document(about((found,), (silent,)))["queries"][0]["evidence"]
    assert (told["shift"], told["blank_moment"]) == (None, None)
    assert set(answers_json.document(about((found,)))) == {"video", "duration", "model", "queries"}
    assert "evidence" not in answers_json.document(about((found,)))["queries"][0]


def test_highlight():
    found = Highlights("goal", (0.0, 2.0), (0.12345, 0.9), (Moment(2, 4, 0.8),), presence=0.5, absent=True)
    assert answers_json.plain(found) == {
        "query": "goal",
        "presence": 0.5,
        "absent": True,
        "clip": 2.0,
        "times": [0.0, 2.0],
        "scores": [0.1235, 0.9],
        "moments": [{"start": 2, "end": 4, "score": 0.8}],
    }


def test_caption():
    assert answers_json.plain(Captions([MOMENT])) == {
        "captions": [{"start": 0.123, "end": 1.0, "score": 0.9877, "text": "it falls"}]
    }


def test_ask():
    answer = Answer("why?", "b", 1, (Moment(0.12345, 1.0, 0.98765),), (0.25, 0.75), choices=("a", "b"))
    assert answers_json.plain(answer) == {
        "question": "why?",
        "answer": "b",
        "choices": [{"text": "a", "score": 0.25}, {"text": "b", "score": 0.75}],
        "choice": 1,
        "moments": [{"start": 0.123, "end": 1.0, "score": 0.9877}],
    }
    assert answers_json.plain(Answer("why?", "b"))["choices"] == []


def test_several_videos_are_a_list_and_failed_ones_stay_in_it():
    found = AnswerSet((about(Captions()), Failed("b.mp4", "b.mp4 is broken.")), several=True)
    documents = json.loads(export(found, "json"))
    assert documents[1] == {"video": "b.mp4", "error": "b.mp4 is broken."}
    assert [json.loads(line) for line in export(found, "jsonl").splitlines()] == documents
    alone = AnswerSet((about(Captions()),), several=True)
    assert json.loads(export(alone, "json")) == documents[:1]


# values that rounding leaves alone
seconds = st.integers(0, 10**8).map(lambda ms: ms / 1000)
shares = st.integers(0, 10**4).map(lambda n: n / 10**4)
spans = st.tuples(seconds, seconds).map(sorted)
moment = st.builds(lambda span, score: Moment(*span, score), spans, shares)
moments = st.lists(moment, max_size=3).map(tuple)
grounded = st.builds(Moments, st.text(), moments, shares, st.booleans())
captions = st.lists(st.builds(lambda s, p, t: Moment(*s, p, t), spans, shares, st.text()), max_size=3)
highlights = st.builds(
    lambda query, clips, found, there, absent: Highlights(
        query, tuple(t for t, _ in clips), tuple(s for _, s in clips), found, 2.0, there, absent
    ),
    st.text(),
    st.lists(st.tuples(seconds, shares), max_size=3),
    moments,
    shares,
    st.booleans(),
)
replies = st.builds(
    lambda question, choices, found: Answer(
        question,
        "x",
        0 if choices else None,
        found,
        tuple(s for _, s in choices),
        choices=tuple(t for t, _ in choices),
    ),
    st.text(),
    st.lists(st.tuples(st.text(), shares), max_size=3),
    moments,
)
answers = st.builds(
    lambda found, start: Answers("a.mp4", 8.0, "m", found, start),
    st.one_of(st.lists(grounded, max_size=3).map(tuple), captions.map(Captions), highlights, replies),
    st.none() | seconds,
)


@given(st.lists(answers, min_size=1, max_size=2), st.booleans())
def test_what_is_written_is_read_back(items, several):
    found = AnswerSet(tuple(items if several else items[:1]), several)
    text = export(found, "json")
    back = answers_json.read(json.loads(text), "x")
    assert back == found
    assert export(back, "json") == text


def test_evidence_is_read_back():
    found = Moments("a dog", (Moment(5.0, 7.0, 0.9),), 0.9)
    guess = Moment(3.0, 6.1, 0.2)
    for evidence in (
        Evidence("a dog", found[0], guess, 0.9, 0.2, 0.2, 1.5),
        Evidence("a dog", found[0], None, 0.9, 0.1, 0.0, None),
    ):
        document = answers_json.document(about((found,), (evidence,)))
        (item,) = answers_json.read(document, "x").answers
        assert item.evidence == (evidence,)
        assert answers_json.document(item) == document


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: [1], "expected an object of ground, highlight, caption or ask, got int"),
        (lambda d: {}, "holds no answer: expected the json or jsonl of ground"),
        (lambda d: d | {"duration": "8"}, 'duration is "8", expected a number'),
        (
            lambda d: {k: v for k, v in d.items() if k != "queries"},
            "expected queries, captions, times or a question",
        ),
        (lambda d: d | {"queries": {}}, "queries is {}, expected a list"),
        (lambda d: d | {"queries": [{"query": "a"}]}, "moments is missing"),
        (lambda d: d | {"queries": [3]}, "expected an object, got int"),
        (
            lambda d: d | {"queries": [d["queries"][0] | {"moments": [{"start": 2, "end": 1, "score": 1}]}]},
            "a moment needs finite start <= end",
        ),
        (
            lambda d: d | {"queries": [d["queries"][0] | {"moments": [{"start": 0, "end": 1, "score": 3}]}]},
            r"score must be in \[0, 1\]",
        ),
    ],
)
def test_a_document_of_another_kind_is_refused_in_one_sentence(change, message):
    document = answers_json.document(about((Moments("a dog", (Moment(5.0, 7.0, 0.9),)),)))
    with pytest.raises(DataError, match=message) as caught:
        answers_json.read(change(document), "x.json")
    assert re.match("x.json(: | holds)", str(caught.value))
    assert str(caught.value).endswith(".")


def test_the_documentation_names_every_key():
    text = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    found = Moments("a", (MOMENT,))
    documents: list = [
        answers_json.document(about((found,), (Evidence("a", MOMENT, MOMENT, 1.0, 1.0, 1.0, 0.0),), 1.0)),
        answers_json.document(about(Highlights("a", (0.0,), (0.5,), (MOMENT,)))),
        answers_json.document(about(Captions([MOMENT]))),
        answers_json.document(about(Answer("a?", "b", 0, (MOMENT,), (1.0,), choices=("b",)))),
        answers_json.document(Failed("a", "b")),
    ]
    keys = set()
    while documents:
        part = documents.pop()
        if isinstance(part, dict):
            keys |= set(part)
            documents += part.values()
        elif isinstance(part, list):
            documents += part
    assert len(keys) > 15
    assert {key for key in keys if not re.search(rf'"{key}"', text)} == set()
