"""A library of a thousand videos: what indexing costs, what search finds, and how its time grows.

    python benchmarks/library_search.py [videos|vectors|graph ...] [--videos 1000] [--folder KEPT] [--save FILE]

videos    Synthetic videos of the shipped model's level, as files, indexed with its captions. Sentences are of the kind
          the model was trained on; many of them are true of several videos, so a "true video" is any of those. Searches
          of the library of the first tenth alternate with those of all, so that both meet the same load.
vectors   A million random unit vectors of 512 halves: exact search, in a process of its own for its memory.
graph     A million of 128, as the shipped model has: the graph of library/graph.py against the exact search, on random
          vectors and on vectors that come in runs, as frames do. A graph in the kept folder is not built again.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

LEVEL, SEED = 4, 2027
ROWS, WIDTH, GRAPH_ROWS, GRAPH_WIDTH = 1_000_000, 512, 1_000_000, 128
COLD = 60  # queries that find no video in the expert's memory


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("parts", nargs="*", help="videos, vectors, graph (default: all)")
    parser.add_argument("--videos", type=int, default=1000)
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--graph-rows", type=int, default=GRAPH_ROWS)
    parser.add_argument("--folder", type=Path, help="keep videos and libraries here")
    parser.add_argument("--save", type=Path)
    args = parser.parse_args()
    from videoexpert.runtime import hardware, pick_device

    report: dict[str, Any] = {**hardware(pick_device("auto")), "cores": os.cpu_count()}
    if args.save and args.save.exists():
        report = {**json.loads(args.save.read_text()), **report}
    with tempfile.TemporaryDirectory() as scratch:
        folder = args.folder or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        for part in args.parts or ("videos", "vectors", "graph"):
            report[part] = {
                "videos": lambda: measure_videos(folder, args.videos, args.queries, report.get("videos", {})),
                "vectors": lambda: measure_vectors(folder / "rows.f16", args.rows),
                "graph": lambda: {
                    kind: measure_graph(folder, kind, args.graph_rows, report.get("graph", {}).get(kind, {}))
                    for kind in ("random", "runs")
                },
            }[part]()
            print(json.dumps({part: report[part]}, indent=1), flush=True)
            if args.save:
                args.save.parent.mkdir(parents=True, exist_ok=True)
                args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


# --- videos ---


def measure_videos(folder: Path, count: int, asked: int, before: dict[str, Any]) -> dict[str, Any]:
    """Index two libraries, one with a tenth of the videos, and search both.

    In a kept folder what an earlier run made is not made again: its figures (``before``) stay.
    """
    from videoexpert.library.find import Library
    from videoexpert.synthetic.write import WorldRecipe, write_world

    recipe = WorldRecipe(count, SEED, LEVEL, size=64)
    began = time.perf_counter()
    kept = (folder / "world" / "world.json").exists()
    write_world(recipe, folder / "world", workers=1)
    rendered = time.perf_counter() - began
    files = sorted((folder / "world" / "videos").iterdir())
    encoder, expert, caption = load_all()
    small = index_all(files[: count // 10], folder / "small", encoder, caption)
    large = index_all(files, folder / "large", encoder, caption)
    scripts = [recipe.script(i) for i in range(count)]
    queries = questions(scripts, asked)
    libraries = [Library(folder / name, encoder, expert) for name in ("small", "large")]
    found: dict[str, Any] = {}
    for method in ("recall", "rerank", "text", "hybrid"):
        sentences = [text for text, _, _ in queries]
        times, busy, pages = alternate(libraries, method, sentences)
        anew = alternate(libraries, method, sentences[:COLD], forget=expert.engine.store.clear)[1]
        found[method] = {
            **quality(pages, queries, count),
            "p50_ms": percentile(times[1], 50),
            "p95_ms": percentile(times[1], 95),
            "processor p50_ms": percentile(busy[1], 50),
            "processor p95_ms": percentile(busy[1], 95),
            "p50_ms_of_a_tenth": percentile(times[0], 50),
            "growth": round(percentile(times[1], 50) / percentile(times[0], 50), 2),
            "growth of processor time": round(percentile(busy[1], 50) / percentile(busy[0], 50), 2),
            "growth of processor time, no video in memory": round(
                percentile(anew[1], 50) / percentile(anew[0], 50), 2
            ),
        }
        print(method, json.dumps(found[method]), flush=True)
    relevant = [len(true) for _, true, _ in queries]
    return {
        "videos": count,
        "world": f"level {LEVEL}, 64 x 64 pixels, seed {SEED}",
        "seconds to render": before.get("seconds to render") if kept else round(rendered, 1),
        "indexing": large or before.get("indexing"),
        "indexing a tenth": small or before.get("indexing a tenth"),
        "queries": len(queries),
        "videos that a query is true of, mean": round(float(np.mean(relevant)), 1),
        "hit@10 by chance": round(100 * float(np.mean([1 - (1 - n / count) ** 10 for n in relevant])), 1),
        "methods": found,
    }


def load_all() -> tuple[Any, Any, Callable[..., Any]]:
    """The shipped model's encoder, the model, and its captions."""
    from videoexpert.library.captions import captions_of
    from videoexpert.library.encoders import encoder_of
    from videoexpert.session import load_expert

    expert = load_expert()
    return encoder_of(expert), expert, captions_of(expert)


def index_all(files: list[Path], library: Path, encoder: Any, caption: Callable[..., Any]) -> dict[str, Any]:
    """Index with captions, whose time is kept apart."""
    from videoexpert.library import care
    from videoexpert.library.build import index

    spent, worked = [0.0], [0.0]

    def timed(*arguments: Any) -> Any:
        began, busy = time.perf_counter(), time.process_time()
        found = caption(*arguments)
        spent[0] += time.perf_counter() - began
        worked[0] += time.process_time() - busy
        return found

    began, busy = time.perf_counter(), time.process_time()
    done = index([str(file) for file in files], library, encoder, captions=timed)
    took, cpu = time.perf_counter() - began - spent[0], time.process_time() - busy - worked[0]
    report = care.info(library)
    on_disk = sum(file.stat().st_size for file in library.rglob("*") if file.is_file())
    if not done.encoded:
        return {}
    return {
        "videos": report.videos,
        "hours of video": round(report.hours, 2),
        "videos a second": round(done.encoded / took, 1),
        "times real time": round(done.seconds / took),
        "processor seconds a video": round(cpu / done.encoded, 4),
        "times real time, a core's work": round(done.seconds / cpu),
        "seconds a caption pass": round(spent[0] / done.encoded, 3),
        "processor seconds a caption pass": round(worked[0] / done.encoded, 4),
        "bytes a video, shard": round(report.bytes / report.videos),
        "bytes a video, everything": round(on_disk / report.videos),
        "failed": len(done.failed),
    }


Query = tuple[
    str, dict[str, Any], str
]  # the sentence, windows by id of the videos it is true of, and its own video


def questions(scripts: list[Any], count: int) -> list[Query]:
    """Sentences about the things of some videos, and where else each is true."""
    from videoexpert.synthetic.language import doings, query_for, windows_of

    rng = random.Random(SEED)
    known: dict[tuple[str, str], dict[str, Any]] = {}
    for script in scripts:
        for thing, action in doings(script):
            known.setdefault((thing.name, action), {})[script.id] = windows_of(script, thing.name, action)
    found = []
    for script in rng.sample(scripts, min(count, len(scripts))):
        thing, action = rng.choice(list(doings(script)))
        found.append((query_for(thing, action, rng), known[thing.name, action], script.id))
    return found


def alternate(
    libraries: list[Any],
    method: str,
    queries: list[str],
    forget: Callable[[], None] = lambda: None,
) -> tuple[list[list[float]], list[list[float]], list[Any]]:
    """Seconds, and seconds of the processor, of each query in each library, in turn, and the pages of the last one.

    The expert keeps prefixes of videos it was asked about: of a hundred videos most are there, of a thousand few are.
    ``forget`` is called before each search, to take that away.
    """
    for library in libraries:
        library.search(queries[0], method=method)
    times: list[list[float]] = [[] for _ in libraries]
    busy: list[list[float]] = [[] for _ in libraries]
    pages = []
    for query in queries:
        for place, library in enumerate(libraries):
            forget()
            began, worked = time.perf_counter(), time.process_time()
            page = library.search(query, method=method)
            times[place].append(time.perf_counter() - began)
            busy[place].append(time.process_time() - worked)
        pages.append(page)
    return times, busy, pages


def quality(pages: list[Any], queries: list[Query], count: int) -> dict[str, float]:
    """In percent: a true video among ten; the share of true ones among ten; the own video; the first moment right."""
    from videoexpert.windows import iou

    hit, precise, own, first, moments = [], [], [], [], []
    for page, (_, true, source) in zip(pages, queries, strict=True):
        names = [Path(one.path).stem for one in page.hits[:10]]
        right = [
            name in true and max(iou((one.start, one.end), window) for window in true[name]) >= 0.5
            for one, name in zip(page.hits, names, strict=False)
        ]
        good = [name in true for name in names]
        distinct = len(set(names) & set(true))
        hit.append(any(good))
        precise.append(distinct / min(10, len(true)))
        own.append(source in names)
        first.append(bool(right) and right[0])
        moments += [r for r, g in zip(right, good, strict=True) if g]
    percent = {"recall@10 of a true video": hit, "true videos among ten, of the most there can be": precise}
    percent |= {"recall@10 of the own video": own, "R1@0.5 of the moment": first}
    percent |= {"moments right in true videos": moments}
    return {
        name: round(100 * float(np.mean(values)), 1) if values else 0.0 for name, values in percent.items()
    }


# --- vectors ---


def measure_vectors(file: Path, rows: int) -> dict[str, Any]:
    """In another process, so that its memory is that of the search alone."""
    write_rows(file, rows, WIDTH, "random")
    done = subprocess.run(
        [sys.executable, "-c", f"import library_search; library_search.search_rows({str(file)!r})"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
        check=True,
        capture_output=True,
        text=True,
    )
    file.unlink()
    return {"rows": rows, "width": WIDTH, **json.loads(done.stdout.splitlines()[-1])}


def search_rows(file: str) -> None:
    """Prints times and memory of exact searches."""
    import psutil

    from videoexpert.library.vectors import largest, open_rows, products

    process, times = psutil.Process(), []
    rng = np.random.default_rng(1)
    products(np.zeros((9, WIDTH), np.float16), np.ones(WIDTH, np.float32))
    before = process.memory_info().rss
    rows = open_rows(Path(file), WIDTH)
    for _ in range(50):
        query = rng.standard_normal(WIDTH, dtype=np.float32)
        began = time.perf_counter()
        largest(products(rows, query), 200)
        times.append(time.perf_counter() - began)
    memory = process.memory_info().rss - before
    report = {
        "p50_ms": percentile(times[3:], 50),
        "p95_ms": percentile(times[3:], 95),
        "memory over mapped bytes": round(memory / rows.nbytes, 3),
    }
    print(json.dumps(report))


def write_rows(file: Path, rows: int, width: int, kind: str) -> None:
    """Unit vectors; ``runs``: fifty near one of many centres, one after another."""
    rng = np.random.default_rng(0)
    with file.open("wb") as out:
        for first in range(0, rows, 50_000):
            n = min(50_000, rows - first)
            block = rng.standard_normal((n, width), dtype=np.float32)
            if kind == "runs":
                centres = rng.standard_normal((-(-n // 50), width), dtype=np.float32)
                block = 0.7 * block + np.repeat(centres, 50, 0)[:n]
            block /= np.linalg.norm(block, axis=1, keepdims=True)
            out.write(block.astype(np.float16).tobytes())


def measure_graph(folder: Path, kind: str, rows: int, before: dict[str, Any]) -> dict[str, Any]:
    """Recall of the 100 best against the exact search, and time, for several breadths of the search."""
    from videoexpert.library import graph as graphs
    from videoexpert.library.vectors import largest, open_rows, products

    place, file, listed = folder / kind, folder / f"{kind}.f16", [(kind, rows)]
    place.mkdir(exist_ok=True)
    if not file.exists():
        write_rows(file, rows, GRAPH_WIDTH, kind)
    matrix = open_rows(file, GRAPH_WIDTH)
    queries = asked(matrix)
    built = {name: value for name, value in before.items() if "to build" in name}
    if not list(place.glob("*.usearch")):
        began, worked = time.perf_counter(), time.process_time()
        graphs.build_graph(place, 1, listed, matrix, queries[:8])
        built = {
            "seconds to build": round(time.perf_counter() - began),
            "CPU seconds to build": round(time.process_time() - worked),
        }
    index = graphs._restored(graphs._latest(place, 1, listed), view=True)
    worked = time.process_time()
    exact_times, truth = timed(lambda q: largest(products(matrix, q), 100), queries)
    worked = (time.process_time() - worked) / (len(queries) + 1)
    report: dict[str, Any] = {
        "rows": rows,
        "width": GRAPH_WIDTH,
        "edges": graphs.EDGES,
        "breadth of building": graphs.BUILDING,
        **built,
        "bytes a row": round(next(place.glob("*.usearch")).stat().st_size / rows),
        "exact p50_ms": percentile(exact_times, 50),
        "exact processor ms": round(1000 * worked, 1),
    }
    for breadth in graphs.BREADTHS:
        index.expansion_search = breadth
        graph = graphs.Graph(index, rows, breadth, 0.0)
        worked = time.process_time()
        times, found = timed(lambda q, g=graph: best_of(g, matrix, q), queries)
        worked = (time.process_time() - worked) / (len(queries) + 1)
        shared = [len(set(a.tolist()) & set(b.tolist())) / 100 for a, b in zip(found, truth, strict=True)]
        report[f"breadth {breadth}"] = {
            "recall@100": round(float(np.mean(shared)), 4),
            "p50_ms": percentile(times, 50),
            "processor ms": round(1000 * worked, 1),
        }
    return report


def asked(matrix: np.ndarray) -> np.ndarray:
    """(40, C) unit rows: half near rows of the matrix, half in directions of their own."""
    rng = np.random.default_rng(2)
    near = matrix[rng.integers(0, len(matrix), 20)].astype(np.float32)
    near += rng.standard_normal(near.shape, dtype=np.float32) * 0.5 / GRAPH_WIDTH**0.5
    found = np.concatenate([near, rng.standard_normal(near.shape, dtype=np.float32)])
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def best_of(graph: Any, rows: np.ndarray, query: np.ndarray) -> np.ndarray:
    """The 100 rows of the largest exact products among those that the graph names."""
    found = graph.nearest(query)
    return found[np.argsort(-(rows[found].astype(np.float32) @ query), kind="stable")[:100]]


def timed(work: Callable[..., Any], queries: Any) -> tuple[list[float], list[Any]]:
    times, found = [], []
    work(queries[0])
    for query in queries:
        began = time.perf_counter()
        found.append(work(query))
        times.append(time.perf_counter() - began)
    return times, found


def percentile(times: list[float], share: float) -> float:
    """Milliseconds."""
    return round(1000 * float(np.percentile(times, share)), 2)


if __name__ == "__main__":
    raise SystemExit(main())
