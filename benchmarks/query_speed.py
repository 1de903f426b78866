"""What a query costs: packed, one by one over the cached prefix, and from scratch each time, in one run.

    python benchmarks/query_speed.py [--queries 32] [--model MODEL] [--video VIDEO]

The baseline is what code without a prefix cache does: the whole sequence again for every query. Times are
medians of several rounds; what counts are the ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

WORDS = ("the red circle", "the blue square", "a green triangle", "the yellow square")
VERBS = ("moves left", "moves right", "goes up", "goes down", "grows", "gets smaller")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--model", default=None)
    parser.add_argument("--video", default=None)
    parser.add_argument("--save", type=Path, default=None)
    args = parser.parse_args()
    import videoexpert
    from videoexpert.assets import SHIPPED_VIDEO

    expert = videoexpert.load(args.model)
    path = args.video or SHIPPED_VIDEO
    video = expert.open(path)
    queries = [f"{WORDS[i % len(WORDS)]} {VERBS[i // len(WORDS) % len(VERBS)]}" for i in range(args.queries)]
    video.ground(queries)  # the prefix, and whatever runs slower the first time

    def packed() -> None:
        video.ground(queries)

    def one_by_one() -> None:
        for query in queries:
            video.ground(query)

    def from_scratch() -> None:
        for query in queries:
            expert.open_tokens(video.tokens).ground(query)

    found = {f.__name__: median(f, args.rounds) for f in (packed, one_by_one, from_scratch)}
    found["open"] = median(lambda: expert.open(path), 3)
    report = {
        "model": expert.name,
        "queries": args.queries,
        "hardware": f"{os.cpu_count()} CPU cores",
        "milliseconds a query": {
            k: round(1000 * found[k] / args.queries, 2) for k in ("packed", "one_by_one", "from_scratch")
        },
        "open the video, seconds": round(found["open"], 3),
        "packed over one by one": round(found["one_by_one"] / found["packed"], 2),
        "packed over from scratch": round(found["from_scratch"] / found["packed"], 2),
    }
    print(json.dumps(report, indent=1))
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def median(work: Callable[[], object], rounds: int) -> float:
    """Median seconds of ``rounds`` calls."""
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    raise SystemExit(main())
