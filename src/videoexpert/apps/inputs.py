"""What commands are given: videos, sentences and paths, checked before anything heavy is loaded."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..annotations.videos import VIDEO_SUFFIXES, is_video
from ..errors import InputError, VideoError
from ..files import read_text

PICTURES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Inputs:
    """``several``: more than one video was named, or a folder, however many it holds."""

    videos: tuple[str, ...]
    texts: tuple[str, ...]
    several: bool


def split_arguments(
    arguments: Sequence[str],
    kind: str = "",
    *,
    many: bool = False,
    recursive: bool = False,
    listed: Path | None = None,
) -> Inputs:
    """Leading arguments that exist are videos or folders of them; the rest are texts, each a ``kind``.

    ``kind`` "" allows none, ``many`` more than one; ``recursive`` looks into the folders of a folder as well.
    ``listed`` is a file with a text a line, after those of the arguments. Raises VideoError for a file that is
    missing and a folder without videos, InputError for too few, too many or empty texts.
    """
    count = 0
    while count < len(arguments) and (count == 0 or os.path.exists(arguments[count])):
        count += 1
    named, texts = arguments[:count], [*arguments[count:], *(_lines(listed) if listed is not None else ())]
    _check_order(arguments, kind)
    for name in (*named, *(t for t in texts if not kind or _looks_like_a_file(t))):
        if not os.path.exists(name):
            raise VideoError(
                f"{name!r} does not exist, expected a local video file or a folder of them: check the path."
            )
    if kind:
        _check_texts(texts, kind, many, named)
    videos = [
        video for name in named for video in (_in_folder(name, recursive) if os.path.isdir(name) else [name])
    ]
    return Inputs(tuple(videos), tuple(texts), len(named) > 1 or os.path.isdir(named[0]))


def _check_order(arguments: Sequence[str], kind: str) -> None:
    """Raises InputError if the sentence precedes its video, with the call that was meant."""
    if not kind or len(arguments) < 2 or os.path.exists(arguments[0]) or _looks_like_a_file(arguments[0]):
        return
    videos = [a for a in arguments if os.path.exists(a) and (os.path.isdir(a) or _looks_like_a_file(a))]
    if videos:
        texts = [f'"{a}"' for a in arguments if a not in videos]
        raise InputError(
            f"{arguments[0]!r} comes before the video, expected the video first: "
            f"{' '.join([*map(shlex.quote, videos), *texts])}"
        )


def _lines(file: Path) -> list[str]:
    """The sentences of a file, one a line; empty lines are passed over. Raises DataError, InputError if none."""
    texts = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    if not texts:
        raise InputError(f"{file} holds no query, expected one sentence a line.")
    return texts


def _check_texts(texts: Sequence[str], kind: str, many: bool, named: Sequence[str]) -> None:
    if not texts:
        raise InputError(
            f"there is no {kind} after {named[-1]!r}, expected a sentence in quotes (a {kind} that is also "
            "the name of a file here is taken for a video)."
        )
    if any(not text.strip() for text in texts):
        raise InputError(f"the {kind} is empty, expected a sentence in quotes.")
    if len(texts) > 1 and not many:
        raise InputError(
            f"{len(texts)} texts were given, expected one {kind}: put the whole sentence in quotes."
        )


def _looks_like_a_file(text: str) -> bool:
    return Path(text).suffix.lower() in VIDEO_SUFFIXES and not any(c.isspace() for c in text.strip())


def _in_folder(folder: str, recursive: bool) -> list[str]:
    inside = Path(folder).rglob("*") if recursive else Path(folder).iterdir()
    found = [str(file) for file in sorted(inside) if is_video(file)]
    if not found:
        deeper = not recursive and any(map(is_video, Path(folder).rglob("*")))
        raise VideoError(
            f"the folder {folder!r} holds no video itself, but its folders do: add --recursive."
            if deeper
            else f"the folder {folder!r} holds no video, expected files with an ending such as .mp4, .mkv, .webm "
            "or .gif: name a file itself if its ending is another."
        )
    return found


def as_seconds(text: str) -> float:
    """``90``, ``1:30`` or ``1:02:03.5`` in seconds. Raises InputError for anything else."""
    parts = text.strip().split(":")
    try:
        first, *rest = [float(part) for part in parts]
        clock = len(parts) <= 3 and all(0 <= part < 60 for part in rest)
        if rest and not (clock and first >= 0 and all(part.strip().isdigit() for part in parts[:-1])):
            raise ValueError
        if not math.isfinite(first):
            raise ValueError
    except ValueError:
        raise InputError(
            f"a time is {text!r}, expected seconds or h:mm:ss, for instance 90 or 1:30."
        ) from None
    seconds = first
    for part in rest:
        seconds = 60 * seconds + part
    return seconds


def model_options(given: Sequence[str] | None) -> dict[str, str]:
    """``NAME=VALUE`` of each --model-option. Raises InputError for one that is none, or a name that comes twice."""
    return _pairs("--model-option", given)


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not (name.strip() and equals):
            raise InputError(f"{option} is {text!r}, expected NAME=VALUE, for instance fps=1.")
        if name.strip() in found:
            raise InputError(f"{option} {name.strip()} is given twice, expected it once.")
        found[name.strip()] = value.strip()
    return found


def verifier(name: str | None, given: Sequence[str] | None) -> dict[str, Any]:
    """``--verify`` and ``--verify-option`` as arguments of ``load``. Raises InputError for options without a model."""
    if name is None and given:
        raise InputError("--verify-option belongs to --verify; name the second model, or leave it out.")
    found = _pairs("--verify-option", given)
    return {} if name is None else {"verify": name, "verify_options": found}


def check_clip(start: float | None, end: float | None) -> None:
    """Raises InputError for an end before the start; a video's own length is checked once it is open."""
    if end is not None and end <= (start or 0.0):
        raise InputError(
            f"--end is {end:g} s and --start {start or 0.0:g} s, expected the end after the start."
        )


def check_reel(option: str, file: Path) -> None:
    """Raises InputError where a video to write has another ending than ``.mp4``."""
    if file.suffix.lower() != ".mp4":
        raise InputError(f"{option} is {str(file)!r}, expected a file name that ends in .mp4.")


def check_picture(plot: Path | None) -> None:
    """Raises InputError unless a picture can be written there."""
    if plot is None:
        return
    if plot.suffix.lower() not in PICTURES:
        raise InputError(f"--plot is {str(plot)!r}, expected a file name that ends in {', '.join(PICTURES)}.")
    if not plot.absolute().parent.is_dir():
        raise InputError(f"--plot is {str(plot)!r}, but its folder does not exist: make it first.")


def picture_name(plot: Path, number: int | None) -> Path:
    """``plot`` itself, or for the ``number``-th of several videos ``name-<number>.png``."""
    return plot if number is None else plot.with_name(f"{plot.stem}-{number}{plot.suffix}")


def as_window(text: str) -> float | str:
    """``--window`` as seconds, or "auto" or "off". Raises InputError for anything else."""
    if text in ("auto", "off"):
        return text
    try:
        seconds = as_seconds(text)
    except InputError:
        seconds = 0.0
    if not (math.isfinite(seconds) and seconds > 0):
        raise InputError(f"--window is {text!r}, expected auto, off or a number of seconds above 0.")
    return seconds
