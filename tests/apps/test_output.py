"""What is printed where, and how times are written."""

from __future__ import annotations

import io
import json
import sys
import time
import warnings
from pathlib import Path
from types import SimpleNamespace

import pytest

from videoexpert.apps import output, terminal
from videoexpert.apps import waiting as progress
from videoexpert.apps.output import Listing
from videoexpert.apps.waiting import Waiting
from videoexpert.errors import ModelWarning, VideoWarning
from videoexpert.export import Answers
from videoexpert.export.text import clock
from videoexpert.types import Answer, Evidence, Highlights, Moment, Moments


@pytest.mark.parametrize(
    ("value", "end", "written"),
    [
        (3.25, 30.0, "3.2 s"),
        (119.0, 119.9, "119.0 s"),
        (3.24, 120.0, "0:03.2"),
        (125.6, 600.0, "2:05.6"),
        (59.97, 600.0, "1:00.0"),
        (3725.0, 4000.0, "1:02:05.0"),
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
    assert lines[0] == "a.mp4: 2:10.0 from 1:00.0 on, model m"
    assert lines[1:3] == ['"why?"', "   b"]
    assert [line.split() for line in lines[4:6]] == [["a", "0.25"], ["b", "0.75", "<--"]]
    assert lines[6] == "seen at"
    assert lines[8].split() == ["1", "0:00.1", "0:01.0", "0.99"]


def test_as_many_moments_as_were_asked_for_or_the_reason(capsys):
    found = [Moments("a dog", tuple(Moment(i, i + 1, s) for i, s in enumerate((0.9, 0.5, 0.05, 0.02))))]
    output.show_grounding(found, 10.0)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    assert (
        lines[4].strip() == "2 moments below a tenth of the best score left out; --top-k 5 shows up to five"
    )
    output.show_grounding(found, 10.0, shown=Listing(top_k=5))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["1", "2", "3", "4"]
    assert lines[6].strip() == "5 were asked for; the model names no other moment"
    output.show_grounding([Moments("a cat", ())], 10.0, shown=Listing(min_score=0.5))
    assert capsys.readouterr().out.splitlines()[1].strip() == "no moment with a score of 0.5 or more"


def test_a_question_without_an_answer_shows_no_moments(capsys):
    moments = (Moment(0, 1, 0.004), Moment(2, 3, 0.001))
    output.show_answer(Answer("why?", "", None, moments), 10.0)
    assert capsys.readouterr().out.splitlines()[1:] == ["   the model gives no answer to this question"]
    output.show_answer(Answer("why?", "he slips.", None, moments), 10.0)
    assert capsys.readouterr().out.splitlines()[1:] == [
        "   he slips.",
        "   the model cannot say where this is seen (best guess 0.0 s to 1.0 s, score 0.00)",
    ]


def test_what_was_looked_at(capsys):
    one = {"windows": 1, "window": 20.0, "overlap": 0.0, "frames": 64}
    output.show_answers(Answers("a.mp4", 20.0, "m", (), looked_at=one))
    many = {"windows": 3, "window": 20.0, "overlap": 5.0, "frames": 192}
    output.show_answers(Answers("a.mp4", 50.0, "m", (), looked_at=many))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "a.mp4: 20.0 s, 64 frames (3.2 a second), model m"
    assert lines[2] == "a.mp4: 50.0 s, 3 windows of 20 s, each 64 frames (3.2 a second), model m"


def test_in_a_pipe_no_row_is_folded_and_on_a_terminal_words_stay_whole(capsys, monkeypatch):
    text = "antidisestablishmentarianism " * 8
    terminal.table(("n", "what"), [("1", text)], left=(1,))
    assert len(capsys.readouterr().out.splitlines()) == 2
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    terminal.table(("n", "what"), [("1", text)], left=(1,))
    lines = screen.getvalue().splitlines()
    assert len(lines) == 9
    assert max(map(len, lines)) <= 60
    assert {line.split()[-1] for line in lines[1:]} == {"antidisestablishmentarianism"}


def test_on_a_terminal_long_lines_break_between_words(monkeypatch):
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("NO_COLOR", "1")
    path = "/a/folder-with/a/very/long-name/that/stays-whole.mp4"
    terminal.complain(f"Error: {path} does not exist, expected a file: check the path.")
    terminal.say("   as far in as the first of the lines, however many there are of them")
    assert screen.getvalue().splitlines() == [
        "Error:",
        path,
        "does not exist, expected a file: check",
        "the path.",
        "   as far in as the first of the lines,",
        "   however many there are of them",
    ]


def test_found_absent_and_wrong_look_different_on_a_terminal(monkeypatch):
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.delenv("NO_COLOR", raising=False)
    output.show_grounding([Moments("a cat", (Moment(0, 1, 0.1),), 0.1, absent=True)], 10.0)
    output.show_grounding([Moments("a dog", (Moment(0, 1, 0.9),))], 10.0)
    terminal.complain("Error: no.")
    absent, found = out.getvalue().splitlines()[1], out.getvalue().splitlines()[-1]
    assert absent.startswith("\x1b[33m")
    assert "\x1b" not in found
    assert err.getvalue().startswith("\x1b[1;31mError: no.")


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
    monkeypatch.setattr(progress, "PATIENCE_S", patience)
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
    monkeypatch.setattr(progress, "PATIENCE_S", 0.0)
    with Waiting("counting sheep", counted=True) as waiting:
        waiting.reach(2, 4)
        time.sleep(0.3)
    assert "2/4" in screen.getvalue()


def test_there_is_one_bar():
    """Any other would be drawn at once, and not after two seconds."""
    source = Path(output.__file__).parents[1]
    drawn = [f for f in source.rglob("*.py") if "rich.progress" in f.read_text(encoding="utf-8")]
    assert drawn == [Path(progress.__file__)]


def test_off_a_terminal_a_line_now_and_then(monkeypatch, capsys):
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    with Waiting("answering", counted=True) as waiting:
        waiting.reach(1, 4)
        waiting.reach(4, 4)
    with Waiting("encoding", 2) as waiting:
        waiting.advance()
    assert capsys.readouterr().err.splitlines() == [
        "answering: 1 of 4",
        "answering: 4 of 4, 0:00 left",
        "encoding: 1 of 2",
    ]
    monkeypatch.setattr(progress, "EVERY_S", 30.0)
    with Waiting("answering", 2) as waiting:
        waiting.advance(2)
    assert capsys.readouterr().err == ""


def test_the_time_left_does_not_count_what_came_before_the_first_step(monkeypatch, capsys):
    clock = iter([0.0, 40.0, 41.0, 43.0])  # loading takes forty seconds, then a step takes one
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    with Waiting("looking", counted=True) as waiting:
        for done in (1, 2, 4):
            waiting.reach(done, 200)
    assert capsys.readouterr().err.splitlines() == [
        "looking: 1 of 200",
        "looking: 2 of 200, 3:18 left",
        "looking: 4 of 200, 3:16 left",
    ]


def test_of_many_warnings_a_few_are_told_and_the_rest_counted(capsys):
    with terminal.plain_warnings(most=2):
        for number in range(5):
            warnings.warn(f"video {number} is unlike any", ModelWarning, stacklevel=1)
        warnings.warn("'a.mp4' breaks off", VideoWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == [
        "Warning: video 0 is unlike any",
        "Warning: video 1 is unlike any",
        "Warning: 'a.mp4' breaks off",
        "Warning: 3 more like these, about other videos.",
    ]


def test_damage_is_told_in_one_line(capsys):
    with terminal.plain_warnings():
        warnings.warn("'a.mp4' breaks off at 3 s", VideoWarning, stacklevel=1)
    assert capsys.readouterr().err == "Warning: 'a.mp4' breaks off at 3 s\n"


def test_names_are_escaped_where_they_are_printed(capsys):
    from videoexpert.apps import terminal

    name = "\x1b[31mred\x1b[0m caf\udce9.mp4"
    terminal.say(name)
    terminal.complain(name)
    terminal.table(("file",), [(name,)])
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err
    assert printed.out.splitlines()[0] == printed.err.strip() == r"\x1b[31mred\x1b[0m caf\udce9.mp4"
    printed.out.encode()  # no half of a surrogate pair


def written(encoding: str, document: object) -> bytes:
    """What ``print_json`` leaves on a stdout of that encoding, which is strict."""
    buffer = io.BytesIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding, "strict"))
        terminal.print_json(document)
        sys.stdout.flush()
        return buffer.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_json_is_whole_whatever_stdout_can_hold(encoding):
    document = {"video": "caf\u00e9.mp4", "query": "\u65e5\u672c \U0001f600 \\ \u2028", "half": "\udce9"}
    raw = written(encoding, document)
    assert json.loads(raw.decode(encoding)) == document


def test_json_stays_readable_where_it_can():
    assert "caf\u00e9".encode() in written("utf-8", ["caf\u00e9"])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii", "no such"])
def test_json_steers_no_terminal_and_keeps_its_value(encoding):
    said = {"query": "\x9b31m\u202e \u00e9 \u65e5 \x7f \x1b[2J", "\ud800": 1}
    for value in (said, {"query": said["query"]}):
        text = terminal.json_for(
            SimpleNamespace(encoding=encoding), json.dumps(value, ensure_ascii=False, indent=2)
        )
        assert json.loads(text) == value
        assert all(sign.isprintable() or sign == "\n" for sign in text)


def test_a_file_on_stdout_is_itself_in_a_pipe_and_escaped_on_a_terminal(monkeypatch):
    text = "start\tend\r\n1\t2 \x1b[2J\n"
    for is_terminal, shown in ((False, text), (True, "start\tend\n1\t2 \\x1b[2J\n")):
        stream = io.StringIO(newline="")
        stream.isatty = lambda is_terminal=is_terminal: is_terminal
        monkeypatch.setattr(sys, "stdout", stream)
        terminal.print_file(text, False)
        monkeypatch.undo()
        assert stream.getvalue() == shown
