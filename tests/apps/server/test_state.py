"""The registry: what several servers share, and whose a job is when one of them falls silent."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST, KnownBackend, wait_for
from videoexpert.apps.server import service, state
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.state import KEPT_JOBS, State


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands until a test moves it."""
    now = [1000.0]
    monkeypatch.setattr(state.time, "time", lambda: now[0])
    return now


@pytest.fixture
def registry(tmp_path, clock) -> State:
    return State(tmp_path / "state")


def test_jobs_of_a_silent_server_are_taken_over_and_those_of_a_living_one_are_not(registry, clock):
    assert registry.take_over("a", 30.0) == []
    job = registry.add_job("ground", "v", {"queries": ["q"]}, "a")
    clock[0] += 20
    assert registry.take_over("b", 30.0) == []
    registry.take_over("a", 30.0)
    clock[0] += 20
    assert registry.take_over("b", 30.0) == []
    clock[0] += 20
    assert [left.id for left in registry.take_over("b", 30.0)] == [job.id]
    # it is b's now, and b lives
    assert registry.take_over("c", 30.0) == []
    assert registry.take_over("b", 30.0) == []


def test_a_server_alone_takes_over_all_that_was_left_and_no_ended_job(registry):
    jobs = [registry.add_job("ground", "v", {}, "a") for _ in range(3)]
    registry.set_job(jobs[0].id, state.DONE, {})
    registry.set_job(jobs[1].id, state.RUNNING)
    assert {left.id for left in registry.take_over("b", 0.0)} == {jobs[1].id, jobs[2].id}


def test_an_ended_job_tells_no_progress(registry):
    job = registry.add_job("ground", "v", {}, "a")
    assert registry.add_progress(job.id, {"fraction": 0.5})
    registry.set_job(job.id, state.CANCELLED)
    assert not registry.add_progress(job.id, {"fraction": 0.6})
    assert [kind for _, kind, _ in registry.events(job.id)] == ["queued", "progress", "cancelled"]


def test_the_table_of_jobs_has_a_bound(registry, monkeypatch):
    monkeypatch.setattr(state, "KEPT_JOBS", 5)
    assert KEPT_JOBS > 5
    for _ in range(12):
        registry.set_job(registry.add_job("ground", "v", {}, "a").id, state.DONE, {})
    for table in ("jobs", "events", "owners"):
        ((count,),) = registry._do(
            f"SELECT COUNT(DISTINCT {'id' if table == 'jobs' else 'job'}) FROM {table}"
        )
        assert count <= 6, table


def test_two_servers_of_one_state(settings, monkeypatch):
    """Either answers for the jobs of the other, and does those of one that is gone."""
    monkeypatch.setattr(service, "BEAT_S", 0.02)
    shared = State(settings.state)
    stuck, free = KnownBackend(), KnownBackend()
    stuck.gate.clear()
    first = TestClient(create_app(settings, stuck, shared), base_url=HOST)
    with TestClient(create_app(settings, free, shared), base_url=HOST) as second:
        video = first.post("/v1/videos", json={"path": "a.mp4"}).json()["id"]
        assert [v["id"] for v in second.get("/v1/videos").json()] == [video]
        asked = [{"task": "ground", "video": video, "arguments": {"queries": [q]}} for q in ("a", "b", "c")]
        jobs = [first.post("/v1/jobs", json=body).json()["id"] for body in asked]
        wait_for(lambda: stuck.passes)
        # taken back by the one that has not got it
        assert second.delete(f"/v1/jobs/{jobs[2]}").json()["state"] == "cancelled"
        assert free.passes == []
        # the first falls silent
        first.app.state.service._closing.set()
        monkeypatch.setattr(service, "SILENT_S", 0.1)
        for job in jobs[:2]:
            wait_for(lambda job=job: second.get(f"/v1/jobs/{job}").json()["state"] == "done")
        stuck.gate.set()
        wait_for(lambda: first.app.state.service.answerer.waiting == 0)
        assert ["c"] not in stuck.passes + free.passes
    assert second.app.state.service.shared
    assert shared.videos()
    first.app.state.service.close()
