"""``eval`` of chat models and servers: what the result file says, and killed and resumed equal."""

from __future__ import annotations

import json
import re
import shutil

import pytest

import videoexpert
from chat_server import Server, completion
from videoexpert.backends.chat.backend import ChatBackend
from videoexpert.backends.chat.frames import Budget
from videoexpert.evaluation.runner import evaluate
from videoexpert.evaluation.systems import BackendSystem

# three videos; the sentence says what the model will answer: "1 to 3" truly, "not at all" with nothing to read
LINES = [
    "a 1.0 3.0##bar 1 to 3",
    "a 2.0 4.0##bar not at all",
    "b 0.0 4.0##bar 0 to 4",
    "c 5.0 6.0##bar 1 to 2",
]


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory, clip):
    folder = tmp_path_factory.mktemp("charades")
    (folder / "charades_sta_test.txt").write_text("\n".join(LINES) + "\n")
    (folder / "videos").mkdir()
    for name in "abc":
        shutil.copyfile(clip, folder / "videos" / f"{name}.mp4")
    return folder


def spoken(question):
    """What the player of this file answers to a question."""
    found = re.search(r"bar (\S+) to (\S+?)\"", question)
    return f"[[{found[1]}, {found[2]}]]" if found else "I do not see it."


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("videoexpert.http_client.time.sleep", lambda _: None)
    running = Server()
    running.answer = lambda _, body: completion(spoken(body["messages"][0]["content"][-1]["text"]))
    yield running
    running.close()


def run(system, benchmark, out):
    return evaluate(
        "charades-sta", system, benchmark / "charades_sta_test.txt", benchmark / "videos", out
    ).result


def remote(server):
    return videoexpert.load(f"{server.url}#m", fps=1, workers=2, attempts=1, timeout_s=5)


def test_a_result_says_prompt_frames_parser_and_failures(server, benchmark, tmp_path):
    result = run(BackendSystem(remote(server)), benchmark, tmp_path)
    assert result["metrics"]["R1@0.5"] == pytest.approx(50.0)
    assert result["run"]["parsed"] == {"failed": 1, "pairs": 3}
    assert result["run"]["parse_failures"] == 1
    system = result["run"]["system"]
    assert system["prompts"]["ground"].startswith('Given the query: "{query}"')
    assert system["frames"] == {
        "fps": 1.0,
        "max_frames": 64,
        "frame_pixels": 200704,
        "total_pixels": 12845056,
    }
    assert (system["parser"], system["score"], system["clock"]) == (
        "strict-3",
        {"kind": "digits"},
        "pictures",
    )
    rows = [json.loads(line) for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert [row["parsed"] for row in rows] == ["pairs", "failed", "pairs", "pairs"]
    assert rows[1]["moments"] == []


def test_killed_and_resumed_is_the_same_run(server, benchmark, tmp_path):
    whole = run(BackendSystem(remote(server)), benchmark, tmp_path / "a")
    calls = []

    class Killed(BackendSystem):
        def answer(self, path, samples):
            calls.append(path.stem)
            if len(calls) == 3:
                raise KeyboardInterrupt
            yield from super().answer(path, samples)

    with pytest.raises(KeyboardInterrupt):
        run(Killed(remote(server)), benchmark, tmp_path / "b")
    server.requests.clear()
    resumed = run(BackendSystem(remote(server)), benchmark, tmp_path / "b")
    assert 0 < len(server.requests) < len(LINES)
    for result in (whole, resumed):
        result["run"].pop("predictions")
    assert resumed == whole


def test_a_video_that_the_server_refuses_is_told_and_the_others_are_done(server, benchmark, tmp_path):
    good = server.answer

    def answer(number, body):
        refused = "0 to 4" in body["messages"][0]["content"][-1]["text"]
        return (400, {"error": "prompt too long"}) if refused else good(number, body)

    server.answer = answer
    outcome = evaluate(
        "charades-sta",
        BackendSystem(remote(server)),
        benchmark / "charades_sta_test.txt",
        benchmark / "videos",
        tmp_path,
    )
    assert list(outcome.failed) == ["b"]
    assert "HTTP 400 (prompt too long)" in outcome.failed["b"]
    assert outcome.result["run"]["parsed"] == {"failed": 1, "pairs": 2}


def test_videos_are_asked_ahead_and_written_in_order(server, benchmark, tmp_path):
    from threading import Event

    second = Event()
    good = server.answer

    def answer(number, body):
        question = body["messages"][0]["content"][-1]["text"]
        # the first video's first answer waits until the second video is asked about
        if "1 to 3" in question:
            assert second.wait(5)
        if "0 to 4" in question:
            second.set()
        return good(number, body)

    server.answer = answer
    run(BackendSystem(remote(server)), benchmark, tmp_path)
    ids = [json.loads(line)["id"] for line in (tmp_path / "predictions.jsonl").read_text().splitlines()]
    assert ids == ["a_1", "a_2", "b_3", "c_4"]


def test_a_local_model_is_put_to_a_benchmark(talkers, script, benchmark, tmp_path):
    talker = talkers("qwen2_5_vl")
    script(talker, "[[1, 3]]", "nothing", "00:00 - 00:04", "<answer>1 to 2</answer>")
    backend = ChatBackend(talker, budget=Budget(fps=1.0, frame_pixels=56 * 56))
    result = run(BackendSystem(backend), benchmark, tmp_path)
    assert result["run"]["parsed"] == {"failed": 1, "mm:ss": 1, "pairs": 1, "range": 1}
    assert result["metrics"]["R1@0.7"] == pytest.approx(50.0)
    assert result["run"]["system"]["clock"] == "positions"
