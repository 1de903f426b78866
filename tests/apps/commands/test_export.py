"""``export answer``: a saved answer in another format, as the command that asked would have written it."""

from __future__ import annotations

import json

import pytest

GROUND = {
    "video": "a.mp4",
    "duration": 90.0,
    "model": "shipped",
    "queries": [
        {
            "query": "a dog runs",
            "presence": 0.9,
            "absent": False,
            "moments": [{"start": 3.2, "end": 7.9, "score": 0.9}],
        }
    ],
}
SRT = "1\n00:00:03,200 --> 00:00:07,900\na dog runs\n"


@pytest.fixture
def save(tmp_path):
    def write(text: str):
        (tmp_path / "answer").write_text(text)
        return tmp_path / "answer"

    return write


def test_a_saved_answer_in_another_format(call, save, tmp_path):
    saved = save(json.dumps(GROUND))
    assert call("export", "answer", saved, "--format", "srt").out == SRT
    assert call("export", "answer", saved, "--out", tmp_path / "a.srt").code == 0
    assert (tmp_path / "a.srt").read_text() == SRT
    assert call("export", "answer", saved, "--format", "json").json == GROUND


def test_frames_come_from_the_video(call, save, video):
    saved = save(json.dumps(GROUND | {"video": str(video)}))
    done = call("export", "answer", saved, "--format", "edl", "--rate", "25")
    assert done.out.splitlines()[3].split()[4:6] == ["00:00:03:05", "00:00:07:23"]
    gone = call("export", "answer", save(json.dumps(GROUND)), "--format", "edl")
    assert (gone.code, gone.out) == (1, "")
    assert "'a.mp4' does not exist" in gone.err


@pytest.mark.parametrize("lines", [True, False])
def test_answers_about_several_videos(call, save, tmp_path, lines):
    documents = [GROUND, {"video": "b.mp4", "error": "b.mp4 is broken."}, GROUND | {"video": "c.mp4"}]
    saved = save("\n".join(map(json.dumps, documents)) if lines else json.dumps(documents))
    assert call("export", "answer", saved, "--format", "json").json == documents
    assert call("export", "answer", saved, "--format", "srt").code == 2
    out = tmp_path / "out"
    out.mkdir()
    assert call("export", "answer", saved, "--format", "srt", "--out", out).code == 0
    assert sorted(file.name for file in out.iterdir()) == ["a.srt", "c.srt"]
    done = call("export", "answer", saved, "--format", "chapters", "--out", out)
    assert (done.code, done.err.splitlines()[-1]) == (1, "2 of 3 videos failed.")


@pytest.mark.parametrize(
    ("text", "options", "code", "message"),
    [
        ("nonsense", ["--format", "srt"], 1, "answer: not valid JSON"),
        ("[]", ["--format", "srt"], 1, "answer holds no answer, expected what ground"),
        ('{"video": "a"}', ["--format", "srt"], 1, "expected queries, captions, times or a question"),
        (json.dumps(GROUND), [], 2, "no format was named"),
        (json.dumps(GROUND), ["--format", "table"], 2, "no format was named"),
    ],
)
def test_errors_are_one_sentence(call, save, text, options, code, message):
    done = call("export", "answer", save(text), *options)
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
