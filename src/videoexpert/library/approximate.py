"""A graph over the embeddings (HNSW, by usearch), for libraries of more frames than an exact search is quick for.

The graph names candidates; their similarities are those of the exact search, from the same rows.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import DependencyError

# Rows from which on a graph is made: up to here an exact search takes about a tenth of a second on two cores.
LEAST_ROWS = 1_000_000
# edges a row, candidates while it is built, and while it is searched (measured by benchmarks/library_search.py)
EDGES, BUILDING, SEARCHING = 16, 64, 4096
BLOCK = 1 << 16


def build(rows: np.ndarray, target: Path, old: Path | None = None) -> None:
    """Write the graph of (n, C) rows; what ``old`` holds of the first of them is taken over.

    Raises DependencyError without usearch, WriteError.
    """
    index = _index(rows.shape[1])
    if old is not None:
        index.load(str(old))
    for first in range(len(index), len(rows), BLOCK):
        block = np.asarray(rows[first : first + BLOCK])
        index.add(np.arange(first, first + len(block), dtype=np.uint64), block)
    with files.whole_file(target) as part:
        index.save(str(part))


def open_graph(file: Path, width: int) -> Any:
    """The graph of a file, mapped. Raises DependencyError without usearch."""
    index = _index(width)
    index.view(str(file))
    return index


def nearest(
    graph: Any, rows: np.ndarray, query: np.ndarray, most: int, searching: int = SEARCHING
) -> tuple[np.ndarray, np.ndarray]:
    """(k,) rows with nearly the largest products with a (C,) query, best first, and their (k,) exact products."""
    graph.expansion_search = max(searching, most)
    asked = np.ascontiguousarray(query, dtype=np.float32)
    found = np.asarray(graph.search(asked, min(max(searching, most), len(rows))).keys, dtype=np.int64)
    scores = rows[found].astype(np.float32) @ asked
    order = np.lexsort((found, -scores))[:most]
    return found[order], scores[order]


def _index(width: int) -> Any:
    try:
        from usearch.index import Index
    except ImportError as error:
        raise DependencyError(
            f"a library of more than {LEAST_ROWS:,} frames is searched with usearch; run "
            "pip install 'videoexpert[library]'."
        ) from error
    return Index(
        ndim=width, metric="ip", dtype="bf16", connectivity=EDGES, expansion_add=BUILDING, expansion_search=64
    )
