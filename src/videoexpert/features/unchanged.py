"""Whether a run has anything to encode, decided without reading the model: its files are those of the run before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import files
from ..errors import DataError
from .clips import Clip
from .encode import _changed, default_workers
from .store import MADE_BY, FeatureStore


def stamp(model: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Names, sizes and times of a local model folder's files with ``asked``; None for a model of the hub."""
    if not model.is_dir():
        return None
    found = [
        [str(file.relative_to(model)), file.stat().st_size, file.stat().st_mtime_ns]
        for file in sorted(model.rglob("*"))
        if file.is_file()
    ]
    return {"model": str(model.resolve()), "files": found, "asked": json.loads(json.dumps(dict(asked)))}


def remember(store: Path, made_by: dict[str, Any] | None) -> None:
    """Keep who filled the store."""
    if made_by is not None:
        files.write_json(store / MADE_BY, made_by)


def kept(store: Path, made_by: dict[str, Any] | None, clips: Sequence[Clip]) -> int | None:
    """How many clips are in the store, where all are, from the same files and by the same model; else None."""
    try:
        if made_by is None or files.load_json(store / MADE_BY) != made_by:
            return None
    except DataError:
        return None
    opened = FeatureStore.open(store)
    if any(clip.key not in opened.entries for clip in clips) or _changed(clips, opened, default_workers()):
        return None
    return len(clips)


__all__ = ["kept", "remember", "stamp"]
