"""How videos come in: files under a registered root, and uploads. Nothing else on the disk can be reached."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import unicodedata
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ... import files
from ...annotations.videos import VIDEO_SUFFIXES, is_video
from ...errors import InputError, VideoError
from ...video.probe import probe_safely
from ..known import knows
from .settings import ServerSettings
from .state import State, StoredVideo, new_id

T = TypeVar("T")
PART = ".part"
# Files that are looked into at once, each in a child process of its own.
LOOKERS = 2
LONGEST_NAME = 120
# Bytes that come within ``stall_s`` at least: half a kilobyte a second by default.
LEAST = 16 * 1024


class TooLargeError(InputError):
    """An upload beyond the limit."""


class NoSpaceError(VideoError):
    """The disk has no room for an upload."""


@dataclass(frozen=True)
class Entry:
    """A folder or a video under a root; ``path`` is relative to it, with forward slashes."""

    path: str
    is_folder: bool
    size: int


class Intake:
    """Registers videos. A file is looked into in a child process first: a hostile one kills the child only."""

    def __init__(self, settings: ServerSettings, state: State) -> None:
        self.settings, self.state = settings, state
        self._lookers = ThreadPoolExecutor(LOOKERS, thread_name_prefix="videoexpert-intake")
        files.make_folder(settings.uploads)

    async def aside(self, work: Callable[..., T], *arguments: Any, **options: Any) -> T:
        """What work on a file gives, done by one of LOOKERS threads: files that take long hold up no other request."""
        return await asyncio.get_running_loop().run_in_executor(
            self._lookers, partial(work, *arguments, **options)
        )

    def close(self) -> None:
        """Take nothing in any more."""
        self._lookers.shutdown(cancel_futures=True)

    # ------------------------------------------------------------------ roots

    def resolve(self, root: int, path: str) -> Path:
        """The real path of something under a root. Raises InputError for anything that leads out of it."""
        if not 0 <= root < len(self.settings.roots):
            raise InputError(f"there is no root {root}; GET /v1/roots lists them.")
        base = self.settings.roots[root].resolve()
        if "\0" in path:
            raise InputError("a path holds no NUL character.")
        found = (base / path).resolve()
        if not found.is_relative_to(base):
            raise InputError("this path leads out of its root; name a file inside it.")
        return found

    def entries(self, root: int, path: str = "") -> list[Entry]:
        """Folders and videos right under a folder of a root, folders first."""
        base = self.settings.roots[root].resolve() if 0 <= root < len(self.settings.roots) else None
        folder = self.resolve(root, path)
        if base is None or not folder.is_dir():
            raise InputError("there is no such folder under this root.")
        found = []
        with os.scandir(folder) as listing:
            for item in listing:
                target = Path(item.path).resolve()
                if item.name.startswith(".") or not target.is_relative_to(base):
                    continue
                relative = Path(item.path).relative_to(base).as_posix()
                if target.is_dir():
                    found.append(Entry(relative, True, 0))
                elif is_video(target):
                    found.append(Entry(relative, False, target.stat().st_size))
        return sorted(found, key=lambda entry: (not entry.is_folder, entry.path))

    def register(self, root: int, path: str) -> StoredVideo:
        """A video under a root. Raises InputError for no such video, VideoError for one that does not decode."""
        file = self.resolve(root, path)
        if not is_video(file):
            raise InputError("there is no such video under this root.")
        info = probe_safely(file, timeout_s=self.settings.decode_s, name=safe_name(file.name))
        return self.state.add_video(file, safe_name(path), info.duration_s, 0.0)

    def admit(self, file: Path) -> StoredVideo:
        """The one video that was named when the server was started."""
        info = probe_safely(file, timeout_s=self.settings.decode_s, name=safe_name(file.name))
        return self.state.add_video(file.resolve(), safe_name(file.name), info.duration_s, 0.0)

    def file_of(self, video: StoredVideo) -> Path:
        """Path of a registered video. Raises VideoError if it no longer exists or a link leads elsewhere."""
        file = video.path.resolve()
        homes = [self.settings.uploads.resolve(), *(root.resolve() for root in self.settings.roots)]
        named = self.settings.opened is not None and file == self.settings.opened.resolve()
        named = named or (self.settings.library is not None and knows(self.settings.library, file))
        if not named and not any(file.is_relative_to(home) for home in homes):
            raise VideoError(f"{video.name!r} is no longer under a folder that this server may read.")
        if not file.is_file():
            raise VideoError(f"{video.name!r} is gone; register or upload it again.")
        return file

    # ------------------------------------------------------------------ uploads

    async def receive(self, name: str, size: int | None, chunks: AsyncIterator[bytes]) -> StoredVideo:
        """Stream an upload to disk under a random name, look into it, register it.

        ``size`` is what the client announced. Raises TooLargeError, NoSpaceError, VideoError for a file that does
        not decode or a client that stalls; nothing of a failed upload stays.
        """
        limit, shown = self.settings.max_upload_bytes, safe_name(name)
        if size is not None and size > limit:
            raise TooLargeError(f"the upload has {size} bytes, at most {limit} are taken (--max-upload).")
        self.check_room(size or 0, "this upload")
        suffix = Path(shown).suffix.lower()
        target = self.settings.uploads / f"{new_id()}{suffix if suffix in VIDEO_SUFFIXES else '.mp4'}"
        part = target.with_name(target.name + PART)
        try:
            await self._write(part, chunks, limit)
            info = await self.aside(probe_safely, part, timeout_s=self.settings.decode_s, name=shown)
            part.rename(target)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return self.state.add_video(target, shown, info.duration_s, 0.0, uploaded=True)

    def check_room(self, size: int, what: str) -> None:
        """Raises NoSpaceError where the disk has less than ``size`` bytes to spare."""
        free = shutil.disk_usage(self.settings.state).free - self.settings.spare_bytes
        if free < size or free <= 0:
            raise NoSpaceError(f"the disk of the server has no room for {what}; free some and try again.")

    async def _write(self, part: Path, chunks: AsyncIterator[bytes], limit: int) -> None:
        received, source = 0, aiter(chunks)
        clock = asyncio.get_running_loop().time
        since, before = clock(), 0
        with part.open("xb") as file:
            while True:
                try:
                    chunk = await asyncio.wait_for(anext(source), self.settings.stall_s)
                except StopAsyncIteration:
                    break
                except TimeoutError:
                    raise VideoError(
                        f"nothing came for {self.settings.stall_s:g} s; the upload was dropped."
                    ) from None
                received += len(chunk)
                # a byte now and then is no upload either
                if clock() - since >= self.settings.stall_s:
                    if received - before < LEAST:
                        raise VideoError(
                            f"fewer than {LEAST} bytes came in {self.settings.stall_s:g} s; the upload was dropped."
                        )
                    since, before = clock(), received
                if received > limit:
                    raise TooLargeError(f"the upload exceeds {limit} bytes (--max-upload).")
                await asyncio.to_thread(file.write, chunk)
        if not received:
            raise InputError("the upload is empty; send the bytes of a video as the body.")

    def forget(self, video: StoredVideo) -> None:
        """Take a video off the list; the file of an upload is deleted, others stay where they are."""
        self.state.remove_video(video.id)
        if video.uploaded:
            video.path.unlink(missing_ok=True)


def sweep(settings: ServerSettings) -> None:
    """Delete what a killed server was receiving; only while no other one receives there."""
    for part in settings.uploads.glob(f"*{PART}"):
        part.unlink(missing_ok=True)


def safe_name(name: str) -> str:
    """What people are shown of a client's file name: its last part, without control characters or direction marks."""
    last = re.split(r"[\\/]", name)[-1]
    plain = "".join(c for c in last if unicodedata.category(c)[0] != "C").strip()
    if len(plain) > LONGEST_NAME:
        stem, dot, suffix = plain.rpartition(".")
        plain = f"{stem[: LONGEST_NAME - 10]}…{dot}{suffix[:8]}" if dot else plain[:LONGEST_NAME]
    return plain or "video"
