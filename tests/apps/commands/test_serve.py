"""``serve``: what it starts, and what it refuses before a model is loaded."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from videoexpert.apps.commands.serve import TOKEN

uvicorn = pytest.importorskip("uvicorn")


@pytest.fixture
def started(monkeypatch):
    """The applications that were started, and how."""
    found = []
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: found.append((app, options)))
    return found


def test_make_page_opens_the_shipped_video(call, started, tmp_path):
    if shutil.which("make"):
        root = Path(__file__).resolve().parents[3]
        # within `make test` a make names the folder that it enters and leaves
        plan = ["make", "--no-print-directory", "-n", "page"]
        planned = subprocess.run(plan, cwd=root, capture_output=True, text=True, check=True)
        assert planned.stdout.splitlines()[-1].endswith("videoexpert serve --open demo")
    done = call("serve", "--open", "demo", "--state", tmp_path)
    assert (done.code, done.out) == (0, "")
    assert "VideoExpert is at http://127.0.0.1:8420/" in done.err
    ((app, options),) = started
    # neither queries nor tokens are written anywhere
    assert (options["access_log"], options["server_header"]) == (False, False)
    with TestClient(app, base_url="http://127.0.0.1:8420") as client:
        info = client.get("/v1/info").json()
        assert info["model"] == "shipped"
        assert client.get(f"/v1/videos/{info['opened']}").json()["name"] == "demo.mp4"
        # sentences to try stand ready
        body = {"queries": info["examples"]}
        found = client.post(f"/v1/videos/{info['opened']}/ground", json=body).json()["queries"]
        assert len(found) >= 3
        assert [query["query"] for query in found] == info["examples"]
        assert "<title>VideoExpert</title>" in client.get("/").text


def test_an_open_interface_without_a_token_starts_nothing(call, started, tmp_path, monkeypatch):
    monkeypatch.delenv(TOKEN, raising=False)
    refused = call("serve", "--host", "0.0.0.0", "--state", tmp_path)
    assert refused.code == 2
    assert TOKEN in refused.err
    assert started == []
    monkeypatch.setenv(TOKEN, "secret")
    assert "/?token=secret" in call("serve", "--host", "0.0.0.0", "--state", tmp_path).err
    for app, _ in started:
        app.state.service.close()


def test_what_is_not_there_starts_nothing(call, started, tmp_path):
    for arguments in (["--open", tmp_path / "none.mp4"], [tmp_path / "none"]):
        done = call("serve", *arguments, "--state", tmp_path)
        assert done.code == 2
        assert "none" in done.err
    assert started == []
