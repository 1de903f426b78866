"""What notebooks show of an answer, and answers as plain values: the display that ``types`` asks for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .errors import VideoExpertError
from .export import answers_json, tables
from .export import html as pages
from .types import Moment, Source

THUMBNAIL = 440  # pixels: twice the width of a card, for dense screens
PLAYED = (".mp4", ".m4v", ".webm", ".mov", ".ogv", ".mkv")  # what browsers may play


def plain(shown: Any) -> dict[str, Any]:
    """The keys and values of docs/cli.md."""
    return answers_json.plain(shown)


def rows(shown: Any) -> list[dict[str, Any]]:
    """One flat row a moment, clip or caption."""
    return tables.rows(shown)


def html(shown: Any) -> str:
    """A fragment of a page; with pictures and players where the video is there."""
    source: Source | None = shown.source
    if source is None or not os.path.isfile(source.path):
        return pages.fragment(shown)
    return pages.fragment(shown, _thumbnails(source.path, pages.cards_of(shown)), _address(source.path))


def _address(path: str) -> str | None:
    """Where a page finds the file: beside the notebook, which the notebook's server serves; else on the disk."""
    file = Path(path).absolute()
    if file.suffix.lower() not in PLAYED:
        return None
    try:
        return quote(file.relative_to(Path.cwd()).as_posix())
    except ValueError:
        return file.as_uri()


def _thumbnails(path: str, moments: Sequence[Moment]) -> list[bytes]:
    """A JPEG of the middle of each moment; none where the video does not give them any more."""
    from .video.thumbnails import jpeg, shrink, thumbnails

    try:
        found = thumbnails(path, [(m.start, m.end) for m in moments], resize=shrink(THUMBNAIL))
    except VideoExpertError:
        return []
    return [jpeg(pictures[0]) for pictures in found]
