"""A graph over the rows of a large library's matrix (HNSW, through usearch): a search reads thousands, not millions.

    {encoder}-graph-{videos}.usearch   the rows of the first videos of the matrix, in bfloat16, by their number
    {encoder}-graph-{videos}.json      how many rows, how many of them a search looks at, and the recall that this has

The graph only names rows. Their products are computed from the matrix, as without it, and so are those of rows that
came after it. Where there is none, or one whose recall is too low, the search is exact.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import DependencyError, InputError
from .vectors import largest, products

VARIABLE = "VIDEOEXPERT_GRAPH_ROWS"
# rows of a matrix up to which all are read: a tenth of a second
ROWS = 1_000_000
# Edges of a row, and rows looked at while one is added. More of both cost more to build than they save in searches:
# docs/library.md has what was measured.
EDGES, BUILDING = 16, 64
# rows that are added at once
BLOCK = 1 << 16
# what a search may look at: the least of these that finds RECALL of the NEAREST rows
BREADTHS = (512, 1024, 2048, 4096, 8192, 16384, 32768)
NEAREST, RECALL = 100, 0.95
# recall is measured on so many rows with a little noise, and on what the caller gives (sentences)
PROBES, NOISE = 24, 0.5
SENTENCES = (
    "a person walks into a room",
    "somebody opens a door",
    "two people talk to each other",
    "a car drives along a road",
    "a dog runs across the grass",
    "a red square moves to the left",
    "food is cut on a table",
    "text on a screen",
)
# share of the rows that may have come after the graph before it grows
GROWTH = 0.1

Listed = Sequence[tuple[str, int]]  # content and number of rows of each video of a matrix


def least_rows() -> int:
    """Rows from which on a library is searched by a graph. Raises InputError for a variable that is no such number."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return ROWS
    if not text.isdigit() or not int(text):
        raise InputError(f"{VARIABLE} is {text!r}, expected a whole number above 0.")
    return int(text)


@dataclass(frozen=True, eq=False)
class Graph:
    """``count`` rows; a search looks at ``breadth`` of them, which finds ``recall`` of the nearest NEAREST."""

    index: Any
    count: int
    breadth: int
    recall: float

    def nearest(self, query: np.ndarray) -> np.ndarray:
        """The numbers of ``breadth`` rows, roughly those with the largest products with a (C,) unit row."""
        found = self.index.search(np.ascontiguousarray(query, np.float32), self.breadth)
        return np.asarray(found.keys, np.int64)


def open_graph(place: Path, encoder: int, listed: Listed) -> Graph | None:
    """The graph over most of a matrix's rows; None without one, without usearch, or where it finds too few."""
    known = _latest(place, encoder, listed)
    if known is None or known[1]["breadth"] is None:
        return None
    try:
        index = _restored(known, view=True)
    except DependencyError:
        return None
    if index is None:
        return None
    index.expansion_search = known[1]["breadth"]
    return Graph(index, known[1]["rows"], known[1]["breadth"], known[1]["recall"])


def is_due(place: Path, encoder: int, listed: Listed) -> bool:
    """Whether a library is so large, and its graph missing or so far behind, that one should be built."""
    rows = sum(count for _, count in listed)
    if rows < least_rows():
        return False
    known = _latest(place, encoder, listed)
    return known is None or rows - known[1]["rows"] > GROWTH * rows


def build_graph(
    place: Path,
    encoder: int,
    listed: Listed,
    rows: np.ndarray,
    probes: np.ndarray,
    progress: Callable[[int, int], None] = lambda done, total: None,
    threads: int = 0,
) -> dict[str, Any]:
    """Build the graph of a matrix (n, C), or let an earlier one grow, and measure it. Returns what is written beside.

    probes    (P, C) unit rows, such as sentences, that recall is measured on, with some of the rows
    progress  is called with rows done and all
    threads   of usearch; 0: one a core

    Raises DependencyError without usearch, WriteError.
    """
    usearch = _usearch()
    known = _latest(place, encoder, listed)
    index = _restored(known, view=False) if known else None
    if index is None:
        index = usearch.Index(
            ndim=rows.shape[1], metric="ip", dtype="bf16", connectivity=EDGES, expansion_add=BUILDING
        )
    # what a file does not say
    index.expansion_add = BUILDING
    for first in range(len(index), len(rows), BLOCK):
        block = rows[first : first + BLOCK].astype(np.float32)
        index.add(np.arange(first, first + len(block), dtype=np.uint64), block, threads=threads)
        progress(first + len(block), len(rows))
    breadth, recall = _measured(index, rows, probes)
    told = {"rows": len(rows), "breadth": breadth, "recall": recall}
    target = place / _name(encoder, listed)
    with files.whole_file(target) as part:
        index.save(str(part))
    files.write_json(target.with_suffix(".json"), told)
    for stale in place.glob(f"{encoder}-graph-*"):
        # a reader that maps it keeps it until it closes
        if stale.stem != target.stem and not files.is_unfinished(stale.name):
            stale.unlink(missing_ok=True)
    return told


def _measured(index: Any, rows: np.ndarray, probes: np.ndarray) -> tuple[int | None, float]:
    """The least breadth that finds RECALL of the nearest rows, and its recall; None where none does, and the best."""
    draw = np.random.default_rng(len(rows))
    chosen = rows[np.sort(draw.integers(0, len(rows), PROBES))].astype(np.float32)
    chosen += draw.standard_normal(chosen.shape, dtype=np.float32) * NOISE / rows.shape[1] ** 0.5
    asked = np.concatenate(
        [chosen / np.linalg.norm(chosen, axis=1, keepdims=True), probes.astype(np.float32)]
    )
    most = min(NEAREST, len(rows))
    truth = [set(largest(products(rows, query), most).tolist()) for query in asked]
    recall = 0.0
    for breadth in BREADTHS:
        index.expansion_search = breadth
        found = [set(index.search(query, breadth).keys.tolist()) for query in asked]
        recall = float(np.mean([len(a & b) / most for a, b in zip(found, truth, strict=True)]))
        if recall >= RECALL:
            return breadth, round(recall, 4)
    return None, round(recall, 4)


def _latest(place: Path, encoder: int, listed: Listed) -> tuple[Path, dict[str, Any]] | None:
    """The graph of the most rows, of those that are the first ones of a matrix, and what is written beside."""
    found: list[tuple[Path, dict[str, Any]]] = []
    for note in place.glob(f"{encoder}-graph-*.json"):
        told = json.loads(note.read_text(encoding="utf-8"))
        count, ends = 0, {}
        for number, (_, rows) in enumerate(listed, 1):
            count += rows
            ends[count] = number
        videos = ends.get(told["rows"])
        file = note.with_suffix(".usearch")
        if videos is not None and note.stem == Path(_name(encoder, listed[:videos])).stem and file.is_file():
            found.append((file, told))
    return max(found, key=lambda one: one[1]["rows"], default=None)


def _restored(known: tuple[Path, dict[str, Any]], view: bool) -> Any:
    """A graph from its file, mapped or read; None for a damaged one."""
    file, told = known
    try:
        index = _usearch().Index.restore(str(file), view=view)
    except (RuntimeError, ValueError, OSError):
        return None
    return index if index is not None and len(index) == told["rows"] else None


def _name(encoder: int, listed: Listed) -> str:
    text = json.dumps([[content, rows] for content, rows in listed if rows])
    return f"{encoder}-graph-{hashlib.sha256(text.encode()).hexdigest()[:16]}.usearch"


def _usearch() -> Any:
    try:
        import usearch.index
    except ImportError as error:
        raise DependencyError(
            "the graph of a large library needs usearch; run pip install 'videoexpert[graph]'."
        ) from error
    return usearch.index
