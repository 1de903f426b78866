"""Videos and jobs of a server in one SQLite file, which survives a restart."""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ... import files

SCHEMA = """
CREATE TABLE IF NOT EXISTS videos (
    id TEXT PRIMARY KEY, path TEXT NOT NULL UNIQUE, name TEXT NOT NULL, uploaded INTEGER NOT NULL,
    duration REAL NOT NULL, start REAL NOT NULL, size INTEGER NOT NULL, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, video TEXT NOT NULL, arguments TEXT NOT NULL, state TEXT NOT NULL,
    result TEXT, error TEXT, created REAL NOT NULL);
CREATE TABLE IF NOT EXISTS events (
    job TEXT NOT NULL, number INTEGER NOT NULL, kind TEXT NOT NULL, data TEXT NOT NULL, PRIMARY KEY (job, number));
CREATE TABLE IF NOT EXISTS owners (job TEXT PRIMARY KEY, owner TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS beats (owner TEXT PRIMARY KEY, at REAL NOT NULL);
"""
QUEUED, RUNNING, DONE, FAILED, CANCELLED = "queued", "running", "done", "failed", "cancelled"
ENDED = frozenset({DONE, FAILED, CANCELLED})
# ended jobs that are remembered
KEPT_JOBS = 1000


@dataclass(frozen=True)
class StoredVideo:
    """A registered video; ``name`` is what people see, ``path`` never leaves the server. Times are seconds."""

    id: str
    path: Path
    name: str
    uploaded: bool
    duration: float
    start: float
    size: int

    def to_json(self) -> dict[str, Any]:
        """The fields that clients see."""
        return {
            "id": self.id,
            "name": self.name,
            "duration": round(self.duration, 3),
            "start": round(self.start, 3),
            "size": self.size,
            "uploaded": self.uploaded,
        }


@dataclass(frozen=True)
class StoredJob:
    """A job with its state; ``result`` once it is done, ``error`` once it failed."""

    id: str
    task: str
    video: str
    arguments: dict[str, Any]
    state: str
    result: Any
    error: str | None

    def to_json(self) -> dict[str, Any]:
        """The fields that clients see."""
        document = {"id": self.id, "task": self.task, "video": self.video, "state": self.state}
        if self.result is not None:
            document["result"] = self.result
        return document | ({} if self.error is None else {"error": self.error})


def new_id() -> str:
    """An opaque name that cannot be guessed."""
    return secrets.token_urlsafe(12)


class State:
    """The registry. Every method is one transaction; safe to call from several threads."""

    def __init__(self, folder: Path) -> None:
        files.make_folder(folder)
        self._lock = threading.Lock()
        self._db = sqlite3.connect(folder / "server.sqlite", check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()

    def _do(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # ------------------------------------------------------------------ videos

    def add_video(
        self, path: Path, name: str, duration: float, start: float, uploaded: bool = False
    ) -> StoredVideo:
        """Register a file; one that is registered keeps its id."""
        size = path.stat().st_size
        self._do(
            "INSERT INTO videos VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (path) DO UPDATE SET "
            "duration = excluded.duration, start = excluded.start, size = excluded.size",
            (new_id(), str(path), name, int(uploaded), duration, start, size, time.time()),
        )
        (row,) = self._do("SELECT id FROM videos WHERE path = ?", (str(path),))
        found = self.video(row[0])
        assert found is not None
        return found

    def video(self, video_id: str) -> StoredVideo | None:
        """The video of that id."""
        found = self._videos("WHERE id = ?", (video_id,))
        return found[0] if found else None

    def videos(self) -> list[StoredVideo]:
        """All, newest first."""
        return self._videos("ORDER BY created DESC, id", ())

    def _videos(self, where: str, values: Sequence[Any]) -> list[StoredVideo]:
        rows = self._do(f"SELECT id, path, name, uploaded, duration, start, size FROM videos {where}", values)
        return [StoredVideo(i, Path(p), n, bool(u), d, s, z) for i, p, n, u, d, s, z in rows]

    def remove_video(self, video_id: str) -> None:
        """Forget a video; its file is the caller's business."""
        self._do("DELETE FROM videos WHERE id = ?", (video_id,))

    # ------------------------------------------------------------------ jobs

    def add_job(self, task: str, video: str, arguments: dict[str, Any], owner: str) -> StoredJob:
        """A queued job of one server. The oldest ended ones are forgotten beyond KEPT_JOBS."""
        job_id = new_id()
        with self._lock:
            self._db.execute(
                "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, NULL, NULL, ?)",
                (job_id, task, video, json.dumps(arguments), QUEUED, time.time()),
            )
            self._db.execute("INSERT INTO owners VALUES (?, ?)", (job_id, owner))
            self._db.execute(
                "DELETE FROM jobs WHERE state IN ('done', 'failed', 'cancelled') AND id NOT IN "
                "(SELECT id FROM jobs ORDER BY created DESC LIMIT ?)",
                (KEPT_JOBS,),
            )
            for table in ("events", "owners"):
                self._db.execute(f"DELETE FROM {table} WHERE job NOT IN (SELECT id FROM jobs)")
        self.add_event(job_id, QUEUED, {})
        found = self.job(job_id)
        assert found is not None
        return found

    def job(self, job_id: str) -> StoredJob | None:
        """The job of that id."""
        found = self._jobs("WHERE id = ?", (job_id,))
        return found[0] if found else None

    def take_over(self, owner: str, quiet_s: float) -> list[StoredJob]:
        """Unfinished jobs of servers that have not called this for so long, oldest first; they are ``owner``'s now."""
        now = time.time()
        with self._lock:
            self._db.execute(
                "INSERT INTO beats VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET at = excluded.at",
                (owner, now),
            )
            left = self._db.execute(
                "SELECT id FROM jobs LEFT JOIN owners ON owners.job = jobs.id LEFT JOIN beats USING (owner) "
                "WHERE state IN ('queued', 'running') AND owner IS NOT ? AND COALESCE(at, 0) <= ? ORDER BY created",
                (owner, now - quiet_s),
            ).fetchall()
            self._db.executemany(
                "INSERT INTO owners VALUES (?, ?) ON CONFLICT (job) DO UPDATE SET owner = excluded.owner",
                [(job, owner) for (job,) in left],
            )
            self._db.execute(
                "DELETE FROM beats WHERE at < ? AND owner NOT IN (SELECT owner FROM owners)", (now - quiet_s,)
            )
        return [found for (job,) in left if (found := self.job(job)) is not None]

    def _jobs(self, where: str, values: Sequence[Any]) -> list[StoredJob]:
        rows = self._do(f"SELECT id, task, video, arguments, state, result, error FROM jobs {where}", values)
        return [
            StoredJob(i, t, v, json.loads(a), s, None if r is None else json.loads(r), e)
            for i, t, v, a, s, r, e in rows
        ]

    def set_job(self, job_id: str, state: str, result: Any = None, error: str | None = None) -> bool:
        """Move a job on and notify its listeners; False if it has already ended."""
        told = None if result is None else json.dumps(result)
        with self._lock:
            changed = self._db.execute(
                "UPDATE jobs SET state = ?, result = ?, error = ? WHERE id = ? "
                "AND state NOT IN ('done', 'failed', 'cancelled')",
                (state, told, error, job_id),
            ).rowcount
        if changed:
            self.add_event(job_id, state, {} if error is None else {"error": error})
        return bool(changed)

    def add_progress(self, job_id: str, data: dict[str, Any]) -> bool:
        """Tell a job's listeners how far it is; False where it has already ended."""
        (row,) = self._do("SELECT state FROM jobs WHERE id = ?", (job_id,)) or [(CANCELLED,)]
        if row[0] in ENDED:
            return False
        self.add_event(job_id, "progress", data)
        return True

    def add_event(self, job_id: str, kind: str, data: dict[str, Any]) -> None:
        """One more line of a job's story."""
        self._do(
            "INSERT INTO events SELECT ?, COALESCE(MAX(number), 0) + 1, ?, ? FROM events WHERE job = ?",
            (job_id, kind, json.dumps(data), job_id),
        )

    def events(self, job_id: str, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
        """(number, kind, data) of what came after that number."""
        rows = self._do(
            "SELECT number, kind, data FROM events WHERE job = ? AND number > ? ORDER BY number",
            (job_id, after),
        )
        return [(number, kind, json.loads(data)) for number, kind, data in rows]
