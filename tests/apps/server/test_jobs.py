"""Jobs: progress as events that can be taken up again, cancelling, and what a restart finds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST, KnownBackend, LongBackend, wait_for
from videoexpert.apps.server.app import create_app


def events(text: str) -> list[tuple[str, str, dict]]:
    """(id, event, data) of a stream's text."""
    found = []
    for block in text.replace("\r\n", "\n").strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line and line[0] != ":")
        if "event" in fields:
            found.append((fields["id"], fields["event"], json.loads(fields["data"])))
    return found


def begin(client, video, task="ground", **arguments):
    answer = client.post("/v1/jobs", json={"task": task, "video": video, "arguments": arguments})
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def test_a_job_tells_its_story_and_has_the_answer_of_the_direct_question(client, video):
    job = begin(client, video, queries=["it moves"])
    story = events(client.get(f"/v1/jobs/{job}/events").text)
    assert [kind for _, kind, _ in story] == ["queued", "running", "progress", "done"]
    assert story[2][2] == {"fraction": 1.0, "minutes": 0.07, "of": 0.07}
    direct = client.post(f"/v1/videos/{video}/ground", json={"queries": ["it moves"]}).json()
    assert client.get(f"/v1/jobs/{job}").json()["result"] == direct


def test_a_job_says_that_the_model_does_not_know_such_videos(client, video, backend):
    backend.familiarity = 0.1
    job = begin(client, video, queries=["it moves"])
    events(client.get(f"/v1/jobs/{job}/events").text)
    assert client.get(f"/v1/jobs/{job}").json()["result"]["familiar"] is False


def test_a_stream_goes_on_behind_the_last_event_that_was_seen(client, video):
    job = begin(client, video, queries=["a"])
    whole = events(client.get(f"/v1/jobs/{job}/events").text)
    rest = client.get(f"/v1/jobs/{job}/events", headers={"Last-Event-ID": whole[0][0]})
    assert events(rest.text) == whole[1:]


@pytest.fixture
def long_client(settings) -> Iterator[TestClient]:
    with TestClient(create_app(settings, LongBackend()), base_url=HOST) as made:
        yield made


def test_a_job_tells_how_many_minutes_are_looked_at(long_client):
    video = long_client.post("/v1/videos", json={"path": "a.mp4"}).json()["id"]
    job = begin(long_client, video, queries=["it moves"])
    story = events(long_client.get(f"/v1/jobs/{job}/events").text)
    told = [data for _, kind, data in story if kind == "progress"]
    assert told == [
        {"fraction": round(done / 6, 4), "minutes": 10.0 * done, "of": 60.0} for done in range(1, 7)
    ]
    # one that is open already is looked at in no time
    again = begin(long_client, video, queries=["it stops"])
    story = events(long_client.get(f"/v1/jobs/{again}/events").text)
    assert [data for _, kind, data in story if kind == "progress"] == told[-1:]


def test_cancelling_ends_the_look_at_a_long_video_between_two_windows(long_client):
    service = long_client.app.state.service
    backend = service.backend
    backend.gate.clear()
    video = long_client.post("/v1/videos", json={"path": "a.mp4"}).json()["id"]
    job = begin(long_client, video, queries=["it moves"])
    wait_for(lambda: len(service.state.events(job)) == 5)
    assert long_client.delete(f"/v1/jobs/{job}").json()["state"] == "cancelled"
    backend.gate.set()
    other = begin(long_client, video, queries=["it stops"])
    assert events(long_client.get(f"/v1/jobs/{other}/events").text)[-1][1] == "done"
    # the first was dropped at its fourth window: only the second was asked
    assert backend.passes == [["it stops"]]
    assert [kind for _, kind, _ in service.state.events(job)][-1] == "cancelled"


def test_cancelling_before_its_turn(client, video, backend):
    backend.gate.clear()
    first = begin(client, video, queries=["first"])
    wait_for(lambda: backend.passes)
    second = begin(client, video, queries=["second"])
    assert client.delete(f"/v1/jobs/{second}").json()["state"] == "cancelled"
    backend.gate.set()
    assert events(client.get(f"/v1/jobs/{first}/events").text)[-1][1] == "done"
    assert events(client.get(f"/v1/jobs/{second}/events").text)[-1][1] == "cancelled"
    assert ["second"] not in backend.passes


def test_a_job_that_fails_says_why_and_keeps_the_servers_secrets(client, video):
    story = {q: begin(client, video, queries=[q]) for q in ("fails", "breaks")}
    told = {q: events(client.get(f"/v1/jobs/{job}/events").text)[-1] for q, job in story.items()}
    assert told["fails"][1:] == ("failed", {"error": "this sentence cannot be asked."})
    assert told["breaks"][1] == "failed"
    assert "secret" not in json.dumps(told["breaks"][2])


def test_wrong_jobs_are_refused(client, video):
    for body in (
        {"task": "sing", "video": video},
        {"task": "ground", "video": video, "arguments": {"queries": []}},
        {"task": "ground", "video": video, "arguments": {"queries": ["a"], "top": 3}},
    ):
        assert client.post("/v1/jobs", json=body).status_code == 422
    assert client.post("/v1/jobs", json={"task": "caption", "video": "none"}).status_code == 404
    assert client.get("/v1/jobs/none/events").status_code == 404


def test_after_a_restart_videos_are_there_and_unfinished_jobs_are_done(settings, root):
    stuck = KnownBackend()
    stuck.gate.clear()
    # no context manager: this server is never told to stop, as if it had been killed
    first = TestClient(create_app(settings, stuck), base_url=HOST)
    video = first.post("/v1/videos", json={"path": "a.mp4"}).json()["id"]
    jobs = [begin(first, video, queries=[q]) for q in ("a", "b")]
    wait_for(lambda: stuck.passes)
    with TestClient(create_app(settings, KnownBackend()), base_url=HOST) as second:
        assert [v["id"] for v in second.get("/v1/videos").json()] == [video]
        for job in jobs:
            assert events(second.get(f"/v1/jobs/{job}/events").text)[-1][1] == "done"
        (root / "a.mp4").unlink()
        lost = begin(second, video, queries=["c"])
        assert "is gone" in events(second.get(f"/v1/jobs/{lost}/events").text)[-1][2]["error"]
    stuck.gate.set()


def test_a_clip_is_cut_and_fetched(client, video, settings, monkeypatch):
    job = begin(client, video, task="clip", start=0.5, end=1.5, exact=True)
    assert client.get(f"/v1/jobs/{job}/clip").status_code in (200, 404)
    story = events(client.get(f"/v1/jobs/{job}/events").text)
    assert story[-1][1] == "done", story
    made = client.get(f"/v1/jobs/{job}/clip")
    assert made.status_code == 200
    assert made.content[4:8] == b"ftyp"
    assert "a_0.5-1.5.mp4" in made.headers["content-disposition"]
    other = begin(client, video, task="clip", start=0.5, end=1.0)
    assert events(client.get(f"/v1/jobs/{other}/events").text)[-1][1] == "done"
    # both are kept, until their jobs are forgotten
    assert sorted(file.stem for file in settings.clips.iterdir()) == sorted([job, other])
    client.app.state.service.state._do("DELETE FROM jobs WHERE id = ?", (job,))
    outside = begin(client, video, task="clip", start=100, end=101)
    assert events(client.get(f"/v1/jobs/{outside}/events").text)[-1][1] == "failed"
    assert [file.stem for file in settings.clips.iterdir()] == [other]
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10))
    full = begin(client, video, task="clip", start=0, end=1)
    assert "no room for this clip" in events(client.get(f"/v1/jobs/{full}/events").text)[-1][2]["error"]
