"""The search box over a library."""

from __future__ import annotations

import shutil

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST, KnownBackend
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.settings import ServerSettings
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.library.build import index
from videoexpert.library.encoders import encoder_of
from videoexpert.session import load


@pytest.fixture(scope="module")
def expert():
    return load()


def test_hits_are_videos_that_can_be_opened_and_played(tmp_path, expert):
    (tmp_path / "videos").mkdir()
    shutil.copy(SHIPPED_VIDEO, tmp_path / "videos" / "demo.mp4")
    index([tmp_path / "videos"], tmp_path / "lib", encoder_of(expert))
    settings = ServerSettings(tmp_path / "state", library=tmp_path / "lib")
    with TestClient(create_app(settings, expert), base_url=HOST) as client:
        assert client.get("/v1/info").json()["library"] is True
        found = client.post("/v1/search", json={"query": "the purple triangle moves right"}).json()
        hit = found["results"][0]
        assert 14 < hit["start"] < hit["end"] < 19
        assert hit["familiar"] is True
        assert client.get(f"/v1/videos/{hit['video']['id']}/file").status_code == 200
        assert client.get(f"/v1/videos/{hit['video']['id']}/thumbnail").status_code == 200
        assert found["left_out"] == 0
        assert client.post("/v1/search", json={"query": ""}).status_code == 422
        (tmp_path / "videos" / "demo.mp4").unlink()
        gone = client.post("/v1/search", json={"query": "the purple triangle moves right"}).json()
        assert gone["results"] == []
        assert gone["left_out"] == len(found["results"])


def test_without_a_library_it_says_so(tmp_path):
    with TestClient(create_app(ServerSettings(tmp_path / "state"), KnownBackend()), base_url=HOST) as client:
        assert client.get("/v1/info").json()["library"] is False
        assert client.post("/v1/search", json={"query": "a"}).status_code == 501
