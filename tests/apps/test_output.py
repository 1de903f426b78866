"""What is printed where, and how times are written."""

from __future__ import annotations

import io
import sys
import time
import warnings
from pathlib import Path

import pytest

from videoexpert.apps import output
from videoexpert.apps.output import Waiting
from videoexpert.export import Answers
from videoexpert.export.text import clock
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
    assert clock(value, end) == written


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


def test_answer_table(capsys):
    answer = Answer("why?", "b", 1, (Moment(0.12345, 1.0, 0.98765),), (0.25, 0.75), choices=("a", "b"))
    output.show_answers(Answers("a.mp4", 130.0, "m", answer, start=60.0))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a.mp4: 2:10 from 1:00 on, model m"
    assert lines[1:3] == ['"why?"', "   b"]
    assert [line.split() for line in lines[4:6]] == [["a", "0.25"], ["b", "0.75", "<--"]]
    assert lines[6] == "seen at"
    assert lines[8].split() == ["1", "0:00", "0:01", "0.99"]


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


def test_progress_whose_end_is_told_later(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(output, "PATIENCE_S", 0.0)
    with Waiting("counting sheep", counted=True) as waiting:
        waiting.reach(2, 4)
        time.sleep(0.3)
    assert "2/4" in screen.getvalue()


def test_there_is_one_bar():
    """Any other would be drawn at once, and not after two seconds."""
    source = Path(output.__file__).parents[1]
    drawn = [f for f in source.rglob("*.py") if "rich.progress" in f.read_text(encoding="utf-8")]
    assert drawn == [Path(output.__file__)]


def test_damage_is_told_in_one_line(capsys):
    with output.plain_warnings():
        warnings.warn("'a.mp4' breaks off at 3 s", VideoWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: 'a.mp4' breaks off at 3 s\n"


def test_names_are_escaped_where_they_are_printed(capsys):
    from videoexpert.apps import output

    name = "\x1b[31mred\x1b[0m caf\udce9.mp4"
    output.say(name)
    output.complain(name)
    output.table(("file",), [(name,)])
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.out.splitlines()[0] == printed.err.strip() == r"\x1b[31mred\x1b[0m caf\udce9.mp4"
    printed.out.encode()  # no half of a surrogate pair
