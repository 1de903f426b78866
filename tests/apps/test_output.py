"""What is printed where, and how times are written."""

from __future__ import annotations

import io
import sys
import time
import warnings
from pathlib import Path

import pytest

from videoexpert.apps import output
from videoexpert.apps.output import Waiting, seconds
from videoexpert.session import VideoWarning
from videoexpert.types import Answer, Evidence, Highlights, Moment, Moments


@pytest.mark.parametrize(
    ("value", "end", "written"),
    [
        (3.25, 30.0, "3.2 s"),
        (119.0, 119.9, "119.0 s"),
        (3.25, 120.0, "0:03"),
        (125.6, 600.0, "2:06"),
        (59.7, 600.0, "1:00"),
        (3725.0, 4000.0, "1:02:05"),
    ],
)
def test_times(value, end, written):
    assert seconds(value, end) == written


def test_grounding_table(capsys):
    there = Moments("a dog [bold]runs", (Moment(1.0, 2.5, 0.913), Moment(4.0, 6.0, 0.2)), 0.9)
    absent = Moments("a cat", (Moment(1.0, 2.5, 0.05),), 0.124, absent=True)
    output.show_grounding([there, absent], 10.0)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == '"a dog [bold]runs"'
    assert lines[2].split() == ["1", "1.0", "s", "2.5", "s", "0.91"]
    assert lines[3].split() == ["2", "4.0", "s", "6.0", "s", "0.20"]
    assert lines[4] == '"a cat"'
    assert lines[5].strip() == "not in this video (presence 0.12); best guess 1.0 s to 2.5 s"
    assert len(lines) == 6


def test_evidence_is_one_more_line_under_the_query(capsys):
    found = [
        Moments("a dog", (Moment(5.0, 7.0, 0.9),), 0.93),
        Moments("a cat", (Moment(1.0, 2.5, 0.9),), 0.9),
    ]
    evidence = [
        Evidence("a dog", found[0][0], Moment(3.0, 6.14, 0.2), 0.93, 0.18, 0.25, 1.43),
        Evidence("a cat", found[1][0], None, 0.9, 0.125, 0.0, None),
    ]
    output.show_grounding(found, 10.0, evidence)
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].strip() == (
        "evidence: without the video the best guess would be 3.0 s to 6.1 s (overlap 0.25, shift 1.4 s), "
        "presence 0.18 instead of 0.93"
    )
    assert lines[4] == '"a cat"'
    assert lines[7].strip() == (
        "evidence: without the video the model would name no moment, presence 0.12 instead of 0.90"
    )
    documents = output.grounding_json(found, evidence)["queries"]
    assert documents[0]["evidence"] == {
        "overlap": 0.25,
        "shift": 1.43,
        "presence": 0.93,
        "blank_presence": 0.18,
        "blank_moment": {"start": 3.0, "end": 6.14, "score": 0.2},
    }
    assert (documents[1]["evidence"]["shift"], documents[1]["evidence"]["blank_moment"]) == (None, None)
    assert "evidence" not in output.grounding_json(found)["queries"][0]


def test_highlights_table_lists_the_best_clips(capsys):
    found = Highlights("goal", (0.0, 2.0, 4.0), (0.1, 0.9, 0.5), (Moment(2, 4, 0.8), Moment(4, 5, 0.3)))
    output.show_highlights(found, 5.0)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[-2:] == [["2.0", "s", "4.0", "s", "0.90"], ["4.0", "s", "5.0", "s", "0.50"]]


def test_long_sentences_stay_whole(capsys):
    text = "word " * 40 + "end"
    output.show_captions([Moment(0, 1, 0.5, text=text)], 5.0)
    assert " ".join(capsys.readouterr().out.split()).endswith("word end")
    output.show_captions([], 5.0)
    assert "no event" in capsys.readouterr().out


def test_answer_json():
    answer = Answer("why?", "b", 1, (Moment(0.12345, 1.0, 0.98765),), (0.25, 0.75))
    assert output.answer_json(answer, ["a", "b"]) == {
        "question": "why?",
        "answer": "b",
        "choices": [{"text": "a", "score": 0.25}, {"text": "b", "score": 0.75}],
        "choice": 1,
        "moments": [{"start": 0.123, "end": 1.0, "score": 0.9877}],
    }


def test_the_documentation_names_every_key():
    text = (Path(__file__).resolve().parents[2] / "docs" / "cli.md").read_text(encoding="utf-8")
    moment = Moment(0, 1, 0.5, text="a")
    documents = [
        output.grounding_json([Moments("a", (moment,))], [Evidence("a", moment, moment, 1.0, 1.0, 1.0, 0.0)]),
        output.highlights_json(Highlights("a", (0.0,), (0.5,), (moment,))),
        output.answer_json(Answer("a?", "b", 0, (moment,), (1.0,)), ["b"]),
    ]
    keys = set()
    while documents:
        part = documents.pop()
        if isinstance(part, dict):
            keys |= set(part)
            documents += part.values()
        elif isinstance(part, list):
            documents += part
    assert len(keys) > 12
    assert {key for key in keys if f'"{key}"' not in text} == set()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("patience", "terminal", "shown"), [(0.0, True, True), (60.0, True, False), (0.0, False, False)]
)
def test_progress_only_on_a_terminal_and_only_when_it_lasts(monkeypatch, capsys, patience, terminal, shown):
    screen = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(output, "PATIENCE_S", patience)
    with Waiting("counting sheep", 3) as waiting:
        time.sleep(0.05)
        waiting.advance()
        with waiting.paused():
            print("answer")
        waiting.advance(2)
    assert ("counting sheep" in screen.getvalue()) == shown
    assert capsys.readouterr().out == "answer\n"


def test_damage_is_told_in_one_line(capsys):
    with output.plain_warnings():
        warnings.warn("'a.mp4' breaks off at 3 s", VideoWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: 'a.mp4' breaks off at 3 s\n"
