"""What is said in a video, from files beside it: SubRip, WebVTT, or the JSON of Whisper."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from pathlib import Path

from .. import files
from ..annotations.subtitles import is_language, read_cues
from ..errors import DataError, VideoError
from ..files import remote
from .cues import Transcript

# name.mp4 goes with name.srt, name.en.srt, name.mp4.srt
SUFFIXES = (".srt", ".vtt", ".json")


def beside(video: str) -> list[Transcript]:
    """Transcript files of a video (path or address), by name; a language code may precede the ending."""
    if remote.is_address(video):
        found = [Transcript(one.address, one.size, one.changed) for one in remote.beside(video)]
    else:
        folder, stem = os.path.dirname(video), Path(video).stem
        found = [
            Transcript(os.path.join(folder, file.name), *_stamp(file))
            for file in Path(folder).glob(f"{_escaped(stem)}.*")
            if file.is_file()
        ]
    return sorted((t for t in found if belongs(Path(t.path), Path(video))), key=lambda t: t.path)


def _stamp(file: Path) -> tuple[int, int]:
    stat = file.stat()
    return stat.st_size, stat.st_mtime_ns


def belongs(file: Path, video: Path) -> bool:
    """Whether a file in a video's folder is, by its name, a transcript of it."""
    if file.suffix.lower() not in SUFFIXES or not file.name.startswith(f"{video.stem}."):
        return False
    middle = file.name[len(video.stem) : -len(file.suffix)].strip(".")
    spelled_out = len(middle) <= 8 and middle.replace("-", "").isalpha()  # name.English.srt
    return middle in ("", video.suffix.strip(".")) or spelled_out or is_language(middle)


def of_videos(files_: Iterable[str], videos: Iterable[str]) -> dict[str, list[str]]:
    """Those of some files that are, by their names, transcripts of videos: each with its videos."""
    folders: dict[str, list[str]] = {}
    for video in videos:
        folders.setdefault(os.path.dirname(video), []).append(video)
    found: dict[str, list[str]] = {}
    for file in files_:
        if file.lower().endswith(SUFFIXES):
            own = [v for v in folders.get(os.path.dirname(file), ()) if belongs(Path(file), Path(v))]
            if own:
                found[file] = own
    return found


def read(transcript: str) -> list[tuple[float, float, str]]:
    """(start, end, words) of each cue of a file (path or address), seconds, empty ones left out.

    A JSON file that is not a transcript gives none. Raises DataError for a transcript that cannot be read.
    """
    try:
        with remote.local(transcript) as file:
            return _read(file)
    except VideoError as error:  # an address that cannot be fetched
        raise DataError(str(error)) from error


def _read(file: Path) -> list[tuple[float, float, str]]:
    if file.suffix.lower() == ".json":
        return _read_whisper(file)
    return read_cues(file)


def _read_whisper(file: Path) -> list[tuple[float, float, str]]:
    value = files.parse_json(files.read_text(file), str(file))
    segments = value.get("segments") if isinstance(value, dict) else None
    if not isinstance(segments, list):
        return []
    found = []
    for number, one in enumerate(segments, 1):
        try:
            start, end = float(one["start"]), float(one["end"])
            if not (math.isfinite(start) and math.isfinite(end)):
                raise ValueError("not a time")
            found.append((start, end, " ".join(str(one["text"]).split())))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"{file}: segment {number} has no start, end and text; expected Whisper's JSON."
            ) from error
    return [cue for cue in found if cue[2]]


def _escaped(stem: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in stem)
