"""What comes in: uploads streamed, bounded and cleaned up; nothing outside the roots."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import urllib.request
import zipfile

import pytest
from starlette.testclient import TestClient

from apps.server.conftest import HOST, KnownBackend, KnownVideo, Running, wait_for
from hostile import dies
from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.intake import Intake, safe_name, sweep
from videoexpert.apps.server.state import State
from videoexpert.errors import VideoError
from videoexpert.video import read_frames, sandbox


def uploads(settings):
    return sorted(path.name for path in settings.uploads.iterdir())


def test_an_upload_is_a_video_under_a_random_name_and_goes_with_it(client, settings, clip):
    answer = client.post("/v1/uploads?name=my%20clip.mp4", content=clip.read_bytes())
    assert answer.status_code == 201, answer.text
    video = answer.json()
    assert (video["name"], video["uploaded"]) == ("my clip.mp4", True)
    (name,) = uploads(settings)
    assert "clip" not in name
    assert client.get(f"/v1/videos/{video['id']}/file").content == clip.read_bytes()
    assert client.delete(f"/v1/videos/{video['id']}").status_code == 204
    assert uploads(settings) == []
    assert client.get(f"/v1/videos/{video['id']}").status_code == 404


def test_the_file_comes_in_ranges(client, video, clip):
    part = client.get(f"/v1/videos/{video}/file", headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, clip.read_bytes()[10:20])
    beyond = client.get(f"/v1/videos/{video}/file", headers={"Range": "bytes=99999999-"})
    assert beyond.status_code == 416


def test_a_thumbnail_is_a_jpeg(client, video):
    picture = client.get(f"/v1/videos/{video}/thumbnail?t=1&width=64")
    assert picture.status_code == 200
    assert picture.content[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 422, "empty"),
        (b"this is no video", 422, "video"),
        (b"x" * 200_001, 413, "200000"),
    ],
)
def test_bad_uploads_leave_nothing(client, settings, body, status, words):
    answer = client.post("/v1/uploads?name=a.mp4", content=body)
    assert answer.status_code == status
    assert words in answer.json()["error"]
    assert uploads(settings) == []
    assert client.get("/v1/videos").json() == []


def test_an_upload_without_a_length_is_bounded_too(client, settings):
    def endless():
        for _ in range(50):
            yield b"x" * 10_000

    assert client.post("/v1/uploads", content=endless()).status_code == 413
    assert uploads(settings) == []


def test_a_full_disk_is_said(client, settings, clip, monkeypatch):
    monkeypatch.setattr(
        "shutil.disk_usage", lambda _: os.terminal_size((0, 0)) and type("D", (), {"free": 10})()
    )
    answer = client.post("/v1/uploads", content=clip.read_bytes())
    assert answer.status_code == 507
    assert uploads(settings) == []


def test_a_client_that_stalls_or_goes_away_leaves_nothing(settings):
    intake = Intake(settings, State(settings.state))

    async def stalls():
        yield b"x" * 100
        await asyncio.sleep(30)

    async def drips():
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    async def breaks():
        yield b"x" * 100
        raise ConnectionError

    with pytest.raises(VideoError, match=r"nothing came for 0\.5 s"):
        asyncio.run(intake.receive("a.mp4", None, stalls()))
    with pytest.raises(VideoError, match=r"fewer than 16384 bytes came in 0\.5 s"):
        asyncio.run(intake.receive("a.mp4", None, drips()))
    with pytest.raises(ConnectionError):
        asyncio.run(intake.receive("a.mp4", None, breaks()))
    assert uploads(settings) == []


def test_a_slow_client_of_a_real_server_holds_nobody_up(settings, backend):
    with Running(settings.state, backend, roots=settings.roots, stall_s=1.0) as server:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            head = f"POST /v1/uploads?name=a.mp4 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: 90000\r\n\r\n"
            slow.sendall(head.encode() + b"x" * 100)
            wait_for(lambda: len(uploads(settings)) == 1)
            # while it dawdles, another one is served
            with urllib.request.urlopen(f"{server.url}v1/info", timeout=60) as answer:
                assert answer.status == 200
            told = slow.recv(65536)
        assert b" 422 " in told.split(b"\r\n")[0]
        wait_for(lambda: uploads(settings) == [])


def ended(port, *parts):
    """What a client hears that sends these parts of a request and no more."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as slow:
        for part in parts:
            slow.sendall(part)
        told = b""
        while more := slow.recv(65536):
            told += more
        return told


def test_clients_that_never_finish_their_request_are_cut_off(settings, backend):
    with Running(settings.state, backend, roots=settings.roots, request_s=0.5) as server:
        port = int(server.url.rsplit(":", 1)[1].strip("/"))
        host = f"Host: 127.0.0.1:{port}\r\n".encode()
        whole = b"GET /healthz HTTP/1.1\r\n" + host + b"\r\n"
        assert ended(port).startswith(b"HTTP/1.1 408 ")
        assert ended(port, b"GET /v1/info HTTP/1.1\r\n", host, b"X-Slow: 1\r\n").startswith(b"HTTP/1.1 408 ")
        # the second request of a connection is bounded like the first
        both = ended(port, whole, b"GET ")
        assert (both[:13], both.count(b"HTTP/1.1 408 ")) == (b"HTTP/1.1 200 ", 1)
        body = b"POST /v1/videos HTTP/1.1\r\nContent-Length: 100\r\n" + host + b"\r\n{"
        assert ended(port, body) == b""
        with urllib.request.urlopen(f"{server.url}healthz", timeout=60) as answer:
            assert answer.status == 200


def test_an_archive_is_no_video_and_nothing_of_it_is_unpacked(client, settings, tmp_path):
    """Names that lead out of a folder, and a name a thousand times, as archives are made to."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("../../escaped.mp4", "/tmp/escaped.mp4", "a/" * 200 + "b.mp4", "C:\\escaped.mp4"):
            packed.writestr(name, b"x")
    before = sorted(path for path in tmp_path.rglob("*") if "sqlite" not in path.name)
    for name in ("a.mp4", "a.zip", "../../escaped.mp4"):
        answer = client.post("/v1/uploads", params={"name": name}, content=archive.getvalue())
        assert answer.status_code == 422
        assert str(tmp_path) not in answer.text
    assert sorted(path for path in tmp_path.rglob("*") if "sqlite" not in path.name) == before


def test_a_video_that_crashes_the_decoder_is_refused_and_the_server_lives(
    client, settings, clip, video, monkeypatch
):
    monkeypatch.setattr(sandbox, "_child", dies)
    answer = client.post("/v1/uploads?name=hostile.mp4", content=clip.read_bytes())
    assert (answer.status_code, uploads(settings)) == (422, [])
    assert "'hostile.mp4' makes the decoder fail" in answer.json()["error"]
    assert client.post("/v1/videos", json={"path": "sub/b.mp4"}).status_code == 422
    # one that falls only when it is looked at
    picture = client.get(f"/v1/videos/{video}/thumbnail?t=1")
    assert (picture.status_code, picture.json()["error"].split(";")[0]) == (
        422,
        "'a.mp4' makes the decoder fail",
    )
    body = {"task": "clip", "video": video, "arguments": {"start": 0, "end": 1}}
    job = client.post("/v1/jobs", json=body).json()["id"]
    wait_for(lambda: client.get(f"/v1/jobs/{job}").json()["state"] == "failed")
    assert "makes the decoder fail" in client.get(f"/v1/jobs/{job}").json()["error"]
    assert client.post(f"/v1/videos/{video}/ground", json={"queries": ["a"]}).status_code == 200


class ReadingBackend(KnownBackend):
    """Looks into the file when it is opened, and again when it is asked, as a cascade does."""

    def open(self, path, **_):
        class Asked(KnownVideo):
            def ground(self, queries, top_k=5):
                read_frames(path, 1, start_s=1.0, end_s=2.0)
                return super().ground(queries, top_k)

        read_frames(path, 2)
        return Asked(self, str(path))


def test_a_video_that_crashes_the_decoder_while_it_is_asked_about_fails_its_own_questions_only(
    settings, monkeypatch
):
    asked, dying = {"json": {"queries": ["a"]}}, "'a.mp4' makes the decoder fail"
    with TestClient(create_app(settings, ReadingBackend()), base_url=HOST) as client:
        a, b = (client.post("/v1/videos", json={"path": p}).json()["id"] for p in ("a.mp4", "sub/b.mp4"))
        assert client.post(f"/v1/videos/{b}/ground", **asked).status_code == 200
        with monkeypatch.context() as hostile:
            hostile.setattr(sandbox, "_child", dies)
            answers = [client.post(f"/v1/videos/{a}/ground", **asked)]  # as it is opened
            job = client.post(
                "/v1/jobs", json={"task": "ground", "video": a, "arguments": asked["json"]}
            ).json()
            wait_for(lambda: client.get(f"/v1/jobs/{job['id']}").json()["state"] == "failed")
            answers.append(client.post(f"/v1/videos/{b}/ground", **asked))  # as it is asked
            assert client.get(f"/v1/videos/{b}").status_code == 200
        assert [answer.status_code for answer in answers] == [422, 422]
        told = [answers[0].json()["error"], client.get(f"/v1/jobs/{job['id']}").json()["error"]]
        assert [sentence.partition(";")[0] for sentence in told] == [dying, dying]
        # the next children are sound
        assert client.post(f"/v1/videos/{a}/ground", **asked).json()["queries"][0]["moments"]
        assert client.post(f"/v1/videos/{b}/ground", **asked).status_code == 200


def test_what_a_killed_server_was_receiving_is_swept(settings):
    settings.uploads.mkdir(parents=True)
    (settings.uploads / "x.mp4.part").write_bytes(b"half")
    sweep(settings)
    assert uploads(settings) == []


@pytest.mark.parametrize(
    "path", ["../state/server.sqlite", "/etc/passwd", "sub/../../root2/a.mp4", "a\0.mp4"]
)
def test_nothing_outside_a_root_can_be_named(client, root, path):
    (root.parent / "root2").mkdir()
    (root.parent / "root2" / "a.mp4").write_bytes((root / "a.mp4").read_bytes())
    answer = client.post("/v1/videos", json={"path": path})
    assert answer.status_code == 422
    assert client.get("/v1/videos").json() == []
    assert client.get("/v1/roots/0", params={"path": ".."}).status_code == 422


def test_links_out_of_a_root_are_not_followed_and_not_listed(client, root, tmp_path, clip):
    (tmp_path / "private.mp4").write_bytes(clip.read_bytes())
    (root / "link.mp4").symlink_to(tmp_path / "private.mp4")
    (root / "folder").symlink_to(tmp_path)
    assert client.post("/v1/videos", json={"path": "link.mp4"}).status_code == 422
    assert client.post("/v1/videos", json={"path": "folder/private.mp4"}).status_code == 422
    listed = [entry["path"] for entry in client.get("/v1/roots/0").json()]
    assert listed == ["sub", "a.mp4"]


def test_a_registered_file_that_becomes_a_link_out_is_refused(client, root, video, tmp_path):
    (tmp_path / "secret.mp4").write_bytes(b"secret")
    (root / "a.mp4").unlink()
    (root / "a.mp4").symlink_to(tmp_path / "secret.mp4")
    answer = client.get(f"/v1/videos/{video}/file")
    assert answer.status_code == 422
    assert b"secret" not in answer.content.replace(b"secret.mp4", b"")


def test_other_files_of_a_root_are_no_videos(client):
    assert client.post("/v1/videos", json={"path": "notes.txt"}).status_code == 422
    assert client.post("/v1/videos", json={"path": "sub"}).status_code == 422
    assert client.post("/v1/videos", json={"root": 7, "path": "a.mp4"}).status_code == 422


def test_a_file_registered_twice_is_one_video(client, video):
    again = client.post("/v1/videos", json={"path": "sub/../a.mp4"}).json()
    assert again["id"] == video


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\videos\\a.mp4", "a.mp4"),
        ("<script>alert(1)</script>.mp4", "script>.mp4"),
        ("a\x1b[31m\u202e4pm.mp4", "a[31m4pm.mp4"),
        ("", "video"),
        ("猫 🐈.mp4", "猫 🐈.mp4"),
    ],
)
def test_names_are_made_safe_to_show(name, shown):
    assert safe_name(name) == shown


def test_long_names_keep_their_ending():
    assert len(safe_name("x" * 500 + ".mp4")) <= 120
    assert safe_name("x" * 500 + ".mp4").endswith("….mp4")
