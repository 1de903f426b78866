"""The judged dimensions against a local HTTP server that plays a chat endpoint."""

from __future__ import annotations

import json

import pytest

from chat_server import Server, completion
from videoexpert.apps.cli import main
from videoexpert.errors import InputError
from videoexpert.scoring.judge.endpoint import Endpoint
from videoexpert.scoring.judge.judge import (
    DIMENSIONS,
    JudgeItem,
    judge,
    messages_of,
    parse_score,
)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("JUDGE_KEY", "secret")
    running = Server()
    yield running
    running.close()


def endpoint(server, **options):
    settings = {"key_variable": "JUDGE_KEY", "attempts": 3, "backoff_s": 0.001, "timeout_s": 10.0, **options}
    return Endpoint(server.url, "judge-1", **settings)


def items(count, video="v"):
    return [JudgeItem(video, (f"question {i}?",), f"truth {i}", (f"answer {i}",)) for i in range(count)]


def test_scores_are_means_and_costs_are_sums(server, tmp_path):
    server.answer = lambda _, body: completion(
        '{"score": 5}' if "question 1?" in body["messages"][1]["content"] else '{"score": 2}'
    )
    pair = JudgeItem("v", ("q1?", "q2?"), "truth", ("p1", "p2"))
    seen = []
    result = judge(
        {"correctness": items(2), "consistency": [pair]},
        endpoint(server, price_in=2.0, price_out=10.0),
        tmp_path / "log.jsonl",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert result.metrics == {"correctness": 3.5, "consistency": 2.0}
    assert result.judged == result.asked == {"correctness": 2, "consistency": 1}
    assert (result.tokens_in, result.tokens_out) == (300, 21)
    assert result.cost == pytest.approx((300 * 2 + 21 * 10) / 1e6)
    assert result.cost_line() == "3 of 3 judged, 300 tokens in, 21 tokens out, cost 0.0008"
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_what_is_sent(server, tmp_path):
    judge({"detail": items(1)}, endpoint(server), tmp_path / "log.jsonl")
    (body,), ((path, headers),) = server.requests, server.headers
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("judge-1", 0)
    assert body["messages"] == messages_of("detail", items(1)[0])
    for text in ("question 0?", "truth 0", "answer 0"):
        assert text in body["messages"][1]["content"]
    assert DIMENSIONS["detail"] in body["messages"][0]["content"]


def test_no_key_is_sent_where_none_is_wanted(server, tmp_path):
    judge({"detail": items(1)}, endpoint(server, key_variable=None), tmp_path / "log.jsonl")
    assert server.headers[0][1]["Authorization"] is None


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_busy_server_is_asked_again(server, tmp_path, status):
    server.answer = lambda number, _: completion('{"score": 3}') if number else (status, "busy")
    result = judge({"context": items(2)}, endpoint(server), tmp_path / "log.jsonl")
    assert result.metrics == {"context": 3.0}
    assert result.failures == ()
    assert len(server.requests) == 4


def test_the_wait_the_server_asks_for_is_kept_and_waits_grow(server, tmp_path, monkeypatch):
    waits = []
    monkeypatch.setattr("videoexpert.http_client.time.sleep", waits.append)
    server.answer = lambda number, _: (429, "busy") if number < 3 else completion('{"score": 3}')
    judge({"context": items(1)}, endpoint(server, attempts=4, backoff_s=1.0), tmp_path / "a.jsonl")
    assert waits == [1.0, 2.0, 4.0]
    waits.clear()
    server.requests.clear()
    server.reply_headers = {"Retry-After": "9"}
    judge({"context": items(1)}, endpoint(server, attempts=4, backoff_s=1.0), tmp_path / "b.jsonl")
    assert waits == [9.0, 18.0, 36.0]


def test_a_reply_without_score_is_asked_again_with_a_reminder(server, tmp_path):
    server.answer = lambda number, _: completion('{"score": 1}' if number else "I would say it is fine.")
    result = judge({"temporal": items(1)}, endpoint(server), tmp_path / "log.jsonl")
    assert result.metrics == {"temporal": 1.0}
    assert [m["role"] for m in server.requests[1]["messages"]] == ["system", "user", "assistant", "user"]
    assert server.requests[1]["messages"][2]["content"] == "I would say it is fine."
    assert result.tokens_in == 200  # both requests were paid for


@pytest.mark.parametrize(
    ("answer", "reason", "requests"),
    [
        ((200, "<html>no JSON</html>"), "not a chat completion", 3),
        ((200, {"choices": []}), "not a chat completion", 3),
        ((503, "down"), "HTTP 503", 3),
        ((400, "bad"), "HTTP 400", 1),
        (completion('{"score": 11}'), "no score in 3 replies", 3),
    ],
)
def test_a_lasting_failure_is_reported_and_in_no_mean(server, tmp_path, answer, reason, requests):
    good = completion('{"score": 4}')
    server.answer = lambda _, body: answer if "question 1?" in body["messages"][1]["content"] else good
    result = judge({"correctness": items(3)}, endpoint(server), tmp_path / "log.jsonl")
    assert result.metrics == {"correctness": 4.0}
    assert (result.judged, result.asked) == ({"correctness": 2}, {"correctness": 3})
    ((dimension, index, said),) = result.failures
    assert (dimension, index) == ("correctness", 1)
    assert reason in said
    assert len(server.requests) == 2 + requests


def test_all_failing_leaves_no_mean(server, tmp_path):
    server.answer = lambda *_: (500, "down")
    result = judge({"correctness": items(2)}, endpoint(server, attempts=1), tmp_path / "log.jsonl")
    assert result.metrics == {}
    assert len(result.failures) == 2


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_address_stops_the_run(server, tmp_path, status):
    server.answer = lambda *_: (status, "no")
    with pytest.raises(InputError, match=f"HTTP {status}.*JUDGE_KEY"):
        judge({"correctness": items(50)}, endpoint(server), tmp_path / "log.jsonl", workers=1)
    assert len(server.requests) < 50


def test_a_redirect_does_not_carry_the_key_away(server, tmp_path):
    server.answer = lambda *_: (302, "")
    server.reply_headers = {"Location": server.url + "/elsewhere"}
    result = judge({"detail": items(1)}, endpoint(server), tmp_path / "log.jsonl")
    assert "HTTP 302" in result.failures[0][2]
    assert len(server.requests) == 1


def test_a_stopped_run_goes_on_where_it_was(server, tmp_path):
    log = tmp_path / "runs" / "log.jsonl"
    server.answer = lambda _, body: (
        (500, "down") if "question 2?" in body["messages"][1]["content"] else completion('{"score": 2}')
    )
    first = judge({"correctness": items(3)}, endpoint(server, attempts=1), log)
    assert len(first.failures) == 1
    with log.open("a") as file:
        file.write('{"dimension": "correctness", "ind')  # cut by a kill
    server.requests.clear()
    server.answer = lambda *_: completion('{"score": 5}')
    second = judge({"correctness": items(4)}, endpoint(server), log)
    assert second.metrics == {"correctness": pytest.approx((2 + 2 + 5 + 5) / 4)}
    assert second.tokens_in == 400
    assert second.failures == ()
    asked = sorted(body["messages"][1]["content"].split("\n")[1] for body in server.requests)
    assert asked == ["Question: question 2?", "Question: question 3?"]
    server.requests.clear()
    assert judge({"correctness": items(4)}, endpoint(server), log).metrics == second.metrics
    assert server.requests == []


def test_a_changed_answer_or_judge_is_judged_anew(server, tmp_path):
    log = tmp_path / "log.jsonl"
    judge({"detail": items(1)}, endpoint(server), log)
    server.answer = lambda *_: completion('{"score": 0}')
    changed = [JudgeItem("v", ("question 0?",), "truth 0", ("another answer",))]
    assert judge({"detail": changed}, endpoint(server), log).metrics == {"detail": 0.0}
    other = Endpoint(server.url, "judge-2", key_variable="JUDGE_KEY")
    assert judge({"detail": items(1)}, other, log).metrics == {"detail": 0.0}


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ('{"score": 3}', 3),
        ("{'score': 4.8}", 4.8),
        ('{""score": 4}', 4),
        ('Sure!\n```json\n{"score": "2"}\n```', 2),
        ("Score: 0", 0),
        (" 5 ", 5),
        ('{"score": 6}', None),
        ('{"score": -1}', None),
        ('{"score": 45}', None),
        ('{"explanation": "score: 1 for the dog, 2 for the cat", "score": 4}', 4),
        ('<think>score: 2, or {"score": 1}?</think>{"score": 4}', 4),
        ("<think>I would give score: 3", None),  # cut short while thinking
        ('As in {"score": 3}, but: {"Score": 5}', 5),
        ('{"reason": "score: 2"}', None),
        ("I first thought score: 2. Final score: 4", 4),
        ('{"a": {"b": 1}, "score": 4}', 4),
        ('{"score": true}', None),
        ('{"score": "x"} score: 9', None),
        ("{" * 5000 + '"score": 4}', 4),
        ('{"scores": 4}', None),
        ("the answer names 3 dogs", None),
        ("""{"explanation": "says {'score': 1}", "score": 4}""", 4),
        ("""{'explanation': "says {'score': 1}", 'score': 4}""", 4),
        ('{"explanation": "{}: \\"score\\": 1", "score": 4}', 4),
        ('{"result": {"score": 4, "explanation": "x"}}', 4),
        ('{"score": 2}\n{"score": 4}', 4),
        ('{"score": "4,5"}', 4.5),
        ('{"score": "4/5"}', 4),
        ('{"score": "4 out of 5"}', 4),
        ('{"score": "4/10"}', None),
        ("score: 4 / 10", None),
        ('{"score": NaN}', None),
        ('{"score": 4, "explanation": "cut', 4),
        ("**Score:** 4", 4),
        ("Score: **4/5**", 4),
        ("Score\uff1a3", 3),
        ("The score is 4.", 4),
        ("On a score of 0 to 5 it gets a score of 2", 2),
        ("4/5", 4),
        ('{"explication": "la note (score: 1) serait fausse", "score": 3}', 3),
        ("", None),
    ],
)
def test_replies_are_read_robustly(reply, expected):
    assert parse_score(reply) == expected


def test_calls_that_cannot_work(monkeypatch, tmp_path):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(InputError, match="NO_SUCH_KEY"):
        Endpoint("http://localhost", "m", key_variable="NO_SUCH_KEY")
    with pytest.raises(InputError, match="must start with http"):
        Endpoint("file:///etc/passwd", "m", key_variable=None)
    with pytest.raises(InputError, match="at least one attempt"):
        Endpoint("http://localhost", "m", key_variable=None, attempts=0)
    with pytest.raises(InputError, match="unknown dimension 'mood'"):
        judge({"mood": items(1)}, Endpoint("http://localhost", "m", key_variable=None), tmp_path / "log")
    with pytest.raises(ValueError, match="1 questions but 2"):
        JudgeItem("v", ("q",), "a", ("p", "q"))


def test_the_command_of_the_field_report(shared, server, tmp_path, capsys):
    report = shared / "field" / "reports" / "judge_first_score"
    reply = json.loads((report / "replies.json").read_text())[0]
    server.answer = lambda *_: completion(reply)
    words = [
        "score",
        "video-chatgpt",
        "--predictions",
        report / "vcgp.jsonl",
        "--annotations",
        report / "ann",
    ]
    words += ["--judge-url", server.url, "--judge-model", "m", "--judge-key", "none"]
    words += ["--judge-log", tmp_path / "log.jsonl", "--format", "json"]
    assert main([str(word) for word in words]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"]["correctness"] == 4
