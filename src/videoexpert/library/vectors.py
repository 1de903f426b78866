"""All frame embeddings of a library as one memory-mapped matrix of halves, and search in it.

The matrix is a snapshot under a name of its own: a reader keeps the one it has opened while the next one is written.
Rows of deleted videos stay until their share makes a new snapshot worthwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

# Numbers a block: its float32 copy, half a megabyte, stays in the cache of a core.
BLOCK = 1 << 17
# Blocks from which on more threads than one are worth their start.
MANY = 64


def products(matrix: np.ndarray, query: np.ndarray, workers: int | None = None) -> np.ndarray:
    """(n,) float32 products of the rows of ``matrix`` (n, C) half with ``query`` (C,), in float32.

    The matrix is read in blocks by ``workers`` threads and never copied whole, so a memory map costs the memory of a
    few blocks.
    """
    asked = torch.from_numpy(np.ascontiguousarray(query, dtype=np.float32))
    rows, found = torch.from_numpy(matrix), torch.empty(len(matrix))
    step = max(1, BLOCK // max(1, matrix.shape[1]))

    def multiply(first: int, last: int) -> None:
        # one copy for all blocks: a new one each time is fetched from the system each time, which takes longer than
        # the products
        copy = torch.empty(min(step, last - first), matrix.shape[1])
        for start in range(first, last, step):
            end = min(start + step, last)
            torch.mv(copy[: end - start].copy_(rows[start:end]), asked, out=found[start:end])

    if len(matrix) < MANY * step:
        multiply(0, len(matrix))
    else:
        count = workers or os.cpu_count() or 1
        edges = [len(matrix) * i // count for i in range(count + 1)]
        with ThreadPoolExecutor(count) as pool:
            list(pool.map(multiply, edges[:-1], edges[1:]))
    return found.numpy()


def largest(values: np.ndarray, most: int) -> np.ndarray:
    """Places of the ``most`` largest of ``values`` (n,), best first; ties go to the smaller place."""
    most = min(most, len(values))
    if most == 0:
        return np.empty(0, np.int64)
    if most < len(values):
        least = np.partition(values, len(values) - most)[len(values) - most]
        above = np.flatnonzero(values > least)
        kept = np.concatenate([above, np.flatnonzero(values == least)[: most - len(above)]])
        kept.sort()
    else:
        kept = np.arange(len(values))
    return kept[np.argsort(-values[kept], kind="stable")]


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
    # copy on write: torch refuses read-only arrays, and nothing writes here
    return np.memmap(path, np.float16, "c", shape=(size // (2 * width), width))
