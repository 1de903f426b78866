"""Maintenance of a library: verify it, remove videos, free the space of deleted ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError
from .manifest import Manifest, real_path
from .shards import FOLDER, read_shard, shard_path
from .snapshot import FOLDER as VECTORS
from .snapshot import open_snapshot

# videos that are compared with all others at a time
BLOCK = 512


@dataclass(frozen=True)
class LibraryInfo:
    """Numbers of a library; ``bytes`` of its shards, ``hours`` of video."""

    videos: int
    files: int
    hours: float
    frames: int
    bytes: int
    encoders: list[dict[str, Any]]
    failed: dict[str, str]


def info(folder: Path) -> LibraryInfo:
    """What a library holds. Raises DataError for a folder that holds none."""
    manifest = Manifest(folder)
    per = [manifest.videos(number) for number in manifest.encoders()]
    videos = {content: video for found in per for content, video in found.items()}
    report = LibraryInfo(
        len(videos),
        len(manifest.files()),
        sum(video.duration for video in videos.values()) / 3600,
        sum(video.frames for found in per for video in found.values()),
        sum(video.bytes for found in per for video in found.values()),
        list(manifest.encoders().values()),
        manifest.faults(),
    )
    manifest.close()
    return report


def verify(folder: Path, *, repair: bool = False) -> list[str]:
    """What is wrong, a sentence each; with ``repair`` a damaged shard's video is taken off, to be indexed again."""
    manifest = Manifest(folder)
    damage = manifest.check()
    found = [] if damage is None else [f"the manifest is damaged: {damage}"]
    for content, encoder in manifest.ready():
        try:
            read_shard(shard_path(folder, content, encoder))
        except DataError as error:
            found.append(str(error))
            if repair:
                manifest.drop(content, encoder)
    manifest.close()
    return found


def remove(folder: Path, paths: list[str]) -> int:
    """Take files off the library; the videos on disk stay. Returns how many were in it."""
    manifest = Manifest(folder)
    known = set(manifest.files())
    gone = [real_path(path) for path in paths if real_path(path) in known]
    manifest.forget_files(gone)
    manifest.close()
    return len(gone)


def gc(folder: Path) -> int:
    """Delete shards of videos that no file holds any more, and stray files. Returns the bytes given back."""
    manifest = Manifest(folder)
    held = {file.content for file in manifest.files().values()}
    freed = 0
    for content, encoder in manifest.ready():
        if content not in held:
            manifest.drop(content, encoder)
    wanted = {shard_path(folder, content, encoder) for content, encoder in manifest.ready()}
    for file in sorted((folder / FOLDER).rglob("*.safetensors")):
        # an indexer writes under another name first: a whole shard without a row is one that was killed in between
        if file not in wanted and not file.name.startswith("."):
            freed += file.stat().st_size
            file.unlink(missing_ok=True)
    for number in manifest.encoders():
        for file in (folder / VECTORS).glob(f"{number}-*"):
            freed += file.stat().st_size
            file.unlink(missing_ok=True)
    manifest.close()
    return freed


def duplicates(folder: Path, encoder: int, width: int, least: float = 0.995) -> list[list[str]]:
    """Groups of paths that hold the same video, or videos whose mean frames have a cosine above ``least``."""
    manifest = Manifest(folder)
    videos = manifest.videos(encoder)
    snapshot = open_snapshot(folder, encoder, videos, width)
    contents = list(snapshot.spans)
    groups: dict[str, list[str]] = {}
    for first in range(0, len(contents), BLOCK):
        # each with those before it: joined to the group of the earliest that it is like
        block = contents[first : first + BLOCK]
        for content, likes in zip(
            block, snapshot.likeness(block, contents[: first + BLOCK]) > least, strict=True
        ):
            owner = next((contents[i] for i in np.flatnonzero(likes) if contents[i] in groups), content)
            groups.setdefault(owner, []).append(content)
    manifest.close()
    named = [[path for content in group for path in videos[content].paths] for group in groups.values()]
    return [group for group in named if len(group) > 1]
