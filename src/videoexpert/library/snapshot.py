"""The embeddings of all videos of a library as one mapped matrix, made anew from the shards when videos changed."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .. import files
from ..errors import InputError, LibraryWarning, WriteError
from ..locks import held
from .graph import Graph, build_graph, is_due, least_rows, open_graph
from .manifest import Video
from .shards import read_embeddings, shard_path
from .vectors import append_rows, largest, open_rows, products

FOLDER = "vectors"
# deleted videos may hold this share of the rows before the matrix is written anew without them
STALE = 0.3


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of one video: (F,) times in seconds, and their (F,) similarities to what is searched."""

    content: str
    times: np.ndarray
    scores: np.ndarray


@dataclass(frozen=True, eq=False)
class Snapshot:
    """``rows`` (n, C) half, ``times`` (n,) seconds; ``spans`` says which rows are a video's, by content.

    ``graph`` names rows to look at where there are too many to look at all.
    """

    name: str
    videos: dict[str, Video]
    rows: np.ndarray
    times: np.ndarray
    spans: dict[str, tuple[int, int]]
    graph: Graph | None = None

    def best_videos(self, row: np.ndarray, most: int, takes: Callable[[str], bool]) -> list[Frames]:
        """Frames of the ``most`` videos with the best frames for a (C,) embedding, of those that a filter takes."""
        if self.graph is not None:
            found = self._by_graph(self.graph, row, most, takes)
            # a filter that takes few, or videos of many frames that are alike: all are looked at
            if len(found) == most:
                return found
        return self._exact(row, most, takes)

    def _by_graph(
        self, graph: Graph, row: np.ndarray, most: int, takes: Callable[[str], bool]
    ) -> list[Frames]:
        """The same among the rows that the graph names and those that came after it."""
        near, later = graph.nearest(row), self.rows[graph.count :]
        scores = np.concatenate([products(self.rows[near], row), products(later, row)])
        runs = np.searchsorted(
            self._starts, np.concatenate([near, np.arange(graph.count, len(self.rows))]), "right"
        )
        found: list[Frames] = []
        seen: set[int] = set()
        for place in largest(scores, len(scores)):
            content = self._content_of.get(int(runs[place]) - 1)
            if content is None or runs[place] in seen:
                continue
            seen.add(runs[place])
            if takes(content):
                low, high = self.spans[content]
                found.append(Frames(content, self.times[low:high], products(self.rows[low:high], row)))
                if len(found) == most:
                    break
        return found

    def _exact(self, row: np.ndarray, most: int, takes: Callable[[str], bool]) -> list[Frames]:
        scores = products(self.rows, row)
        best = np.maximum.reduceat(scores, self._starts) if len(self._starts) else np.empty(0, np.float32)
        best = best[self._alive]
        found: list[Frames] = []
        looked, number = 0, 2 * most
        while len(found) < most and looked < len(best):
            # a filter that takes few makes it look further, at more and more at a time
            for place in largest(best, number)[looked:]:
                content = self._order[place]
                if takes(content):
                    low, high = self.spans[content]
                    found.append(Frames(content, self.times[low:high], scores[low:high]))
                    if len(found) == most:
                        break
            looked, number = number, 8 * number
        return found

    def likeness(self, contents: Sequence[str], others: Sequence[str]) -> np.ndarray:
        """(A, B) cosines of videos' mean frames; 0 for lengths that differ by more than a tenth."""
        first, second = (
            np.array([self.videos[content].duration for content in group]) for group in (contents, others)
        )
        longest = np.maximum.outer(first, second)
        near = np.abs(np.subtract.outer(first, second)) <= 0.1 * longest
        return np.where(near, self._means_of(contents) @ self._means_of(others).T, 0.0)

    def _means_of(self, contents: Sequence[str]) -> np.ndarray:
        for content in contents:
            if content not in self._means:
                low, high = self.spans[content]
                mean = self.rows[low:high].astype(np.float32).mean(0)
                self._means[content] = mean / max(float(np.linalg.norm(mean)), 1e-12)
        return np.stack([self._means[content] for content in contents])

    @cached_property
    def _means(self) -> dict[str, np.ndarray]:
        return {}

    @cached_property
    def _order(self) -> list[str]:
        return list(self.spans)

    @cached_property
    def _starts(self) -> np.ndarray:
        """First rows of the runs that the matrix consists of: videos, and the gaps between them."""
        edges = {edge for span in self.spans.values() for edge in span if edge < len(self.rows)}
        return np.array(sorted(edges | ({0} if len(self.rows) else set())), np.int64)

    @cached_property
    def _alive(self) -> np.ndarray:
        """Which of those runs each video is, in the order of ``spans``."""
        return np.searchsorted(self._starts, [low for low, _ in self.spans.values()])

    @cached_property
    def _content_of(self) -> dict[int, str]:
        """The video of each run that is one."""
        return dict(zip(self._alive.tolist(), self._order, strict=True))


def open_snapshot(folder: Path, encoder: int, videos: dict[str, Video], width: int) -> Snapshot:
    """The matrix of exactly these videos; written where it is not there yet.

    Rows of an older snapshot are taken over, so that a new video costs its own rows and a copy of the file.
    Where it cannot be written (a full disk, no permission) the rows are read into memory. Warns with a LibraryWarning
    of a large library without a graph. Raises DataError for a damaged shard.
    """
    name = f"{encoder}-{hashlib.sha256(''.join(videos).encode()).hexdigest()[:16]}"
    place = folder / FOLDER
    if not (place / f"{name}.json").is_file():
        try:
            _write(folder, place, name, encoder, videos, width)
        except WriteError:
            return _in_memory(folder, name, encoder, videos, width)
    listed: list[tuple[str, int]] = json.loads((place / f"{name}.json").read_text(encoding="utf-8"))
    spans, row = {}, 0
    for content, count in listed:
        if content in videos and count:
            spans[content] = (row, row + count)
        row += count
    graph = open_graph(place, encoder, listed) if row >= least_rows() else None
    if graph is None and row >= least_rows():
        warnings.warn(
            f"the library has {row:,} pictures and no graph, so a search reads them all; run `videoexpert index` again "
            "to build one (it needs pip install 'videoexpert[graph]').",
            LibraryWarning,
            stacklevel=2,
        )
    rows, times = open_rows(place / f"{name}.f16", width), np.fromfile(place / f"{name}.times")
    return Snapshot(name, videos, rows, times, spans, graph)


def renew_graph(
    folder: Path,
    encoder: int,
    videos: dict[str, Video],
    width: int,
    probes: Callable[[], np.ndarray],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any] | None:
    """Build or grow the graph of a library that is so large that it should have one; what it has, None if not due.

    ``probes`` gives rows that its recall is measured on. One process builds at a time; another does not wait for it.
    Raises DependencyError without usearch, WriteError.
    """
    if sum(video.frames for video in videos.values()) < least_rows():
        return None
    place = folder / FOLDER
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LibraryWarning)
        snapshot = open_snapshot(folder, encoder, videos, width)
    note = place / f"{snapshot.name}.json"
    if not note.is_file():
        return None
    listed = [(content, count) for content, count in json.loads(note.read_text(encoding="utf-8"))]
    if not is_due(place, encoder, listed):
        return None
    try:
        with held(place, f".{encoder}-graph-lock"):
            return build_graph(place, encoder, listed, snapshot.rows, probes(), progress)
    except InputError:  # somebody else builds it
        return None


def _in_memory(folder: Path, name: str, encoder: int, videos: dict[str, Video], width: int) -> Snapshot:
    shards = {content: read_embeddings(shard_path(folder, content, encoder)) for content in videos}
    spans, row = {}, 0
    for content, (rows, _) in shards.items():
        if len(rows):
            spans[content] = (row, row + len(rows))
        row += len(rows)
    matrix = np.concatenate([np.empty((0, width), np.float16), *(rows for rows, _ in shards.values())])
    times = np.concatenate([np.empty(0), *(times for _, times in shards.values())])
    return Snapshot(name, videos, matrix, times, spans)


def _write(folder: Path, place: Path, name: str, encoder: int, videos: dict[str, Video], width: int) -> None:
    """Matrix and times first, then the list that makes them count; older snapshots of the encoder go last.

    Raises WriteError.
    """
    files.make_folder(place)
    old, listed = _latest(place, encoder, videos)
    new = [content for content in videos if content not in {c for c, _ in listed}]
    shards = {content: read_embeddings(shard_path(folder, content, encoder)) for content in new}
    with files.whole_file(place / f"{name}.f16") as part:
        append_rows(part, old, (rows for rows, _ in shards.values()), width)
    times = [np.fromfile(old.with_suffix(".times"))] if old is not None else []
    with files.whole_file(place / f"{name}.times") as part:
        np.concatenate([*times, *(t for _, t in shards.values()), np.empty(0)]).astype(np.float64).tofile(
            part
        )
    files.write_json(place / f"{name}.json", [*listed, *((c, len(rows)) for c, (rows, _) in shards.items())])
    for stale in place.glob(f"{encoder}-*"):
        # a reader that maps it keeps it until it closes
        if not stale.name.startswith((name, f"{encoder}-graph-")) and not files.is_unfinished(stale.name):
            stale.unlink(missing_ok=True)


def _latest(place: Path, encoder: int, videos: dict[str, Video]) -> tuple[Path | None, list[tuple[str, int]]]:
    """An older matrix that is worth extending, with its list of (content, rows)."""
    lists = [
        file for file in place.glob(f"{encoder}-*.json") if not file.name.startswith(f"{encoder}-graph-")
    ]
    lists.sort(key=os.path.getmtime)
    if not lists:
        return None, []
    listed = [(content, count) for content, count in json.loads(lists[-1].read_text(encoding="utf-8"))]
    matrix = lists[-1].with_suffix(".f16")
    total = sum(count for _, count in listed)
    stale = sum(count for content, count in listed if content not in videos)
    if not matrix.is_file() or not matrix.with_suffix(".times").is_file() or stale > STALE * max(total, 1):
        return None, []
    return matrix, listed
