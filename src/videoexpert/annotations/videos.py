"""Which files of a folder are videos, and which of them an annotation means: by id, whatever the extension."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path, PurePath, PureWindowsPath

from ..errors import DataError, VideoError
from ..files import remote

# What is found beside videos. A list of video extensions alone would not do, because it always misses some.
_TEXT = "txt md json jsonl csv tsv yaml yml vtt srt ass log py sh html xml ini doc docx pdf rtf xls xlsx"
_ARRAYS = (
    "npy npz pt pth bin safetensors h5 hdf5 pkl lmdb db sqlite gz bz2 xz zip tar rar 7z part ytdl tmp bak"
)
_MEDIA = "wav mp3 m4a m4b aac flac ogg opus mka jpg jpeg png webp bmp tif tiff svg psd heic heif avif cr3"
# side files that cameras and downloaders name after the video; an LRV is the same video, small
_BESIDE = "thm lrv description nfo xmp aae idx sub sup gpx"
OTHER = frozenset(f".{name}" for name in f"{_TEXT} {_ARRAYS} {_MEDIA} {_BESIDE}".split())
VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("3g2", "3gp", "asf", "avi", "flv", "gif", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts"),
        *("mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)
_SOURCE_TOO = (".ts", ".mts")  # also the endings of TypeScript
_SAMPLED = 4096  # bytes that are looked at where the extension says nothing
# how files of the common containers begin: offset and bytes
_BEGINNINGS = (
    (4, b"ftyp"),
    (4, b"moov"),
    (0, b"\x1aE\xdf\xa3"),
    (8, b"AVI "),
    (0, b"FLV"),
    (0, b"\x30\x26\xb2\x75"),
    (0, b"OggS"),
    (0, b"GIF8"),
    (0, b"\x00\x00\x01\xba"),
    (0, b"\x00\x00\x01\xb3"),
    (0, b"\x06\x0e\x2b\x34"),
)
_PACKET = 188  # bytes of a packet of a transport stream, each of which begins with G


def is_video(file: Path) -> bool:
    """Whether a file of a folder is taken for a video: the one rule of every command that is given a folder.

    By its extension; with one that is not known, by how it begins. Nothing hidden (``.DS_Store``, ``._clip.mp4``).
    """
    return file.is_file() and _is_video(file.name, lambda count: _head(file, count))


def is_stored_video(file: remote.Entry) -> bool:
    """The same rule for a file in an object store."""
    return _is_video(file.address.rpartition("/")[2], lambda count: remote.head(file, count))


def _is_video(name: str, head: Callable[[int], bytes]) -> bool:
    """``head`` gives so many of the first bytes, where the name does not say it."""
    suffix = PurePath(name).suffix.lower()
    if name.startswith(".") or suffix in OTHER:
        return False
    if suffix in _SOURCE_TOO:
        return not _is_text(head(_SAMPLED))
    return suffix in VIDEO_SUFFIXES or _begins_as_video(head(_SAMPLED))


def _head(file: Path, count: int) -> bytes:
    try:
        with file.open("rb") as stream:
            return stream.read(count)
    except OSError:
        return b""


def _begins_as_video(head: bytes) -> bool:
    if any(head[place : place + len(mark)] == mark for place, mark in _BEGINNINGS):
        return True
    return len(head) > 2 * _PACKET and set(head[: 3 * _PACKET : _PACKET]) == {0x47}


def _is_text(head: bytes) -> bool:
    try:
        head[: max(len(head) - 3, 1)].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 6 and b"\0" not in head  # the sample ends inside a character
    return bool(head) and b"\0" not in head


class VideoFolder:
    """All videos under a folder, by name.

    Ids contain dots (``..._360.0_510.0``), so a name's extension is only taken off on the folder's side; ids
    and files also meet where just one of them has the prefix ``v_`` (ActivityNet, TimeChat).

    Raises DataError where the folder does not exist.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder} is not a folder, expected the folder with the videos.")
        self.folder = folder
        self._files: dict[str, Path] = {}
        found = [file for file in folder.rglob("*") if is_video(file)]
        # of two files of one name the one with a video's extension
        for file in sorted(found, key=lambda file: (file.suffix.lower() not in VIDEO_SUFFIXES, file)):
            self._files.setdefault(file.name, file)
            self._files.setdefault(file.stem, file)

    @property
    def paths(self) -> list[Path]:
        """Every file that is taken for a video, in order."""
        return sorted(set(self._files.values()))

    def find(self, video: str) -> Path | None:
        """The file of a video id, file name or path below the folder; None where there is none."""
        if leaves_folder(video):
            return None
        path = PurePath(video)
        try:
            direct = self.folder / video
            if direct.is_file():
                return direct
        except (OSError, ValueError):
            return None  # a name that no file can have: too long, or with a character that is none
        names = [path.name]
        suffix = path.suffix.lower()
        if suffix not in ("", *OTHER) and not suffix[1:].isdigit():
            names.append(path.stem)  # named clip.mp4, there as clip.webm
        names += [other for name in names for other in (f"v_{name}", name.removeprefix("v_"))]
        return next((self._files[name] for name in names if name in self._files), None)

    def require(self, video: str) -> Path:
        """Same as ``find``, but raises VideoError with the reason if there is no file."""
        found = self.find(video)
        if found is not None:
            return found
        if leaves_folder(video):
            raise VideoError(
                f"{video!r} leaves the folder of the videos; expected a name or a path below it."
            )
        shown = video if len(video) <= 80 else f"{video[:77]}..."
        raise VideoError(f"no file for {shown} in the folder of the videos.")


def leaves_folder(video: str) -> bool:
    """Whether a name of an annotation file would lead out of the folder of the videos: such files are foreign."""
    windows = PureWindowsPath(video)  # knows both kinds of slashes
    return PurePath(video).is_absolute() or windows.is_absolute() or ".." in windows.parts


@lru_cache(maxsize=100_000)  # videos repeat, once for each of their queries
def video_name(video: str) -> str:
    """A video's id, whether it was written as id, as file name or as path."""
    base = os.path.basename(video)
    stem, ending = os.path.splitext(base)
    return stem if ending.lower() in VIDEO_SUFFIXES else base
