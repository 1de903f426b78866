"""A server over a backend whose answers are known, and over the shipped model."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from videoexpert.apps.server.app import create_app
from videoexpert.apps.server.listening import listening
from videoexpert.apps.server.settings import ServerSettings
from videoexpert.errors import InputError
from videoexpert.testing import tiny_video
from videoexpert.types import Answer, Highlights, Moment, Moments

HOST = "http://127.0.0.1:8420"


class KnownVideo:
    """Answers that follow from the words: a query of n letters is seen from second n/10 on."""

    def __init__(self, backend: KnownBackend, path: str) -> None:
        self.backend, self.path, self.duration, self.start = backend, path, 4.0, 0.0
        self.familiarity = backend.familiarity

    def ground(self, queries: Any, top_k: int | None = 5) -> Any:
        self.backend.passes.append(list(queries))
        self.backend.gate.wait(60)
        if any(query == "fails" for query in queries):
            raise InputError("this sentence cannot be asked.")
        if any(query == "breaks" for query in queries):
            raise RuntimeError("secret/path/of/the/server")
        return [known(query) for query in queries]

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        return Highlights(query, (0.0, 2.0), (0.25, 0.75), known(query).items, clip_s)

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        self.backend.gate.wait(60)
        return [Moment(0.5, 1.0, 0.9, text="it <b>moves</b>")]

    def ask(self, question: str, choices: Any = None, max_new_tokens: int = 128) -> Answer:
        given, proof = tuple(choices or ()), (Moment(0, 1),)
        if not given:
            return Answer(question, "yes", None, proof)
        # a chat model names its choice and scores none
        scores = () if question == "named?" else (0.7, 0.3)
        return Answer(question, given[0], 0, proof, scores, choices=given)


def known(query: str) -> Moments:
    """One moment; of a query that begins with "absent" only a guess."""
    start, absent = min(len(query) / 10, 3.0), query.startswith("absent")
    return Moments(query, (Moment(start, start + 0.5, 0.8),), 0.12 if absent else 0.9, absent, (0.1, 0.9))


class KnownBackend:
    """``gate`` closed holds answers back; ``passes`` lists the queries of each pass."""

    name = "known"
    can = frozenset({"ground", "highlight", "caption", "ask"})
    familiarity: float | None = None  # of every video

    def __init__(self) -> None:
        self.passes: list[list[str]] = []
        self.opened: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def describe(self) -> dict[str, Any]:
        return {"model": self.name}

    def open(self, path: Any, **_: Any) -> KnownVideo:
        self.opened.append(str(path))
        return KnownVideo(self, str(path))


class LongBackend(KnownBackend):
    """Looks at an hour in windows of ten minutes; ``gate`` closed holds it before the fourth."""

    def open_long(self, path, *, progress=None, **_):
        for done in range(1, 7):
            if done == 4:
                self.gate.wait(60)
            progress(600.0 * done, 3600.0)
        found = self.open(path)
        found.duration = 3600.0
        return found


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("clip") / "clip.mp4")


@pytest.fixture
def backend() -> KnownBackend:
    return KnownBackend()


@pytest.fixture
def root(tmp_path: Path, clip: Path) -> Path:
    folder = tmp_path / "root"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    (folder / "sub" / "b.mp4").write_bytes(clip.read_bytes())
    (folder / "notes.txt").write_text("private")
    return folder


@pytest.fixture
def settings(tmp_path: Path, root: Path) -> ServerSettings:
    return ServerSettings(tmp_path / "state", (root,), max_queue=6, max_upload_bytes=200_000, stall_s=0.5)


@pytest.fixture
def client(settings: ServerSettings, backend: KnownBackend) -> Iterator[TestClient]:
    with TestClient(create_app(settings, backend), base_url=HOST, raise_server_exceptions=False) as made:
        yield made


@pytest.fixture
def video(client: TestClient) -> str:
    """Id of a registered video."""
    answer = client.post("/v1/videos", json={"path": "a.mp4"})
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def wait_for(holds: Any, seconds: float = 60.0) -> None:
    """Until it holds; fails after ``seconds``."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it never came to be"
        time.sleep(0.01)


class Running:
    """A real server on a free port, in a thread."""

    def __init__(self, state: Path, backend: Any, **settings: Any) -> None:
        import uvicorn

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.settings = ServerSettings(state, port=port, **settings)
        self.app = create_app(self.settings, backend)
        quick = {"log_level": "error", "timeout_graceful_shutdown": 1}
        config = uvicorn.Config(self.app, **listening(self.settings) | quick)
        self.server = uvicorn.Server(config)
        self.url = f"http://127.0.0.1:{port}/"
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> Running:
        self.thread.start()
        while not self.server.started:
            time.sleep(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
