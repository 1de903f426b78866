"""``watch``: a line for each moment as it closes, JSON lines, and a clean end."""

from __future__ import annotations

import io
import json

import pytest

from videoexpert import session
from videoexpert.backends.expert import Expert

WINDOW = ("--window", 3, "--overlap", 1, "--idle", 0, "--above", 0)


def test_lines_and_json_lines(call, model, video, tmp_path):
    out = tmp_path / "found.jsonl"
    common = ("watch", video, "it falls", "a dog", "--model", model, *WINDOW)
    done = call(*common, "--format", "jsonl", "--out", out)
    assert (done.code, done.err) == (0, "")
    rows = [json.loads(line) for line in done.out.splitlines()]
    expert = session.load(model, device="cpu")
    expected = list(expert.watch(video, ["it falls", "a dog"], window=3, overlap=1, above=0, idle_s=0))
    assert rows == [
        {
            "query": s.query,
            "start": round(s.moment.start, 3),
            "end": round(s.moment.end, 3),
            "score": round(s.moment.score, 4),
            "presence": round(s.presence, 4),
            "seen_until": round(s.seen_until, 3),
        }
        for s in expected
    ]
    assert len(rows) > 2
    assert out.read_text() == done.out
    table = call(*common, "--out", out)
    assert len(table.out.splitlines()) == len(rows)
    first = rows[0]
    assert table.out.splitlines()[0] == (
        f'{first["start"]:.1f} s to {first["end"]:.1f} s  {first["score"]:.2f}  "{first["query"]}"'
    )
    assert len(out.read_text().splitlines()) == 2 * len(rows)  # appended


def test_json_lines_survive_a_terminal_of_few_letters(model, video, monkeypatch):
    from videoexpert.apps.cli import main

    narrow = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr("sys.stdout", narrow)
    arguments = ["watch", video, "das Mädchen fällt", "--model", model, *WINDOW, "--format", "jsonl"]
    assert main(list(map(str, arguments))) == 0
    narrow.flush()
    rows = [json.loads(line) for line in narrow.buffer.getvalue().decode("ascii").splitlines()]
    assert {row["query"] for row in rows} == {"das Mädchen fällt"}


def test_ctrl_c_ends_with_what_was_told(call, model, video, monkeypatch):
    real = Expert.watch

    def interrupted(self, *args, **options):
        yield next(real(self, *args, **options))
        raise KeyboardInterrupt

    monkeypatch.setattr(Expert, "watch", interrupted)
    done = call("watch", video, "it falls", "--model", model, *WINDOW)
    assert (done.code, len(done.out.splitlines())) == (130, 1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rtsp://camera/1", "it falls"), "nothing is read from the network unasked"),
        (("VIDEO", "it falls", "--format", "xml"), "expected table or jsonl"),
        (("VIDEO", "it falls", "--window", "off"), "expected seconds above 0 or auto"),
        (("VIDEO", " "), "the query is empty"),
    ],
)
def test_wrong_calls(call, model, video, arguments, message):
    given = [video if a == "VIDEO" else a for a in arguments]
    done = call("watch", *given, "--model", model, *(() if "--window" in given else WINDOW))
    assert (done.code, done.out) == (2, "")
    assert message in done.err


def test_a_model_that_cannot_watch(call, video, monkeypatch):
    class Other:
        name = "other"

    monkeypatch.setattr(session, "load", lambda *_, **__: Other())
    done = call("watch", video, "it falls")
    assert done.code == 2
    assert "other cannot watch" in done.err
