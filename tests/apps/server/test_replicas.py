"""``serve --ray``: what is refused at once; and two replicas that answer as the plain server does."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST
from videoexpert.apps.cli import main
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.replicas import run
from videoexpert.apps.server.settings import ServerSettings
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.cluster import Cluster
from videoexpert.errors import InputError
from videoexpert.session import load


def test_numbers_that_do_not_fit_start_nothing(tmp_path, capsys):
    assert main(["serve", "--at-least", "2", "--state", str(tmp_path)]) == 2
    assert "--at-least belongs to --ray" in capsys.readouterr().err
    assert main(["serve", "--workers", "2", "--state", str(tmp_path)]) == 2
    assert "--workers belongs to --ray" in capsys.readouterr().err
    with pytest.raises(InputError, match="--at-least is 3 and --workers 2"):
        run(ServerSettings(tmp_path), load, Cluster(workers=2), at_least=3)
    with pytest.raises(InputError, match="--port is 0"):
        run(ServerSettings(tmp_path, port=0), load, Cluster(workers=2))


@pytest.fixture
def running(tmp_path):
    """A client of two replicas of the shipped model on this machine, and the process that started them."""
    httpx = pytest.importorskip("httpx2")
    pytest.importorskip("ray.serve")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    here = Path(__file__).resolve().parents[3]
    command = [
        sys.executable,
        "-m",
        "videoexpert",
        "serve",
        "--ray",
        "local",
        "--workers",
        "2",
        "--at-least",
        "2",
    ]
    command += ["--port", str(port), "--state", str(tmp_path / "state"), "--open", "demo", "--device", "cpu"]
    paths = os.pathsep.join([str(here / "src"), os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        command, env=os.environ | {"PYTHONPATH": paths}, stderr=subprocess.PIPE, text=True
    )
    # says so once a replica answers
    assert process.stderr is not None
    told = next((line for line in process.stderr if "VideoExpert is at" in line), None)
    assert told is not None, process.wait()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/v1", timeout=120) as client:
        yield client, process.pid
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.slow
def test_two_replicas_answer_as_one_server_and_a_killed_one_loses_no_job(running, tmp_path):
    replicas, process = running
    queries = ["the purple triangle moves right", "a dog barks at the moon"]
    video = replicas.get("/info").json()["opened"]
    expert = load(device="cpu")
    with TestClient(
        create_app(ServerSettings(tmp_path / "plain", opened=SHIPPED_VIDEO), expert), base_url=HOST
    ) as plain:
        own = plain.get("/v1/info").json()["opened"]
        expected = plain.post(f"/v1/videos/{own}/ground", json={"queries": queries}).json()
        captions = plain.post(f"/v1/videos/{own}/caption").json()
    for _ in range(4):  # whichever replica answers
        answer = replicas.post(f"/videos/{video}/ground", json={"queries": queries})
        assert answer.status_code == 200, answer.text
        assert answer.json() == expected | {"video": video}
    # an upload to one is a video of both, and comes in ranges
    uploaded = replicas.post("/uploads?name=a.mp4", content=SHIPPED_VIDEO.read_bytes()).json()["id"]
    for _ in range(4):
        part = replicas.get(f"/videos/{uploaded}/file", headers={"Range": "bytes=4-7"})
        assert (part.status_code, part.content) == (206, b"ftyp")
    assert replicas.get("/videos", headers={"Host": "evil.example"}).status_code == 421
    body = {"task": "caption", "video": video, "arguments": {}}
    jobs = [replicas.post("/jobs", json=body).json()["id"] for _ in range(20)]
    psutil = pytest.importorskip("psutil")
    family = psutil.Process(process).children(recursive=True)
    next(p for p in family if "ServeReplica" in " ".join(p.cmdline())).kill()
    states, end = {"queued"}, time.monotonic() + 240
    while not states <= {"done", "failed"} and time.monotonic() < end:
        time.sleep(1)
        answers = [replicas.get(f"/jobs/{job}") for job in jobs]
        states = {answer.json().get("state", "queued") for answer in answers}
    assert states == {"done"}
    assert replicas.get(f"/jobs/{jobs[-1]}").json()["result"] == captions | {"video": video}
    story = replicas.get(f"/jobs/{jobs[0]}/events", headers={"Last-Event-ID": "1"}).text
    assert "event: done" in story
    assert "event: queued" not in story
