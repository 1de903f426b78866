"""Server, assistants and command line give one document, field for field, on a short video and on one of windows."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST
from videoexpert import session
from videoexpert.apps.mcp import Desk, Tools
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.settings import ServerSettings


@pytest.fixture(scope="module")
def backend_in_windows(model):
    """The tiny model, trained on videos of a second: eight seconds are several windows."""
    found = session.load(model, device="cpu")
    found.config.trained_seconds = 1.0
    return found


ASKED = {
    "ground": (["it falls"], {"queries": ["it falls"]}),
    "highlight": (["it falls"], {"query": "it falls"}),
    "caption": ([], {}),
    "ask": (
        ["what falls?", "--choice", "a", "--choice", "b"],
        {"question": "what falls?", "choices": ["a", "b"]},
    ),
}


@pytest.mark.parametrize("verb", ASKED)
@pytest.mark.parametrize("windows", [False, True], ids=["short", "long"])
def test_every_verb(call, model, video, tmp_path, monkeypatch, backend_in_windows, verb, windows):
    backend = backend_in_windows if windows else session.load(model, device="cpu")
    monkeypatch.setattr(session, "load", lambda *_, **__: backend)
    said, body = ASKED[verb]
    printed = call(verb, video, *said, "--format", "json").json
    assert (printed["looked_at"]["windows"] > 1) is windows
    settings = ServerSettings(tmp_path / "state", (video.parent,))
    with TestClient(create_app(settings, backend), base_url=HOST) as client:
        found = client.post("/v1/videos", json={"path": video.name}).json()["id"]
        path = "highlights" if verb == "highlight" else verb
        served = client.post(f"/v1/videos/{found}/{path}", json=body).json()
    for query in served.get("queries", []):
        query.pop("curve", None)
    assert served.pop("video") == found
    assert printed.pop("video") == str(video)
    assert served == printed
    desk = Desk([video.parent], lambda: backend)
    tools = Tools(desk)
    told = {
        "ground": lambda: tools.find_moments(video.name, said),
        "caption": lambda: tools.describe(video.name),
        "ask": lambda: tools.ask_video(video.name, "what falls?", ["a", "b"]),
    }
    if verb in told:
        assert told[verb]()["answer"] == printed | {"video": video.name}
