"""Which files of a folder are videos, and which of them an annotation means: by id, whatever the extension."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..errors import DataError

# What is found beside videos. A list of video extensions alone would not do, because it always misses some.
_TEXT = "txt md json jsonl csv tsv yaml yml vtt srt ass log py sh html xml ini doc docx pdf rtf xls xlsx"
_ARRAYS = (
    "npy npz pt pth bin safetensors h5 hdf5 pkl lmdb db sqlite gz bz2 xz zip tar rar 7z part ytdl tmp bak"
)
_MEDIA = "wav mp3 m4a aac flac ogg opus jpg jpeg png webp bmp tif tiff svg psd"
OTHER = frozenset(f".{name}" for name in f"{_TEXT} {_ARRAYS} {_MEDIA}".split())
VIDEO_SUFFIXES = frozenset(
    f".{ending}"
    for ending in (
        *("3g2", "3gp", "asf", "avi", "flv", "gif", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts"),
        *("mxf", "ogv", "ts", "vob", "webm", "wmv"),
    )
)
_SAMPLED = 4096  # bytes that are looked at where the extension says nothing


def is_video(file: Path) -> bool:
    """Whether a file of a folder is taken for a video: the one rule of every command that is given a folder.

    Not what is hidden, has the extension of something else, or, with an extension that is not known, is text.
    """
    suffix = file.suffix.lower()
    if file.name.startswith(".") or suffix in OTHER or not file.is_file():
        return False
    return suffix in VIDEO_SUFFIXES or not _is_text(file)


def _is_text(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            data = stream.read(_SAMPLED)
    except OSError:
        return False  # whoever opens it says why it cannot be read
    try:
        data[: max(len(data) - 3, 1)].decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(data) - 6 and b"\0" not in data  # the sample ends inside a character
    return bool(data) and b"\0" not in data


class VideoFolder:
    """All videos under a folder, by name.

    Ids contain dots (``..._360.0_510.0``), so a name's extension is only taken off on the folder's side; ids
    and files also meet where just one of them has the prefix ``v_`` (ActivityNet, TimeChat).

    Raises DataError where the folder does not exist.
    """

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder, expected the folder with the videos.")
        self.folder = folder
        self._files: dict[str, Path] = {}
        for file in sorted(folder.rglob("*")):
            if is_video(file):
                self._files.setdefault(file.name, file)
                self._files.setdefault(file.stem, file)

    @property
    def paths(self) -> list[Path]:
        """Every file that is taken for a video, in order."""
        return sorted(set(self._files.values()))

    def find(self, video: str) -> Path | None:
        """The file of a video id, file name or path below the folder; None where there is none."""
        direct = self.folder / video
        if direct.is_file():
            return direct
        names = [Path(video).name]
        suffix = Path(video).suffix.lower()
        if suffix not in ("", *OTHER) and not suffix[1:].isdigit():
            names.append(Path(video).stem)  # named clip.mp4, there as clip.webm
        names += [other for name in names for other in (f"v_{name}", name.removeprefix("v_"))]
        return next((self._files[name] for name in names if name in self._files), None)


@lru_cache(maxsize=100_000)  # videos repeat, once for each of their queries
def video_name(video: str) -> str:
    """A video's id, whether it was written as id, as file name or as path."""
    base = os.path.basename(video)
    stem, ending = os.path.splitext(base)
    return stem if ending.lower() in VIDEO_SUFFIXES else base
