"""All frame embeddings of a library as one memory-mapped matrix of halves, and search in it.

The matrix is a snapshot under a name of its own: a reader keeps the one it has opened while the next one is written.
Rows of videos that are gone stay until their share makes a new snapshot worth while.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

# Rows a block: a block of halves and its float32 copy stay in the cache of a core.
BLOCK = 4096


@dataclass(frozen=True)
class Hits:
    """The best rows of each query, best first: (Q, k) row numbers and (Q, k) float32 similarities."""

    rows: np.ndarray
    scores: np.ndarray


def exact(matrix: np.ndarray, queries: np.ndarray, most: int, workers: int | None = None) -> Hits:
    """The ``most`` rows of ``matrix`` (n, C) half with the largest products with ``queries`` (Q, C), exactly.

    Ties go to the smaller row. The matrix is read in blocks by ``workers`` threads and never copied whole, so a
    memory map costs the memory of a few blocks. Products are float32.
    """
    n, most = len(matrix), min(most, len(matrix))
    if most == 0:
        return Hits(np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32))
    asked = torch.from_numpy(np.ascontiguousarray(queries, dtype=np.float32)).T
    scores = np.empty((len(queries), n), np.float32)

    def block(first: int) -> None:
        rows = torch.from_numpy(np.array(matrix[first : first + BLOCK]))
        scores[:, first : first + len(rows)] = (rows.float() @ asked).T.numpy()

    with ThreadPoolExecutor(workers or torch.get_num_threads()) as pool:
        list(pool.map(block, range(0, n, BLOCK)))
    return best(scores, most)


def best(scores: np.ndarray, most: int) -> Hits:
    """The largest ``most`` of every row of (Q, n), ties to the smaller index."""
    most = min(most, scores.shape[1])
    kept = np.argpartition(-scores, most - 1, axis=1)[:, :most] if most < scores.shape[1] else None
    rows = np.tile(np.arange(scores.shape[1]), (len(scores), 1)) if kept is None else np.sort(kept, axis=1)
    values = np.take_along_axis(scores, rows, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    return Hits(np.take_along_axis(rows, order, axis=1), np.take_along_axis(values, order, axis=1))


def append_rows(path: Path, old: Path | None, blocks: Iterable[np.ndarray], width: int) -> int:
    """Write a matrix file: the rows of ``old``, then those of each block. Returns the number of rows."""
    count = 0
    with path.open("wb") as target:
        if old is not None:
            with old.open("rb") as source:
                while chunk := source.read(1 << 22):
                    count += target.write(chunk)
        for block in blocks:
            rows = np.ascontiguousarray(block, dtype=np.float16)
            if rows.ndim != 2 or rows.shape[1] != width:
                raise ValueError(f"rows must be (n, {width}), got {rows.shape}")
            count += target.write(rows.tobytes())
    return count // (2 * width)


def open_rows(path: Path, width: int) -> np.ndarray:
    """A matrix file as (n, C) halves, mapped."""
    size = path.stat().st_size
    if size == 0:
        return np.empty((0, width), np.float16)
    return np.memmap(path, np.float16, "r", shape=(size // (2 * width), width))
