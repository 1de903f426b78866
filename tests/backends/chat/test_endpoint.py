"""Chat models behind a server, against a local one that plays it."""

from __future__ import annotations

import base64
import io
import json
import threading
import time

import pytest
from PIL import Image

import videoexpert
from chat_server import Server, completion
from videoexpert.backends.base import Backend, OpenVideo
from videoexpert.errors import InputError, ServerError

OPTIONS = {"attempts": 2, "timeout_s": 5.0}


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr("videoexpert.http_client.time.sleep", lambda _: None)
    monkeypatch.delenv("VIDEOEXPERT_API_KEY", raising=False)
    running = Server()
    yield running
    running.close()


def expert(server, **options):
    return videoexpert.load(f"{server.url}#some/model", **{**OPTIONS, **options})


def says(*texts):
    """An answer by what the question contains: pairs of (part of the question, text)."""

    def answer(_, body):
        question = body["messages"][0]["content"][-1]["text"]
        return completion(next(text for part, text in texts if part in question))

    return answer


def token(text, logprob, **others):
    return {
        "token": text,
        "logprob": logprob,
        "top_logprobs": [{"token": t, "logprob": p} for t, p in others.items()],
    }


def test_frames_are_sent_as_jpeg_behind_their_times(server, clip):
    server.answer = lambda *_: completion("[[1, 2]]")
    backend = expert(server)
    assert isinstance(backend, Backend)
    video = backend.open(clip)
    assert isinstance(video, OpenVideo)
    moments = video.ground("a bar moves")
    assert [(m.start, m.end) for m in moments] == [(1, 2)]
    (body,) = server.requests
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some/model", 0, 256)
    first, *frames, last = body["messages"][0]["content"]
    assert first["text"] == "These are 8 frames of a video of 8.0 seconds, in order, each behind its time."
    assert [part["text"] for part in frames[::2]] == [f"<{t}.4 seconds>" for t in range(8)]
    assert last["text"].startswith('Given the query: "a bar moves"')
    for part in frames[1::2]:
        kind, data = part["image_url"]["url"].split(",")
        assert kind == "data:image/jpeg;base64"
        assert Image.open(io.BytesIO(base64.b64decode(data))).size == (64, 48)


def test_all_verbs(server, clip):
    server.answer = says(
        ("Localize", '[{"start": "00:01.00", "end": "00:02.00", "description": "A bar."}]'),
        ("letter of the best choice", "B"),
        ("Answer in one", "It moves."),
        ("What? It moves.", "The event happens in 2.0 - 3.0 seconds."),
        ("What? stays", "[[4, 5]]"),
        ("a bar", "[[0, 4]]"),
    )
    video = expert(server).open(clip)
    assert video.highlights("a bar").scores == (1, 1, 0, 0)
    (caption,) = video.caption()
    assert (caption.start, caption.end, caption.text) == (1, 2, "A bar.")
    answer = video.ask("What?")
    assert (answer.text, [(m.start, m.end) for m in answer.moments]) == ("It moves.", [(2, 3)])
    chosen = video.ask("What?", ["moves", "stays"])
    assert (chosen.choice, chosen.text, chosen.choice_scores) == (1, "stays", ())
    assert [(m.start, m.end) for m in chosen.moments] == [(4, 5)]
    assert (chosen.told.choice, chosen.told.score) == ("named", "none")


def test_choices_by_likelihood_where_the_server_tells(server, clip):
    def answer(_, body):
        if body["max_tokens"] == 1:
            assert (body["logprobs"], body["top_logprobs"]) == (True, 20)
            first = token("The", -0.5, **{"The": -0.5, " B": -2.0, "B": -2.0, "A": -3.0})
            return completion("The", logprobs={"content": [first]})
        return completion("[[1, 2]]")

    server.answer = answer
    chosen = expert(server).open(clip).ask("What?", ["moves", "stays", "falls"])
    assert (chosen.choice, chosen.told.choice) == (1, "likelihood")
    # " B" and "B" count together: 2 e^-2; A e^-3; C, which is not listed, gets the least listed
    weights = [2.718281828**-3, 2 * 2.718281828**-2, 2.718281828**-3]
    assert chosen.choice_scores == pytest.approx([weights[i] / sum(weights) for i in (0, 1, 2)])


def test_scores_from_log_probabilities(server, clip):
    pieces = [token("[[", 0.0), token("1", -0.1), token(", ", -9.0), token("2", -0.3), token("]]", 0.0)]
    server.answer = lambda *_: completion("[[1, 2]]", logprobs={"content": pieces})
    moments = expert(server).open(clip).ground("a bar")
    assert moments[0].score == pytest.approx(2.718281828**-0.2)
    assert moments.told.score == "digits"


def test_a_server_that_refuses_log_probabilities_is_asked_without(server, clip):
    def answer(_, body):
        return (
            (400, {"error": "logprobs are not supported"}) if "logprobs" in body else completion("[[1, 2]]")
        )

    server.answer = answer
    video = expert(server).open(clip)
    first, second = video.ground(["a", "b"])
    assert (first.told.score, second[0].score) == ("none", 1.0)
    asked = len(server.requests)
    video.ground("c")
    assert len(server.requests) == asked + 1
    assert video.ask("What?", ["[[1", "no"]).told.choice == "named"


def test_several_requests_are_under_way_and_no_more(server, clip):
    lock, now, most = threading.Lock(), [0], [0]

    def answer(_, body):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time_before = time.monotonic()
        while now[0] < 3 and time.monotonic() - time_before < 2:
            threading.Event().wait(0.005)
        with lock:
            now[0] -= 1
        number = body["messages"][0]["content"][-1]["text"].split('"')[1]
        return completion(f"[[{number}, 7.5]]")

    server.answer = answer
    found = expert(server, workers=3).open(clip).ground([str(i) for i in range(6)])
    assert [m[0].start for m in found] == [0, 1, 2, 3, 4, 5]
    assert most[0] == 3


def test_agreement_asks_with_seeds(server, clip):
    def answer(_, body):
        assert (body["temperature"] > 0) == ("seed" in body)
        return completion({None: "[[2, 4]]", 1: "[[2, 4]]", 2: "[[3, 4]]"}[body.get("seed")])

    server.answer = answer
    moments = expert(server, score="agreement", samples=2).open(clip).ground("a bar")
    assert moments[0].score == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((500, "down"), r"HTTP 500 \(down\), in the last of 2 attempts"),
        ((400, {"error": {"message": "At most 4 images"}}), r"HTTP 400 \(At most 4 images\)"),
        ((200, "<html>hello</html>"), "a reply that is not a chat completion"),
        ((302, ""), "HTTP 302"),
    ],
)
def test_a_server_that_gives_no_answer(server, clip, answer, reason):
    server.answer = lambda *_: answer
    with pytest.raises(
        ServerError, match=rf"some/model at {server.url} gave no answer: {reason}.*; check that"
    ):
        expert(server).open(clip).ground(["a", "b", "c"])


def test_a_silent_and_an_absent_server(server, clip):
    server.answer = lambda *_: (threading.Event().wait(0.4), completion("late"))[1]
    with pytest.raises(ServerError, match=r"no answer within 0\.05 s"):
        expert(server, timeout_s=0.05, attempts=1).open(clip).ground("a")
    gone = Server()
    gone.close()
    with pytest.raises(ServerError, match="no connection"):
        expert(gone).open(clip).ground("a")


def test_the_key(server, clip, monkeypatch):
    server.answer = lambda *_: completion("[]")
    expert(server).open(clip).ground("a")
    monkeypatch.setenv("VIDEOEXPERT_API_KEY", "home")
    expert(server).open(clip).ground("a")
    monkeypatch.setenv("MY_KEY", "mine")
    expert(server, key_variable="MY_KEY").open(clip).ground("a")
    assert [h["Authorization"] for _, h in server.headers] == [None, "Bearer home", "Bearer mine"]
    with pytest.raises(InputError, match="NOT_SET"):
        expert(server, key_variable="NOT_SET")
    server.answer = lambda *_: (401, "no")
    with pytest.raises(
        InputError, match=r"HTTP 401 \(no\): check the base URL, the key in MY_KEY"
    ) as refused:
        expert(server, key_variable="MY_KEY").open(clip).ground("a")
    assert "mine" not in str(refused.value)


def test_the_only_model_needs_no_name(server):
    server.models = ["only/one"]
    assert videoexpert.load(server.url, **OPTIONS).name == "only/one"
    server.models = ["a", "b"]
    with pytest.raises(InputError, match=r"has 2 models \(a, b\); add #NAME"):
        videoexpert.load(server.url, **OPTIONS)
    server.models = None
    with pytest.raises(ServerError, match="does not say which models it has"):
        videoexpert.load(server.url, **OPTIONS)


def test_wrong_options(server):
    with pytest.raises(InputError, match="has no option 'load_in_4bit'; it takes key_variable, workers"):
        expert(server, load_in_4bit=True)
    with pytest.raises(InputError, match="dtype is bfloat16, but the server"):
        expert(server, dtype="bfloat16")
    with pytest.raises(InputError, match="workers is 0"):
        expert(server, workers=0)
    with pytest.raises(InputError, match="option max_frames is 'many', expected a value of kind int"):
        expert(server, max_frames="many")
    with pytest.raises(InputError, match="prompt style is 'poem'"):
        expert(server, prompts="poem")


def test_a_run_says_what_was_asked_but_not_where(server):
    said = expert(server, fps=2, max_frames=16, frame_pixels=1000).describe()
    assert said["model"] == "some/model"
    assert said["frames"] == {
        "fps": 2.0,
        "max_frames": 16,
        "frame_pixels": 1000,
        "total_pixels": 64 * 448 * 448,
    }
    assert "127.0.0.1" not in json.dumps(said)
