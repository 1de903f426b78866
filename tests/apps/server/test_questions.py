"""Questions over HTTP: the documents of the command line, batches, failures apart, a bounded queue."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from apps.server.conftest import known, wait_for


def test_the_five_verbs(client, video):
    ground = client.post(f"/v1/videos/{video}/ground", json={"queries": ["it moves"]}).json()
    assert ground == {
        "video": video,
        "duration": pytest.approx(ground["duration"]),
        "model": "known",
        "queries": [
            {
                "query": "it moves",
                "presence": 0.9,
                "absent": False,
                "moments": [{"start": 0.8, "end": 1.3, "score": 0.8}],
                "curve": [0.1, 0.9],
            }
        ],
    }
    highlights = client.post(f"/v1/videos/{video}/highlights", json={"query": "it moves"}).json()
    assert (highlights["times"], highlights["scores"], highlights["clip"]) == ([0, 2], [0.25, 0.75], 2)
    captions = client.post(f"/v1/videos/{video}/caption").json()["captions"]
    assert captions == [{"start": 0.5, "end": 1.0, "score": 0.9, "text": "it <b>moves</b>"}]
    asked = client.post(f"/v1/videos/{video}/ask", json={"question": "q?", "choices": ["a", "b"]}).json()
    assert asked["choice"] == 0
    assert asked["choices"] == [{"text": "a", "score": 0.7}, {"text": "b", "score": 0.3}]
    assert client.post(f"/v1/videos/{video}/ask", json={"question": "q?"}).json()["answer"] == "yes"


def test_every_answer_says_whether_the_model_knows_such_videos(client, video, backend):
    backend.familiarity, backend.calibrated = 0.1, False
    asked = {
        "ground": {"queries": ["it moves"]},
        "highlights": {"query": "it moves"},
        "caption": {},
        "ask": {"question": "q?"},
    }
    for task, body in asked.items():
        document = client.post(f"/v1/videos/{video}/{task}", json=body).json()
        assert (document["familiar"], document["familiarity"], document["calibrated"]) == (False, 0.1, False)


def test_questions_that_wait_together_are_answered_in_one_pass_and_each_gets_its_own(client, video, backend):
    backend.gate.clear()
    queries = ["a", "bb", "ccc", "dddd"]
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(client.post, f"/v1/videos/{video}/ground", json={"queries": ["first"]})
        wait_for(lambda: backend.passes)
        rest = [
            pool.submit(client.post, f"/v1/videos/{video}/ground", json={"queries": [q]}) for q in queries
        ]
        wait_for(lambda: client.app.state.service.answerer.waiting == 4)
        backend.gate.set()
        found = [one.result().json()["queries"][0] for one in (first, *rest)]
    assert len(backend.passes) == 2
    assert sorted(backend.passes[1]) == queries
    for query, one in zip(["first", *queries], found, strict=True):
        assert one["query"] == query
        assert one["moments"][0]["start"] == known(query)[0].start


def test_one_failing_question_never_fails_its_batch(client, video, backend):
    backend.gate.clear()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(client.post, f"/v1/videos/{video}/ground", json={"queries": ["first"]})
        wait_for(lambda: backend.passes)
        asked = {
            q: pool.submit(client.post, f"/v1/videos/{video}/ground", json={"queries": [q]})
            for q in ("good", "fails", "breaks")
        }
        wait_for(lambda: client.app.state.service.answerer.waiting == 3)
        backend.gate.set()
        answers = {q: one.result() for q, one in asked.items()}
    assert first.result().status_code == 200
    assert answers["good"].json()["queries"][0]["query"] == "good"
    assert (answers["fails"].status_code, answers["fails"].json()) == (
        422,
        {"error": "this sentence cannot be asked."},
    )
    assert answers["breaks"].status_code == 500
    assert "secret" not in answers["breaks"].text


def test_a_full_queue_says_when_to_come_back(client, video, backend):
    backend.gate.clear()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(client.post, f"/v1/videos/{video}/ground", json={"queries": ["first"]})
        wait_for(lambda: backend.passes)
        waiting = [
            pool.submit(client.post, f"/v1/videos/{video}/ground", json={"queries": [str(i)]})
            for i in range(6)
        ]
        wait_for(lambda: client.app.state.service.answerer.waiting == 6)
        refused = client.post(f"/v1/videos/{video}/ground", json={"queries": ["one more"]})
        backend.gate.set()
        assert all(one.result().status_code == 200 for one in (first, *waiting))
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) >= 1


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("ground", {"queries": []}, 422, "queries"),
        ("ground", {"queries": [""]}, 422, "queries"),
        ("ground", {"queries": ["x" * 3000]}, 422, "2000"),
        ("ground", {"query": "misspelt"}, 422, "query"),
        ("ask", {"question": "q", "choices": ["one"]}, 422, "choices"),
        ("highlights", {"query": "q", "clip_s": 0}, 422, "clip_s"),
    ],
)
def test_wrong_bodies_get_one_sentence(client, video, path, body, status, words):
    answer = client.post(f"/v1/videos/{video}/{path}", json=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_what_the_backend_cannot_do_is_said(client, video, backend):
    backend.can = frozenset({"ground"})
    assert client.post(f"/v1/videos/{video}/caption").status_code == 501
    assert client.post("/v1/jobs", json={"task": "caption", "video": video}).status_code == 501
    assert client.get("/v1/info").json()["can"] == ["ground"]


def test_an_unknown_video_is_404(client):
    assert client.post("/v1/videos/none/ground", json={"queries": ["a"]}).status_code == 404
    assert client.get("/v1/videos/none/file").status_code == 404


def test_health_metrics_and_openapi(client, video):
    client.post(f"/v1/videos/{video}/ground", json={"queries": ["a"]})
    assert client.get("/healthz").json() == {"status": "ok"}
    metrics = client.get("/metrics").text
    assert "videoexpert_questions_answered 1.0" in metrics
    assert 'videoexpert_requests_total{status="200"}' in metrics
    described = client.get("/v1/openapi.json").json()
    assert "/v1/videos/{video_id}/ground" in described["paths"]
    assert described["components"]["schemas"]["GroundBody"]["examples"][0]["queries"]


def test_an_answer_as_a_file(client, video):
    document = client.post(f"/v1/videos/{video}/ground", json={"queries": ["it moves"]}).json()
    formats = {one["name"]: one["tasks"] for one in client.get("/v1/info").json()["formats"]}
    assert set(formats["srt"]) == {"ground", "highlights", "caption", "ask"}
    made = client.post(f"/v1/videos/{video}/export", json={"format": "srt", "document": document})
    assert made.status_code == 200, made.text
    assert made.text == "1\n00:00:00,800 --> 00:00:01,300\nit moves\n"
    assert made.headers["content-disposition"] == "attachment; filename*=utf-8''a.srt"
    edl = client.post(f"/v1/videos/{video}/export", json={"format": "edl", "document": document})
    assert edl.status_code == 200, edl.text
    assert "a.mp4" in edl.text
    for wrong in ({"format": "nothing", "document": document}, {"format": "srt", "document": {"video": 3}}):
        assert client.post(f"/v1/videos/{video}/export", json=wrong).status_code in (422, 500)
        assert "error" in client.post(f"/v1/videos/{video}/export", json=wrong).json()
