"""Chat models on the command line: a server in place of one, options, and what is said of unreadable answers."""

from __future__ import annotations

import json
import shutil

import pytest

from chat_server import Server, completion


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("videoexpert.http_client.time.sleep", lambda _: None)
    monkeypatch.delenv("VIDEOEXPERT_API_KEY", raising=False)
    running = Server()
    yield running
    running.close()


@pytest.fixture
def address(server):
    return f"{server.url}#m"


def test_ground_through_a_server(call, server, address, video):
    server.answer = lambda *_: completion("[[1, 2.5], [4, 6]]")
    done = call("ground", video, "it falls", "--model", address, "--format", "json")
    assert (done.code, done.err) == (0, "")
    assert done.json["model"] == "m"
    (query,) = done.json["queries"]
    assert [(m["start"], m["end"], m["score"]) for m in query["moments"]] == [(1, 2.5, 1), (4, 6, 1)]
    assert query["told"] == {"parsed": "pairs", "score": "none", "text": "[[1, 2.5], [4, 6]]"}
    table = call("ground", video, "it falls", "--model", address).out
    assert table.startswith(f'{video}: 8.0 s, 8 frames (1 a second), model m\n"it falls"\n')
    assert "1.0 s" in table
    assert "score" not in table
    pieces = [{"token": t, "logprob": p} for t, p in (("[[", 0), ("1", -0.1), (", 2]]", -0.1))]
    server.answer = lambda *_: completion("[[1, 2]]", logprobs={"content": pieces})
    table = call("ground", video, "it falls", "--model", address).out
    assert "score" in table
    assert "0.90" in table


def test_options_reach_the_model(call, server, address, video):
    server.answer = lambda *_: completion("[]")
    options = ("--model-option", "fps=0.5", "--model-option", "prompts=span")
    done = call("ground", video, "it falls", "--model", address, *options)
    assert "not in this video (presence 0.00)" in done.out
    first, *_, last = server.requests[0]["messages"][0]["content"]
    assert first["text"].startswith("These are 4 frames")
    assert last["text"].startswith("Please find the visual event described by the sentence 'it falls'")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["fps"], "--model-option is 'fps', expected NAME=VALUE"),
        (["=1"], "--model-option is '=1', expected NAME=VALUE"),
        (["fps=1", "fps=2"], "--model-option fps is given twice"),
        (["speed=1"], "a model behind a server has no option 'speed'; it takes key_variable, workers"),
        (["fps=fast"], "option fps is 'fast', expected a value of kind float"),
        (["fps=-1"], "fps is -1, expected a positive number"),
    ],
)
def test_wrong_options(call, address, video, options, said):
    given = [part for option in options for part in ("--model-option", option)]
    done = call("ground", video, "it falls", "--model", address, *given)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"Error: {said}")


def test_options_of_a_model_that_has_none(call, model, video):
    done = call("ground", video, "it falls", "--model", model, "--model-option", "fps=1")
    assert done.code == 2
    assert done.err == "Error: a VideoExpert has no option 'fps'; it takes none.\n"


def test_an_answer_that_cannot_be_read_is_shown(call, server, address, video):
    server.answer = lambda *_: completion("I see no\x1b[31m such thing." + " really" * 30)
    done = call("ground", video, "it falls", "--model", address)
    assert done.code == 0
    assert (
        "the model's answer names no moment that could be read: 'I see no\\x1b[31m such thing. really"
        in done.out
    )
    assert "..." in done.out
    for verb in (("highlight", "it falls"), ("caption",), ("ask", "what is it?")):
        done = call(verb[0], video, *verb[1:], "--model", address)
        assert "names no moment that could be read" in done.out
        document = call(verb[0], video, *verb[1:], "--model", address, "--format", "json").json
        assert document["told"]["parsed"] == "failed"
    server.answer = lambda *_: completion("[[20, 30]]")
    assert "names no time in the video: '[[20, 30]]'" in call("ground", video, "x", "--model", address).out


def test_choices_without_likelihoods(call, server, address, video, tmp_path):
    server.answer = lambda _, body: completion("B" if "letter" in str(body["messages"]) else "[[1, 2]]")
    common = ("ask", video, "what?", "--choice", "red", "--choice", "blue", "--model", address)
    done = call(*common)
    assert "blue" in done.out
    assert done.out.split("blue")[2].lstrip().startswith("<--")
    document = call(*common, "--format", "json").json
    assert document["choices"] == [{"text": "red"}, {"text": "blue"}]
    assert (document["choice"], document["told"]["choice"]) == (1, "named")
    saved = tmp_path / "answer.json"
    saved.write_text(json.dumps(document))
    again = call("export", "answer", saved, "--format", "json")
    assert (again.code, again.json) == (0, document)


def test_of_several_videos_the_refused_one_is_told(call, server, address, video, tmp_path):
    for name in ("a.mp4", "b.mp4"):
        shutil.copyfile(video, tmp_path / name)
    server.answer = lambda number, _: (
        (400, {"error": "too long"}) if len(server.requests) < 3 else completion("[[1, 2]]")
    )
    done = call("ground", tmp_path, "it falls", "--model", address, "--format", "json")
    assert done.code == 1
    assert "gave no answer: HTTP 400 (too long)" in done.err
    assert ["error" in document for document in done.json] == [True, False]


def test_evidence_is_refused_in_one_sentence_or_given(call, server, address, video):
    server.answer = lambda *_: completion("[[1, 2]]")
    done = call("ground", video, "it falls", "--model", address, "--evidence", "--format", "json")
    assert done.code == 0
    assert done.json["queries"][0]["evidence"]["overlap"] == 1.0


def test_eval_through_a_server_that_stops_and_comes_back(call, server, address, video, tmp_path):
    (tmp_path / "charades_sta_test.txt").write_text(
        "a 1.0 3.0##it falls\na 2.0 4.0##it rises\nb 0.0 4.0##it stops\n"
    )
    (tmp_path / "videos").mkdir()
    for name in ("a.mp4", "b.mp4"):
        shutil.copyfile(video, tmp_path / "videos" / name)
    evaluate = ("eval", "charades-sta", "--annotations", tmp_path / "charades_sta_test.txt")
    evaluate += ("--videos", tmp_path / "videos", "--out", tmp_path / "out", "--model", address)
    evaluate += ("--model-option", "workers=1", "--format", "json")

    def answer(_, body):
        said = {"it falls": "[[1, 3]]", "it rises": "The 2 men rise at 3.5 s.", "it stops": "00:00 - 00:04"}
        question = str(body["messages"][0]["content"][-1]["text"])
        return completion(next(text for query, text in said.items() if query in question))

    server.answer = lambda number, body: (
        (401, {"error": "no key"}) if "it stops" in str(body) else answer(number, body)
    )
    done = call(*evaluate)
    assert (done.code, "no key" in done.err) == (1, True)
    lines = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == ["a_1", "a_2"]
    server.answer = answer
    server.requests.clear()
    result = call(*evaluate).json
    assert len(server.requests) == 1
    assert result["metrics"]["R1@0.5"] == pytest.approx(200 / 3, abs=0.01)
    assert result["run"]["parsed"] == {"failed": 1, "mm:ss": 1, "pairs": 1}
    assert result["run"]["parse_failures"] == 1
    assert result["run"]["system"]["prompts"]["name"] == "spans"
