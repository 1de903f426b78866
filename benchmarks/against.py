"""Whether commands became slower: the same work by this checkout and by an earlier one, in turns.

    python benchmarks/against.py BEFORE [--rows score,ground,encode,finetune] [--repeats 5] [--save FILE]

BEFORE is another checkout, e.g. ``git worktree add ../before COMMIT``. Each measurement is a whole process, in CPU
seconds, because a busy machine changes those least; a ratio below one means that this checkout is faster. Both run
BEFORE's shipped model on the same files, so that the weights are the same.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from videoexpert.runtime import hardware, pick_device

ROOT = Path(__file__).resolve().parent.parent
RUN = "import sys; from videoexpert.apps.cli import main; sys.argv[0] = 'videoexpert'; sys.exit(main())"
THINGS = ("red circle", "blue square", "green triangle", "yellow square", "purple cross")
DOINGS = ("moves left", "moves right", "goes up", "goes down")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("before", type=Path)
    parser.add_argument("--rows", default=",".join(ROWS), help="some of " + ", ".join(ROWS))
    parser.add_argument("--repeats", type=int, default=5, help="medians are shown")
    parser.add_argument("--videos", type=int, default=12, help="synthetic videos to encode and to train on")
    parser.add_argument(
        "--steps", type=int, default=40, help="of fine-tuning; two counts tell a step from the rest"
    )
    parser.add_argument("--save", type=Path, default=None)
    args = parser.parse_args(argv)
    report: dict[str, Any] = {
        **hardware(pick_device("cpu")),
        "measured": "CPU seconds of whole processes",
        "steps": args.steps,
    }
    with tempfile.TemporaryDirectory() as made:
        work = Path(made)
        world = work / "world"
        run(ROOT, ["synth", str(world), "--videos", str(args.videos), "--size", "128", "--level", "3"])
        for name in args.rows.split(","):
            report[name] = compare(name, args, work, world)
            print(json.dumps({name: report[name]}), flush=True)
    if args.save:
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def compare(name: str, args: argparse.Namespace, work: Path, world: Path) -> dict[str, float]:
    """Median seconds of both checkouts and their ratio; the first round warms caches and is dropped."""
    model = args.before / "src" / "videoexpert" / "assets" / "model"
    taken: dict[Path, list[float]] = {args.before.resolve(): [], ROOT: []}
    for number in range(args.repeats + 1):
        for checkout, own in taken.items():
            fresh = work / f"{name}-{number}-{checkout.name}"
            seconds = run(checkout, ROWS[name](model, world, fresh, args.steps))
            if number:
                own.append(seconds)
    before, now = (statistics.median(own) for own in taken.values())
    return {"before s": round(before, 3), "now s": round(now, 3), "ratio": round(now / before, 3)}


def run(checkout: Path, arguments: list[str]) -> float:
    """CPU seconds of one command with the package of ``checkout``, its children included."""
    environment = {**os.environ, "PYTHONPATH": str(checkout / "src"), "OMP_WAIT_POLICY": "PASSIVE"}
    began = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments], check=False, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{checkout}: videoexpert {' '.join(arguments)} failed:\n{done.stderr[-2000:]}")
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime - began.ru_utime + ended.ru_stime - began.ru_stime


def score(model: Path, world: Path, fresh: Path, steps: int) -> list[str]:
    golden = Path(os.environ.get("VIDEOEXPERT_SHARED", ROOT.parent / "shared")) / "golden" / "qvhighlights"
    predictions = golden / "moment_detr_sample_val" / "predictions.jsonl.gz"
    truth = golden / "ground_truth.jsonl.gz"
    return ["score", "qvhighlights", "--predictions", str(predictions), "--annotations", str(truth)]


def ground(model: Path, world: Path, fresh: Path, steps: int) -> list[str]:
    queries = [f"the {thing} {doing}" for thing in THINGS for doing in DOINGS]
    video = model.parent / "demo.mp4"
    return ["ground", str(video), *queries, "--model", str(model), "--format", "json"]


def encode(model: Path, world: Path, fresh: Path, steps: int) -> list[str]:
    return ["encode", "--videos", str(world / "videos"), "--out", str(fresh), "--model", str(model)]


def finetune(model: Path, world: Path, fresh: Path, steps: int) -> list[str]:
    clips = world / "clips.jsonl"
    if not clips.exists():
        files = sorted((world / "charades-sta").glob("*.txt"))
        clips.write_text("".join(own_data(line) for file in files for line in file.read_text().splitlines()))
    folders = ["--videos", str(world / "videos"), "--out", str(fresh), "--model", str(model)]
    return ["finetune", str(clips), *folders, "--set", f"training.steps={steps}"]


def own_data(line: str) -> str:
    """A line of Charades-STA as one of own data."""
    where, query = line.split("##")
    video, start, end = where.split()
    sample = {"video": video, "query": query, "moments": [[float(start), float(end)]]}
    return json.dumps(sample) + "\n"


ROWS = {"score": score, "ground": ground, "encode": encode, "finetune": finetune}

if __name__ == "__main__":
    sys.exit(main())
