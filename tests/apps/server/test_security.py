"""Who is let in: names, origins, tokens; and what every response carries."""

from __future__ import annotations

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.security import COOKIE
from videoexpert.apps.server.settings import ServerSettings
from videoexpert.errors import InputError


def test_a_name_that_was_made_to_point_here_is_refused(client):
    assert client.get("/v1/videos", headers={"Host": "evil.example"}).status_code == 421
    assert client.get("/", headers={"Host": "127.0.0.1.evil.example:8420"}).status_code == 421
    for name in ("localhost:8420", "127.0.0.1:8420", "[::1]:8420"):
        assert client.get("/v1/videos", headers={"Host": name}).status_code == 200


def test_pages_of_other_sites_cannot_ask(client, video):
    ask = {"json": {"queries": ["a"]}}
    url = f"/v1/videos/{video}/ground"
    assert client.post(url, **ask, headers={"Origin": "http://evil.example"}).status_code == 403
    assert client.post(url, **ask, headers={"Origin": "null"}).status_code == 403
    # another port of the same machine is another site
    assert client.post(url, **ask, headers={"Origin": "http://127.0.0.1:9999"}).status_code == 403
    assert client.get(f"/v1/videos/{video}/file", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.post(url, **ask, headers={"Origin": HOST}).status_code == 200


def test_every_response_carries_the_headers(client):
    for path in ("/", "/v1/videos", "/v1/nothing", "/page/app.js"):
        headers = client.get(path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert client.get("/v1/videos").headers["cache-control"] == "no-store"


def test_an_open_interface_needs_a_token(tmp_path):
    with pytest.raises(InputError, match="VIDEOEXPERT_TOKEN"):
        ServerSettings(tmp_path, host="0.0.0.0")
    ServerSettings(tmp_path, host="0.0.0.0", token="t")


def test_with_a_token_nothing_but_health_is_open(tmp_path, backend):
    settings = ServerSettings(tmp_path, host="192.0.2.7", token="right")
    app = create_app(settings, backend)
    with TestClient(app, base_url="http://192.0.2.7:8420", follow_redirects=False) as client:
        for path in ("/", "/v1/videos", "/page/app.js", "/metrics", "/v1/openapi.json"):
            assert client.get(path).status_code == 401, path
        assert client.get("/healthz").status_code == 200
        for wrong in ("Bearer wrong", "Bearer ", "right", "Bearer right2", "Bearer réponse".encode()):
            assert client.get("/v1/videos", headers={"Authorization": wrong}).status_code in (200, 401)
            if wrong != "right":
                assert client.get("/v1/videos", headers={"Authorization": wrong}).status_code == 401
        assert client.get("/v1/videos", headers={"Authorization": "Bearer right"}).status_code == 200
        assert client.get("/?token=wrong").status_code == 401
        entered = client.get("/?token=right")
        assert (entered.status_code, entered.headers["location"]) == (303, "/")
        cookie = entered.headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=right")
        assert "httponly" in cookie.lower()
        assert "samesite=strict" in cookie.lower()
        # a video element sends the cookie that the page was given
        assert client.get("/v1/videos").status_code == 200
        assert client.get("/v1/videos", headers={"Host": "127.0.0.1:8420"}).status_code == 421


def test_bodies_are_bounded(client, video):
    huge = "x" * (2 * 2**20)
    answer = client.post(f"/v1/videos/{video}/ground", json={"queries": [huge]})
    assert answer.status_code == 413
    assert huge[:100] not in answer.text


def test_script_in_words_comes_back_as_words(client, video):
    words = "<img src=x onerror=alert(1)>"
    answer = client.post(f"/v1/videos/{video}/ground", json={"queries": [words]})
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["queries"][0]["query"] == words


def test_two_users_at_once_get_their_own_answers(client, video):
    from concurrent.futures import ThreadPoolExecutor

    def ask(word):
        return client.post(f"/v1/videos/{video}/ground", json={"queries": [word]}).json()["queries"][0][
            "query"
        ]

    words = [f"word {i}" for i in range(5)]
    with ThreadPoolExecutor(5) as pool:
        assert list(pool.map(ask, words)) == words
