"""Search in a large library by a graph: as good as the exact one says, and exact wherever there is none."""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from library.conftest import Colours, write
from videoexpert.apps.cli import main
from videoexpert.errors import InputError, LibraryWarning
from videoexpert.library import care
from videoexpert.library import graph as graphs
from videoexpert.library.build import build_graph, index
from videoexpert.library.find import Filter, Library
from videoexpert.library.graph import VARIABLE, open_graph
from videoexpert.library.manifest import Video
from videoexpert.library.snapshot import Snapshot
from videoexpert.library.vectors import append_rows, largest, open_rows, products

pytest.importorskip("usearch")
WIDTH = 16


@pytest.fixture
def large(monkeypatch):
    """Every library is a large one."""
    monkeypatch.setenv(VARIABLE, "1")


def unit(rows: np.ndarray) -> np.ndarray:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float16)


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[tuple[str, int]], np.ndarray]:
    """200 videos of ten random rows each."""
    place = tmp_path_factory.mktemp("vectors")
    rows = unit(np.random.default_rng(0).standard_normal((2000, WIDTH)))
    append_rows(place / "rows.f16", None, [rows], WIDTH)
    return place, [(f"v{i:03}", 10) for i in range(200)], open_rows(place / "rows.f16", WIDTH)


def snapshot(listed, rows, graph) -> Snapshot:
    spans, first = {}, 0
    for content, count in listed:
        spans[content], first = (first, first + count), first + count
    videos = {content: Video(content, (content,), (0,), 1.0, count, 1) for content, count in listed}
    return Snapshot("1-x", videos, rows, np.arange(len(rows), dtype=float), spans, graph)


def test_recall_is_measured_and_the_breadth_goes_by_it(matrix, tmp_path):
    _, listed, rows = matrix
    told = graphs.build_graph(tmp_path, 1, listed, rows, np.eye(WIDTH, dtype=np.float32)[:4])
    assert told["rows"] == 2000
    assert told["recall"] >= graphs.RECALL
    assert told["breadth"] in graphs.BREADTHS
    graph = open_graph(tmp_path, 1, listed)
    assert (graph.count, graph.breadth) == (2000, told["breadth"])
    query = rows[7].astype(np.float32)
    near = graph.nearest(query)
    exact = largest(products(rows, query), 100)
    assert len(set(near.tolist()) & set(exact.tolist())) >= 95


def test_a_search_by_graph_is_the_exact_one_where_the_graph_finds_its_rows(matrix, tmp_path):
    _, listed, rows = matrix
    graphs.build_graph(tmp_path, 1, listed[:150], rows[:1500], rows[:4])
    graph = open_graph(tmp_path, 1, listed)
    assert graph.count == 1500  # the rows of later videos are read one by one
    by_graph, exact = snapshot(listed, rows, graph), snapshot(listed, rows, None)
    for query in np.random.default_rng(1).standard_normal((5, WIDTH)).astype(np.float32):
        ours, theirs = (s.best_videos(query, 5, lambda _: True) for s in (by_graph, exact))
        assert [frames.content for frames in ours] == [frames.content for frames in theirs]
        for one, other in zip(ours, theirs, strict=True):
            assert np.array_equal(one.times, other.times)
            assert np.allclose(one.scores, other.scores, atol=1e-6)
        # a filter that takes few looks at everything
        (last,) = by_graph.best_videos(query, 5, lambda content: content == "v199")
        assert last.content == "v199"


def test_a_graph_grows_and_one_of_other_videos_does_not_count(matrix, tmp_path, large):
    _, listed, rows = matrix
    graphs.build_graph(tmp_path, 1, listed[:150], rows[:1500], rows[:4])
    assert graphs.is_due(tmp_path, 1, listed)  # a quarter came after it
    assert not graphs.is_due(tmp_path, 1, listed[:155])
    other = [("another", 10), *listed[1:]]
    assert open_graph(tmp_path, 1, other) is None
    assert open_graph(tmp_path, 2, listed) is None
    done: list[tuple[int, int]] = []
    graphs.build_graph(tmp_path, 1, listed, rows, rows[:4], lambda *step: done.append(step))
    assert done == [(2000, 2000)]
    assert len(list(tmp_path.iterdir())) == 2
    assert open_graph(tmp_path, 1, listed).count == 2000
    next(tmp_path.glob("*.usearch")).write_bytes(b"damaged")
    assert open_graph(tmp_path, 1, listed) is None


def test_a_graph_that_finds_too_little_is_not_used(matrix, tmp_path, monkeypatch):
    _, listed, rows = matrix
    monkeypatch.setattr(graphs, "BREADTHS", (1,))
    told = graphs.build_graph(tmp_path, 1, listed, rows, rows[:4])
    assert told["breadth"] is None
    assert told["recall"] < 0.1
    assert open_graph(tmp_path, 1, listed) is None


def test_a_large_library_is_searched_by_its_graph(videos, tmp_path, large, monkeypatch):
    library, encoder = tmp_path / "lib", Colours()
    index([videos], library, encoder)
    with pytest.warns(LibraryWarning, match="pictures and no graph"):
        exact = Library(library, encoder).search("blue", method="recall")
    told = build_graph(library, encoder)
    assert told["recall"] == 1.0
    assert build_graph(library, encoder) is None  # nothing is due
    opened = Library(library, encoder)
    assert opened.search("blue", method="recall").hits == exact.hits
    assert opened.snapshot().graph is not None
    within = opened.search("blue", method="recall", filter=Filter(within="sub/*"))
    assert [Path(hit.path).name for hit in within.hits] == ["blue.mp4"]
    # a new video comes after the graph, which goes on until a tenth has
    monkeypatch.setattr(graphs, "GROWTH", 0.5)
    write(videos / "zlawn.mp4", ["green"])
    index([videos], library, encoder)
    assert build_graph(library, encoder) is None
    grown = Library(library, encoder)
    assert grown.search("green", method="recall").hits[0].path.endswith(("mixed.mp4", "zlawn.mp4"))
    assert grown.snapshot().graph.count < len(grown.snapshot().rows)
    assert care.verify(library) == []
    care.gc(library)
    assert list((library / "vectors").iterdir()) == []


def test_a_small_library_has_none(videos, tmp_path):
    index([videos], tmp_path / "lib", Colours())
    assert build_graph(tmp_path / "lib", Colours()) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Library(tmp_path / "lib", Colours()).search("blue", method="recall")


def test_without_usearch_the_command_says_so_and_search_is_exact(
    pictures, tmp_path, large, monkeypatch, capsys
):
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "usearch.index", None)
        assert main(["index", str(pictures), "--library", str(tmp_path / "lib"), "--format", "json"]) == 0
        told = capsys.readouterr()
        assert json.loads(told.out)["graph"] is None
        assert "pip install 'videoexpert[graph]'. Until then each search reads all pictures." in told.err
        assert main(["search", str(tmp_path / "lib"), "a red square", "--method", "recall"]) == 0
        assert "no graph, so a search reads them all" in capsys.readouterr().err
    assert main(["index", str(pictures), "--library", str(tmp_path / "lib")]) == 0
    assert "finds 100.0% of the nearest" in capsys.readouterr().out
    assert main(["search", str(tmp_path / "lib"), "a red square", "--method", "recall"]) == 0
    assert "no graph" not in capsys.readouterr().err


def test_a_wrong_number_of_rows(monkeypatch):
    for wrong in ("many", "0", "-1"):
        monkeypatch.setenv(VARIABLE, wrong)
        with pytest.raises(InputError, match=VARIABLE):
            graphs.least_rows()
