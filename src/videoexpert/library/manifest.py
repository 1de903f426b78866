"""What a library knows of its videos, in one SQLite file that several processes may write.

A file is a path; a video is a content. Two paths of one content are one video, so a copy or a move costs no encoding.
A video counts for a reader when its shard is whole on disk and its row says so: both change in that order.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import DataError, WriteError
from ..files import make_folder, remote
from ..runtime import process_name, process_runs
from . import cues
from .cues import Text, Transcript

DATABASE = "library.sqlite"
VERSION = 2
READY, FAILED, WORKING = "ready", "failed", "working"
# how long a video stays claimed by a process of another machine that says nothing more
LEASE_S = 900.0
SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS encoders (id INTEGER PRIMARY KEY, fields TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS files (
    path TEXT PRIMARY KEY, content TEXT NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS files_content ON files (content);
CREATE TABLE IF NOT EXISTS videos (
    content TEXT NOT NULL, encoder INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT, duration REAL, frames INTEGER,
    bytes INTEGER, owner TEXT, since REAL NOT NULL, PRIMARY KEY (content, encoder));
CREATE TABLE IF NOT EXISTS faults (path TEXT PRIMARY KEY, reason TEXT NOT NULL);
"""


@dataclass(frozen=True)
class File:
    """A path and the file it named when it was looked at."""

    path: str
    content: str
    size: int
    mtime_ns: int


@dataclass(frozen=True)
class Video:
    """An indexed video; ``paths`` are the files that hold it, ``changed`` when (nanoseconds since 1970).

    ``duration`` seconds, ``frames`` embedded ones.
    """

    content: str
    paths: tuple[str, ...]
    changed: tuple[int, ...]
    duration: float
    frames: int
    bytes: int


class Manifest:
    """The tables of one library folder. Every method is one transaction; safe to use from several threads.

    Raises DataError for a folder that holds no library, or one of a newer version.
    """

    def __init__(self, folder: Path, *, create: bool = False) -> None:
        self.folder, self.file = folder, folder / DATABASE
        if not create and not self.file.is_file():
            raise DataError(f"{str(folder)!r} holds no library; make one with `videoexpert index`.")
        if create:
            make_folder(folder)
        self._lock = threading.RLock()
        try:
            self._db, self.writable = self._opened(create)
        except sqlite3.OperationalError as error:
            raise WriteError(self._unwritable(error)) from error
        except sqlite3.DatabaseError as error:
            raise DataError(
                f"{str(self.file)!r} is damaged ({error}); run `videoexpert library verify`."
            ) from error
        if self.writable:
            with self._change() as db:
                db.execute("INSERT OR IGNORE INTO meta VALUES ('version', ?)", (str(VERSION),))
        elif cues.is_old(self._db):
            raise DataError(
                f"{str(folder)!r} was made by an older videoexpert; open it once where it can be written, with "
                "`videoexpert library info`."
            )
        (found,) = self._rows("SELECT value FROM meta WHERE key = 'version'")[0]
        if int(found) > VERSION:
            raise DataError(
                f"{str(folder)!r} was made by a newer videoexpert (library version {found}); update this one."
            )

    def _opened(self, create: bool) -> tuple[sqlite3.Connection, bool]:
        """The file, and whether it may be written: a library on a full or read-only disk is still searched."""
        if not create and not (os.access(self.folder, os.W_OK) and os.access(self.file, os.W_OK)):
            return self._opened_to_read(), False
        db = sqlite3.connect(self.file, timeout=60, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            if cues.is_old(db):
                _move(db)
            db.executescript(SCHEMA + cues.SCHEMA)
        except sqlite3.OperationalError:
            db.close()
            if create:
                raise
            return self._opened_to_read(), False
        return db, True

    def _opened_to_read(self) -> sqlite3.Connection:
        """The file where nothing may be written beside it, so that there is no shared memory to read a log with.

        Raises DataError where a log is left over: it may hold what the file does not.
        """
        log = self.file.with_name(f"{DATABASE}-wal")
        if log.is_file() and log.stat().st_size:
            raise DataError(
                f"{str(self.folder)!r} cannot be written and was not closed ({log.name} is left over); "
                "open it once where it can be written, with `videoexpert library info`."
            )
        where = f"file:{quote(str(self.file.resolve()))}?mode=ro&immutable=1"
        return sqlite3.connect(where, uri=True, check_same_thread=False, isolation_level=None)

    def _unwritable(self, error: Exception) -> str:
        return (
            f"the library {str(self.folder)!r} cannot be written ({error}); free disk space or check the permissions, "
            "then run the same command again."
        )

    def close(self) -> None:
        """Release the file."""
        with self._lock:
            self._db.close()

    @contextmanager
    def _change(self) -> Iterator[sqlite3.Connection]:
        """One transaction that writes: all of it, or nothing. A full disk is a WriteError."""
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self._db
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise WriteError(self._unwritable(error)) from error
                raise

    def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    # ------------------------------------------------------------------ encoders

    def encoder(self, fields: dict[str, Any], *, add: bool = False) -> int:
        """The number of an encoder. Raises DataError for one that this library was not indexed with."""
        text = json.dumps(fields, sort_keys=True)
        if add:
            with self._change() as db:
                db.execute("INSERT OR IGNORE INTO encoders (fields) VALUES (?)", (text,))
        found = self._rows("SELECT id FROM encoders WHERE fields = ?", (text,))
        if not found:
            known = ", ".join(repr(one.get("name")) for one in self.encoders().values()) or "none"
            raise DataError(
                f"this library was not indexed with {fields.get('name')!r} (indexed with: {known}); "
                "search with that model, or index again with this one: both stay side by side."
            )
        return int(found[0][0])

    def encoders(self) -> dict[int, dict[str, Any]]:
        """Number -> fields of every encoder that indexed here."""
        return {i: json.loads(f) for i, f in self._rows("SELECT id, fields FROM encoders ORDER BY id")}

    # ------------------------------------------------------------------ files

    def files(self) -> dict[str, File]:
        """Every known path."""
        rows = self._rows("SELECT path, content, size, mtime_ns FROM files")
        return {path: File(path, content, size, mtime) for path, content, size, mtime in rows}

    def knows(self, path: str) -> bool:
        """Whether a path is one of the library's."""
        return bool(self._rows("SELECT 1 FROM files WHERE path = ?", (path,)))

    def put_files(self, files: Iterable[File]) -> None:
        """New or changed paths."""
        with self._change() as db:
            db.executemany(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)",
                [(f.path, f.content, f.size, f.mtime_ns) for f in files],
            )

    def forget_files(self, paths: Iterable[str]) -> None:
        """Deleted paths; their videos stay until ``gc`` unless another path holds them."""
        with self._change() as db:
            db.executemany("DELETE FROM files WHERE path = ?", [(path,) for path in paths])
            db.executemany("DELETE FROM faults WHERE path = ?", [(path,) for path in paths])

    def put_faults(self, reasons: Mapping[str, str], sound: Iterable[str]) -> None:
        """Why some paths are not in the library; ``sound`` paths have no fault of their own any more."""
        with self._change() as db:
            db.executemany("DELETE FROM faults WHERE path = ?", [(path,) for path in sound])
            db.executemany("INSERT OR REPLACE INTO faults VALUES (?, ?)", list(reasons.items()))

    def faults(self) -> dict[str, str]:
        """Path -> reason, of paths that could not be read and of videos that did not decode."""
        found = dict(self._rows("SELECT path, reason FROM faults"))
        rows = self._rows(
            "SELECT files.path, videos.reason FROM files JOIN videos USING (content) WHERE state = ?",
            (FAILED,),
        )
        return found | {path: reason for path, reason in rows}

    # ------------------------------------------------------------------ work

    def claim(self, encoder: int, left: deque[str], *, retry: bool = False) -> str | None:
        """Take the next content that nobody has indexed or works on, off ``left``; None if there is none.

        What needs no work goes off ``left``, too; what another process works on stays there. A claim of a process that
        is dead, or that has been silent for LEASE_S on another machine, is taken over.
        """
        others: list[str] = []
        try:
            with self._change() as db:
                while left:
                    content = left.popleft()
                    found = db.execute(
                        "SELECT state, owner, since FROM videos WHERE content = ? AND encoder = ?",
                        (content, encoder),
                    ).fetchone()
                    state, owner, since = found or (None, None, 0.0)
                    if state == WORKING and _holds(owner, since):
                        others.append(content)
                    elif state != READY and (state != FAILED or retry):
                        db.execute(
                            "INSERT OR REPLACE INTO videos (content, encoder, state, owner, since) "
                            "VALUES (?, ?, ?, ?, ?)",
                            (content, encoder, WORKING, process_name(), time.time()),
                        )
                        return content
            return None
        finally:
            left.extendleft(reversed(others))

    def finish(
        self,
        encoder: int,
        content: str,
        duration: float,
        frames: int,
        size: int,
        texts: Iterable[Text] = (),
        read: Iterable[Transcript] = (),
    ) -> None:
        """A video whose shard is on disk: its row and its words appear together; ``read`` are their files."""
        with self._change() as db:
            db.execute(
                "INSERT OR REPLACE INTO videos VALUES (?, ?, ?, NULL, ?, ?, ?, NULL, ?)",
                (content, encoder, READY, duration, frames, size, time.time()),
            )
            cues.replace(db, content, texts, read)

    def renew_transcripts(self, content: str, texts: Iterable[Text], read: Iterable[Transcript]) -> None:
        """What is said in an indexed video, anew; its captions stay."""
        with self._change() as db:
            cues.replace(db, content, texts, read, captions=False)

    def transcripts(self) -> dict[str, list[Transcript]]:
        """Content -> the files that its words were read from."""
        with self._lock:
            return cues.known_transcripts(self._db)

    def fail(self, encoder: int, content: str, reason: str) -> None:
        """A video that could not be indexed, with the sentence why."""
        with self._change() as db:
            db.execute(
                "INSERT OR REPLACE INTO videos (content, encoder, state, reason, since) VALUES (?, ?, ?, ?, ?)",
                (content, encoder, FAILED, reason, time.time()),
            )

    def release(self, encoder: int, content: str) -> None:
        """Give a claim back: somebody else may take it at once."""
        with self._change() as db:
            db.execute(
                "DELETE FROM videos WHERE content = ? AND encoder = ? AND state = ?",
                (content, encoder, WORKING),
            )

    # ------------------------------------------------------------------ reading

    def change(self) -> int:
        """A number that is another one after another process or object has changed the library."""
        return int(self._rows("PRAGMA data_version")[0][0])

    def videos(self, encoder: int) -> dict[str, Video]:
        """Content -> video, of those that are indexed and that some path holds, in the order of their content."""
        rows = self._rows(
            "SELECT content, path, mtime_ns, duration, frames, videos.bytes FROM videos JOIN files USING (content) "
            "WHERE encoder = ? AND state = ? ORDER BY content, path",
            (encoder, READY),
        )
        found: dict[str, Video] = {}
        for content, path, mtime_ns, duration, frames, size in rows:
            earlier = found.get(content)
            paths, changed = (earlier.paths, earlier.changed) if earlier else ((), ())
            found[content] = Video(content, (*paths, path), (*changed, mtime_ns), duration, frames, size)
        return found

    def ready(self) -> list[tuple[str, int]]:
        """(content, encoder) of every indexed video, held by a path or not."""
        return self._rows("SELECT content, encoder FROM videos WHERE state = ?", (READY,))

    def drop(self, content: str, encoder: int) -> None:
        """Forget an indexed video; its shard is the caller's to remove, afterwards."""
        with self._change() as db:
            db.execute("DELETE FROM videos WHERE content = ? AND encoder = ?", (content, encoder))
            left = db.execute("SELECT 1 FROM videos WHERE content = ?", (content,)).fetchone()
            if left is None:
                cues.replace(db, content, (), ())

    def search_texts(self, query: str, most: int = 200) -> list[tuple[Text, float]]:
        """Words like the query's with their score in (0, 1], best first; any of its words may match."""
        with self._lock:
            return cues.search(self._db, query, most)

    def texts(self, contents: Collection[str]) -> Iterator[Text]:
        """All words of these videos, by video and time."""
        rows = self._rows("SELECT content, kind, start, end, words FROM cues ORDER BY content, start, words")
        return (Text(*row) for row in rows if row[0] in contents)

    def check(self) -> str | None:
        """What SQLite finds wrong with the file; None where it is sound."""
        (found,) = self._rows("PRAGMA integrity_check")[0]
        return None if found == "ok" else str(found)


def _move(db: sqlite3.Connection) -> None:
    """A library of version 1 to this one: all of it, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        if cues.is_old(db):  # nobody else was faster
            cues.move(db)
            db.execute("UPDATE meta SET value = ? WHERE key = 'version'", (str(VERSION),))
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _holds(owner: str | None, since: float) -> bool:
    """Whether a claim is still somebody's."""
    runs = process_runs(owner or "")
    return runs if runs is not None else time.time() - since < LEASE_S


def real_path(path: str | os.PathLike[str]) -> str:
    """The path that a library knows a file by: absolute, links followed; of an address, its one spelling."""
    return remote.real_address(str(path)) if remote.is_address(path) else os.path.realpath(path)
