"""A library as plain files, which numpy and any reader of JSON lines open without this package.

library.json        the encoders, each with its number and its videos
videos.jsonl        a video a line: content, paths, seconds, and of each encoder its first row and number of rows
texts.jsonl         the words of transcripts and captions, a cue a line
embeddings-1.npy    (n, C) half, unit rows: the frames of encoder 1, video after video
times-1.npy         (n,) float64 seconds
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import InputError
from ..files import remote
from .manifest import Manifest
from .shards import read_embeddings, shard_path

LIST = "library.json"


def export(folder: Path, out: str | os.PathLike[str]) -> dict[str, int]:
    """Write the files above into the folder ``out``, whole or not at all; returns how many videos, rows and texts.

    ``out`` may be an address (files/remote.py), where ``library.json`` comes last: without it an export is not whole.
    Raises InputError where something else is there, DataError for a damaged shard, WriteError.
    """
    with closing(Manifest(folder)) as manifest:
        if not remote.is_address(out):
            if os.path.exists(out) and not (Path(out) / LIST).is_file():
                raise _taken(out)
            with files.whole_folder(out) as target:
                return _fill(manifest, target)
        address = str(out)
        if not remote.is_free(address, LIST):
            raise _taken(address)
        with tempfile.TemporaryDirectory(prefix="videoexpert-") as scratch:
            counts = _fill(manifest, Path(scratch))
            remote.upload(Path(scratch), address, LIST)
        return counts


def _taken(out: str | os.PathLike[str]) -> InputError:
    return InputError(f"{os.fspath(out)!r} is there and holds no export; choose another place.")


def _fill(manifest: Manifest, target: Path) -> dict[str, int]:
    encoders = manifest.encoders()
    told: dict[str, dict[str, Any]] = {}
    rows = 0
    for number in encoders:
        rows += _embeddings(manifest, number, target, told)
    texts = list(manifest.texts(told))
    (target / LIST).write_text(json.dumps({"encoders": encoders}, indent=1) + "\n", "utf-8")
    _lines(target / "videos.jsonl", list(told.values()))
    _lines(target / "texts.jsonl", [vars(text) for text in texts])
    return {"videos": len(told), "rows": rows, "texts": len(texts)}


def _embeddings(manifest: Manifest, number: int, target: Path, told: dict[str, dict[str, Any]]) -> int:
    """The matrix and times of one encoder, and where in them each video is."""
    videos, first = manifest.videos(number), 0
    shards = ((content, *read_embeddings(shard_path(manifest.folder, content, number))) for content in videos)
    times: list[np.ndarray] = [np.empty(0)]
    matrix: np.ndarray | None = None
    total = sum(video.frames for video in videos.values())
    for content, rows, own_times in shards:
        if matrix is None:
            name, shape = target / f"embeddings-{number}.npy", (total, rows.shape[1])
            matrix = np.lib.format.open_memmap(name, "w+", np.float16, shape)
        matrix[first : first + len(rows)] = rows
        times.append(own_times)
        video = videos[content]
        line = {"content": content, "paths": list(video.paths), "duration": video.duration, "rows": {}}
        told.setdefault(content, line)["rows"][number] = [first, len(rows)]
        first += len(rows)
    np.save(target / f"times-{number}.npy", np.concatenate(times))
    return first


def _lines(file: Path, values: list[dict[str, Any]]) -> None:
    file.write_text("".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values), "utf-8")
