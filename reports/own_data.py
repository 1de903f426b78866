"""How much the results of docs/own-data.md vary: its example with several seeds and numbers of threads.

    python reports/own_data.py --out DIR [--seeds 0 1 2] [--threads 1]      runs what DIR does not hold yet
    python reports/own_data.py --out DIR --tables                           prints the table of all runs of DIR

The commands are those of the page, each in a process of its own with that many OpenMP threads. A run that was killed
is resumed. The table is the page's: mean, standard deviation and range over the runs of DIR, and the model before.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from videoexpert.scoring.tables import markdown

METRICS = ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU")
WORLDS = {"held": "new words", "known": "known words"}
SYNTH = {
    "clips": ("--videos", "50", "--seed", "50", "--test-share", "0", "--wording", "other"),
    "held": ("--videos", "60", "--seed", "51", "--test-share", "1", "--wording", "other"),
    "known": ("--videos", "60", "--seed", "51", "--test-share", "1"),
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for videos, runs and results")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--steps", type=int, default=None, help="fewer, to try the script")
    parser.add_argument("--tables", action="store_true", help="print the table and run nothing")
    args = parser.parse_args(argv)
    if not args.tables:
        prepare(args.out)
        for threads in args.threads:
            for seed in args.seeds:
                run(args.out, seed, threads, args.steps)
    print(table(args.out))
    return 0


def prepare(out: Path) -> None:
    """The three worlds, and the scores of the model before."""
    out.mkdir(parents=True, exist_ok=True)
    for name, options in SYNTH.items():
        if not (out / name).is_dir():
            call("synth", out / name, *options)
    source = out / "clips" / "charades-sta" / "charades_sta_train.txt"
    if not (out / "clips.jsonl").exists():
        call("data", "import", "charades-sta", source, out / "clips.jsonl")
    score(out, "before", None, threads=1)


def run(out: Path, seed: int, threads: int, steps: int | None) -> None:
    """Fine-tune once and score the result on both worlds."""
    name = f"seed{seed}-threads{threads}"
    if not (out / name / "model").is_dir():
        fewer = () if steps is None else ("--set", f"training.steps={steps}")
        call(
            "finetune", out / "clips.jsonl", "--videos", out / "clips" / "videos", "--out", out / name,
            "--seed", seed, *fewer, threads=threads,
        )  # fmt: skip
    score(out, name, out / name / "model", threads)


def score(out: Path, name: str, model: Path | None, threads: int) -> None:
    """``eval`` on both worlds; a finished one is kept."""
    for world in WORLDS:
        there = out / f"{name}-{world}"
        if not (there / "result.json").exists():
            call(
                "eval", "charades-sta", "--annotations", out / world / "charades-sta", "--videos",
                out / world / "videos", *(() if model is None else ("--model", model)), "--out", there,
                threads=threads,
            )  # fmt: skip


def call(*arguments: object, threads: int = 1) -> None:
    """One command of videoexpert in a process of its own; raises CalledProcessError where it fails."""
    print("videoexpert", *arguments, file=sys.stderr)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    command = [sys.executable, "-m", "videoexpert", *map(str, arguments)]
    subprocess.run(command, env=environment, check=True, stdout=sys.stderr)


def table(out: Path) -> str:
    """Markdown: before, and mean, standard deviation and range of the runs that both worlds scored."""
    finished = sorted(
        p.name for p in out.glob("seed*-threads*") if (out / f"{p.name}-known/result.json").exists()
    )
    rows = []
    for world, words in WORLDS.items():
        rows.append([f"{words}, before", *(f"{v:.1f}" for v in scores(out, "before", world))])
        runs = list(zip(*(scores(out, name, world) for name in finished), strict=True))
        rows.append([f"{words}, after", *map(spread, runs)])
    return f"{len(finished)} runs: {', '.join(finished)}\n\n" + markdown(["", *METRICS], rows)


def scores(out: Path, name: str, world: str) -> list[float]:
    """The metrics of one evaluation, in the order of METRICS."""
    found = json.loads((out / f"{name}-{world}" / "result.json").read_text(encoding="utf-8"))["metrics"]
    return [found[metric] for metric in METRICS]


def spread(values: Sequence[float]) -> str:
    """Mean, sample standard deviation (of one value: none) and range.

    >>> spread([1.0, 2.0, 3.0])
    '2.0 ± 1.0 (1.0 to 3.0)'
    """
    if len(values) == 1:
        return f"{values[0]:.1f}"
    deviation = statistics.stdev(values)
    return f"{statistics.mean(values):.1f} ± {deviation:.1f} ({min(values):.1f} to {max(values):.1f})"


if __name__ == "__main__":
    raise SystemExit(main())
