"""Folders -> the videos in them, and a reason for everything else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..annotations.videos import is_video
from ..errors import InputError
from . import transcripts
from .manifest import real_path


@dataclass
class Found:
    """What lies under some folders.

    videos   real paths, each once
    faults   what could not be looked at, with the reason
    skipped  files that are not videos, with the reason
    """

    videos: list[str] = field(default_factory=list)
    faults: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def scan(folders: Sequence[str | os.PathLike[str]]) -> Found:
    """All files under folders; single files count as videos. Links are followed, but no folder twice.

    Raises InputError for a name that does not exist.
    """
    found = Found()
    seen: set[str] = set()
    for folder in folders:
        if os.path.isfile(folder):
            found.videos += _named([real_path(folder)], found)
        elif os.path.isdir(folder):
            found.videos += _named(_walk(real_path(folder), seen, found), found)
        else:
            raise InputError(f"there is no file or folder {os.fspath(folder)!r} to index.")
    found.videos = sorted(set(found.videos))
    for transcript in transcripts.of_videos(found.skipped, found.videos):
        del found.skipped[transcript]
    return found


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
    if file.suffix.lower() in transcripts.SUFFIXES:
        return "no video has its name"
    return "not a video"
