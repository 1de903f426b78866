"""Folders -> the videos in them, and a reason for everything else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..annotations.videos import is_stored_video, is_video
from ..errors import InputError
from ..files import remote
from . import transcripts
from .cues import Transcript
from .manifest import real_path


@dataclass
class Found:
    """What lies under some folders.

    videos       real paths and addresses, each once
    stamps       size and time of the last change (nanoseconds) of each address: a store lists them, too
    transcripts  those beside each video
    faults       what could not be looked at, with the reason
    skipped      files that are not videos, with the reason
    """

    videos: list[str] = field(default_factory=list)
    stamps: dict[str, tuple[int, int]] = field(default_factory=dict)
    transcripts: dict[str, list[Transcript]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def scan(folders: Sequence[str | os.PathLike[str]]) -> Found:
    """All files under folders; single files count as videos. Links are followed, but no folder twice.

    Raises InputError for a name that does not exist, or an address of anything but an object store.
    """
    found = Found()
    seen: set[str] = set()
    for folder in folders:
        if remote.is_address(folder):
            _stored(str(folder), found)
        elif os.path.isfile(folder):
            found.videos += _named([real_path(folder)], found)
        elif os.path.isdir(folder):
            found.videos += _named(_walk(real_path(folder), seen, found), found)
        else:
            raise InputError(f"there is no file or folder {os.fspath(folder)!r} to index.")
    found.videos = sorted(set(found.videos))
    _hear(found, folders)
    return found


def _hear(found: Found, folders: Sequence[str | os.PathLike[str]]) -> None:
    """Transcripts: of folders they were met on the way, of single files they lie beside."""
    single = {real_path(folder) for folder in folders} & set(found.videos)
    for video in single:
        found.transcripts[video] = transcripts.beside(video)
    for file, videos in transcripts.of_videos(found.skipped, found.videos).items():
        del found.skipped[file]
        for video in videos:
            if video not in single:
                size, changed = found.stamps.get(file) or _stamp(file)
                found.transcripts.setdefault(video, []).append(Transcript(file, size, changed))
    for own in found.transcripts.values():
        own.sort(key=lambda one: one.path)


def _stamp(file: str) -> tuple[int, int]:
    stat = os.stat(file)
    return stat.st_size, stat.st_mtime_ns


def _stored(address: str, found: Found) -> None:
    """What an object store has below an address."""
    try:
        entries = remote.listing(address)
    except OSError as error:
        found.faults[address] = str(error)
        return
    base = remote.real_address(address)
    for entry in entries:
        name = entry.address.rpartition("/")[2]
        found.stamps[entry.address] = entry.size, entry.changed
        if any(part.startswith(".") for part in entry.address[len(base) :].split("/")):
            found.skipped[entry.address] = "hidden"
        elif entry.address == base or is_stored_video(entry):
            found.videos.append(entry.address)
        else:
            found.skipped[entry.address] = _why_named(name)


def under(folders: Iterable[str | os.PathLike[str]]) -> Callable[[str], bool]:
    """Whether a known path is one of these, or lies below one."""
    roots = [real_path(folder) for folder in folders]
    return lambda path: any(
        path == root or path.startswith(root + ("/" if remote.is_address(root) else os.sep)) for root in roots
    )


def _named(paths: Iterable[str], found: Found) -> Iterator[str]:
    """Paths whose names are text; others (of another encoding) are faults."""
    for path in paths:
        plain = _plain(path)
        if plain == path:
            yield path
        else:
            found.faults[plain] = "its name is not UTF-8; rename it."


def _walk(folder: str, seen: set[str], found: Found) -> Iterator[str]:
    seen.add(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        found.faults[_plain(folder)] = f"the folder cannot be read ({error.strerror})."
        return
    for entry in entries:
        target = real_path(entry.path)
        shown = _plain(entry.path)
        if entry.name.startswith("."):
            found.skipped[shown] = "hidden"
        elif os.path.isdir(target):
            if target in seen:
                found.skipped[shown] = "a link to a folder that is looked at elsewhere"
            else:
                yield from _walk(target, seen, found)
        elif is_video(Path(target)):
            yield target
        else:
            found.skipped[shown] = _why(Path(target))


def _plain(path: str) -> str:
    """A path as text that can be stored and printed, whatever bytes it has."""
    return os.fsencode(path).decode("utf-8", "replace")


def _why(file: Path) -> str:
    """Why something is not taken for a video."""
    if not os.path.lexists(file):
        return "a link to nothing"
    if file.is_symlink():
        return "a link to itself"
    if not file.is_file():
        return "no regular file"
    return _why_named(file.name)


def _why_named(name: str) -> str:
    return "no video has its name" if name.lower().endswith(transcripts.SUFFIXES) else "not a video"
