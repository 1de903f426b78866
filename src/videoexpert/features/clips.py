"""What is encoded: videos of a folder or of an object store, and the parts of them that annotations speak of."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..annotations.readers import read
from ..annotations.videos import VideoFolder, is_stored_video, is_video
from ..errors import InputError, VideoError
from ..files import remote
from .store import video_key


@dataclass(frozen=True)
class Clip:
    """A video to encode, or its part from ``start_s`` to ``end_s``, and the key under which it is found.

    ``path`` may be an address (files/remote.py). ``refused`` gives the reason if there is no file to read.
    """

    key: str
    path: Path | str
    start_s: float | None = None
    end_s: float | None = None
    refused: str = ""


def clips_of(
    videos: str | os.PathLike[str],
    annotations: str | os.PathLike[str] | None = None,
    benchmark: str | None = None,
    split: str | None = None,
) -> list[Clip]:
    """What to encode: a video, all videos under a folder or an address, or those in it that annotations speak of.

    Keys are the annotations' ids (without the ending where they name the file), with the part for samples
    about a part; without annotations, file stems. A video that is missing stands in the list, to fail when
    it is read. Raises InputError for annotations without their benchmark, DataError for unreadable ones,
    VideoError for a folder without videos.
    """
    root = Path(videos)
    if (annotations is None) != (benchmark is None):
        raise InputError("annotations and their benchmark belong together, got only one of them.")
    if split is not None and annotations is None:
        raise InputError(f"the split is {split!r} but there are no annotations, expected both.")
    if remote.is_address(videos):
        return _stored_clips(str(videos), annotations)
    if annotations is None or benchmark is None:
        files = [root]
        if root.is_dir():
            files = [f for f in sorted(root.rglob("*")) if is_video(f)]
        if not files:
            raise VideoError(f"the folder {str(root)!r} holds no video, expected some: check the path.")
        return [Clip(file.stem, file) for file in files]
    folder = VideoFolder(root)
    clips: dict[str, Clip] = {}
    for sample in read(benchmark, annotations, split=split):
        name, refused = sample.video, ""
        try:
            file = folder.require(sample.video)
            name = name.removesuffix(file.suffix)
        except VideoError as error:
            file, refused = root, str(error)
        key = video_key(name, sample.clip)
        start_s, end_s = sample.clip or (None, None)
        clips.setdefault(key, Clip(key, file, start_s, end_s, refused))
    return list(clips.values())


def _stored_clips(address: str, annotations: str | os.PathLike[str] | None) -> list[Clip]:
    if annotations is not None:
        raise InputError(f"annotations go with a folder of videos on a disk, got the address {address!r}.")
    try:
        entries = remote.listing(address)
    except OSError as error:
        raise VideoError(str(error)) from error
    base = remote.real_address(address)
    found = [one.address for one in entries if one.address == base or is_stored_video(one)]
    if not found:
        raise VideoError(f"{address!r} holds no video, expected some: check the address.")
    return [Clip(PurePosixPath(video).stem, video) for video in found]


def check_keys(clips: Iterable[Clip]) -> None:
    """Raises InputError where two clips have one key: a store could keep only one of them."""
    seen: dict[str, Clip] = {}
    for clip in clips:
        other = seen.setdefault(clip.key, clip)
        if other is not clip:
            raise InputError(
                f"{str(other.path)!r} and {str(clip.path)!r} are both named {clip.key!r}; rename one, or "
                "encode them into two folders."
            )
