"""The client of chat servers against a local one; retries and refusals are tested through the judge, too."""

from __future__ import annotations

import json
import time

import pytest

from chat_server import Server, completion
from videoexpert.errors import InputError
from videoexpert.http_client import ChatServer, Refused, chat

ASK = [{"role": "user", "content": "hello"}]


@pytest.fixture
def server():
    running = Server()
    yield running
    running.close()


def client(server, **options):
    return ChatServer(server.url, "m", **{"attempts": 2, "backoff_s": 0.001, "timeout_s": 5.0, **options})


def test_options_go_into_the_body_and_counts_come_back(server):
    server.answer = lambda *_: completion("hi")
    reply = chat(client(server), ASK, temperature=0, max_tokens=5)
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.attempts) == ("hi", 100, 7, 1)
    assert server.requests == [{"model": "m", "messages": ASK, "temperature": 0, "max_tokens": 5}]
    assert reply.tokens == ()


def test_log_probabilities_are_read(server):
    token = {"token": "A", "logprob": -0.1, "top_logprobs": [{"token": "B", "logprob": -3.0}]}
    server.answer = lambda *_: completion("A", logprobs={"content": [token]})
    (chance,) = chat(client(server), ASK).tokens
    assert (chance.text, chance.logprob, chance.likeliest) == ("A", -0.1, {"B": -3.0})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"error": {"message": "At most 4 images"}}, "HTTP 400 (At most 4 images)"),
        ({"error": "too long"}, "HTTP 400 (too long)"),
        ({"detail": "no such field"}, "HTTP 400 (no such field)"),
        ("plain words", "HTTP 400 (plain words)"),
        ("<html>Bad Request</html>", "HTTP 400"),
        ([1], "HTTP 400"),
    ],
)
def test_a_refusal_repeats_what_the_server_says(server, content, said):
    server.answer = lambda *_: (400, content)
    with pytest.raises(Refused) as refusal:
        chat(client(server), ASK)
    assert str(refusal.value) == said
    assert len(server.requests) == 1


def test_a_silent_server_is_given_up(server):
    def slow(*_):
        time.sleep(0.5)
        return completion("late")

    server.answer = slow
    with pytest.raises(Refused, match=r"no answer within 0\.05 s, in the last of 2 attempts"):
        chat(client(server, timeout_s=0.05), ASK)


def test_nobody_listens():
    gone = Server()
    gone.close()
    with pytest.raises(Refused, match="no connection"):
        chat(client(gone), ASK)


def test_a_reply_without_end_is_cut(server, monkeypatch):
    monkeypatch.setenv("VIDEOEXPERT_MAX_REPLY_BYTES", "1000")
    server.answer = lambda *_: completion("x" * 2000)
    with pytest.raises(Refused, match=r"a reply of more than 1,000 bytes .*VIDEOEXPERT_MAX_REPLY_BYTES"):
        chat(client(server), ASK)


@pytest.mark.parametrize(
    "content", ["[1]", "null", json.dumps({"choices": [{"message": None}]}), "\x00\xff", '{"choices": 3}']
)
def test_garbage_is_asked_again_and_then_refused(server, content):
    server.answer = lambda *_: (200, content)
    with pytest.raises(Refused, match="not a chat completion"):
        chat(client(server), ASK)
    assert len(server.requests) == 2


def test_the_key_comes_from_the_environment(server, monkeypatch):
    monkeypatch.setenv("SOME_KEY", "secret")
    chat(client(server, key_variable="SOME_KEY"), ASK)
    assert server.headers[0][1]["Authorization"] == "Bearer secret"
    server.answer = lambda *_: (401, "")
    with pytest.raises(InputError, match=r"HTTP 401.*SOME_KEY") as error:
        chat(client(server, key_variable="SOME_KEY"), ASK)
    assert "secret" not in str(error.value)
