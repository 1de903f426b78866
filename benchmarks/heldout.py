"""Scores of a model on held-out synthetic videos, through mp4 files, with controls beside them.

    python benchmarks/heldout.py --videos 300 --seed 777 --out /tmp/heldout

Writes the videos with `videoexpert synth`, answers them with `videoexpert eval`, and prints every metric with
its 95% interval. Beside it, in the same run: random windows, the best constant window of a training world,
CLIP similarity without training, the model shown another video, and the model shown a blank one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TRAINING_SEED = 31  # of the world whose windows give the constant guess; its videos are never rendered
SHOWN = {
    "charades-sta": ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU"),
    "qvhighlights": ("R1@0.5", "R1@0.7", "mAP", "HL-mAP", "HIT@1"),
    "youcook2": ("SODA_c", "CIDEr", "METEOR"),
    "nextgqa": ("Acc@QA", "Acc@GQA", "mIoP", "IoP@0.5", "mIoU", "IoU@0.5"),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--seed", type=int, default=777, help="of the held-out world; never used in training")
    parser.add_argument("--level", type=int, default=None, help="default: the shipped level")
    parser.add_argument("--model", default=None, help="default: the shipped model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--save", type=Path, default=None, help="also write the table as JSON here")
    args = parser.parse_args()
    began = time.time()
    world = args.out / "world"
    level = [] if args.level is None else ["--level", str(args.level)]
    run("synth", world, "--videos", args.videos, "--seed", args.seed, "--test-share", "1", *level)
    train = args.out / "train"
    write_annotations(train, json.loads((world / "world.json").read_text())["level"])

    model = [] if args.model is None else ["--model", args.model]
    results: dict[str, dict[str, Any]] = {}
    for benchmark in SHOWN:
        results[benchmark] = evaluate(benchmark, world, args.out / benchmark, *model)
    charades = {"model": results["charades-sta"]}
    constant = ("--baseline", "constant", "--train-annotations", train / "charades-sta")
    for name, options in {
        "random": ("--baseline", "random"),
        "constant": constant,
        "clip": ("--baseline", "clip"),
        "shuffled": ("--control", "shuffled", *model),
        "blank": ("--control", "blank", *model),
    }.items():
        charades[name] = evaluate("charades-sta", world, args.out / name, *options)

    report = {
        "videos": args.videos,
        "seed": args.seed,
        "level": json.loads((world / "world.json").read_text())["level"],
        "model": args.model or "shipped",
        "weights": results["charades-sta"]["run"]["system"]["weights"],
        "commit": commit(),
        "hardware": f"{os.cpu_count()} CPU cores, {platform.machine()}, no GPU",
        "minutes": round((time.time() - began) / 60, 1),
        "absence": absence(args.out / "charades-sta", world, args.model),
        "captions": {"events described": described(args.out / "youcook2", world)},
        "results": {b: table(r, SHOWN[b]) for b, r in results.items()},
        "controls": {n: table(r, SHOWN["charades-sta"]) for n, r in charades.items()},
    }
    show(report)
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def run(*arguments: Any) -> None:
    subprocess.run(["videoexpert", *map(str, arguments)], check=True)


def write_annotations(folder: Path, level: int) -> None:
    """Annotations of 2000 training videos, without the videos: the constant guess needs no pixels."""
    from videoexpert.data.synthetic.write import WorldRecipe, annotation_files

    recipe = WorldRecipe(videos=2000, seed=TRAINING_SEED, level=level, test_share=0.0)
    for name, text in annotation_files(recipe, [recipe.script(i) for i in range(recipe.videos)]).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")


def evaluate(benchmark: str, world: Path, out: Path, *options: Any) -> dict[str, Any]:
    """One `videoexpert eval`, resumed if it was interrupted."""
    files = {"youcook2": "youcook2/youcookii_annotations_trainval.json"}
    annotations = world / files.get(benchmark, benchmark)
    split = {"charades-sta": "test", "qvhighlights": "val", "youcook2": "validation", "nextgqa": "test"}[
        benchmark
    ]
    run("eval", benchmark, "--annotations", annotations, "--videos", world / "videos", "--out", out,
        "--split", split, *options)  # fmt: skip
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def absence(out: Path, world: Path, model: str | None) -> dict[str, float]:
    """AUC of the presence score on queries that are true of a video against queries that are not."""
    import torch

    import videoexpert
    from videoexpert.grounding.calibration import auc, expected_calibration_error

    expert = videoexpert.load(model)
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    truth = {}
    for number, line in enumerate((world / "charades-sta/charades_sta_test.txt").read_text().splitlines(), 1):
        video, start, end = line.split("##")[0].split()
        truth[f"{video}_{number}"] = (float(start), float(end))
    right = []
    for row in rows:
        right.append(overlap(row["moments"][0], truth[row["id"]]) >= 0.5)
    scores = [row["moments"][0]["score"] for row in rows]
    present = [row["presence"] for row in rows]
    missed = sum(p < expert.model.config.absent_below for p in present)
    absent, said = [], []
    for video in json.loads((world / "world.json").read_text())["videos"]:
        opened = expert.open(world / "videos" / f"{video['id']}.mp4")
        if video["absent_queries"]:
            found = opened.ground(video["absent_queries"])
            absent += [m.presence for m in found]
            said += [m.absent for m in found]
            scores += [m[0].score for m in found]
            right += [False] * len(found)
    labels = torch.tensor([1.0] * len(present) + [0.0] * len(absent))
    return {
        "AUC": 100 * float(auc(torch.tensor([*present, *absent]), labels)),
        "absent said absent": 100 * sum(said) / max(len(said), 1),
        "present said absent": 100 * missed / len(present),
        "ECE of the first moment": 100
        * expected_calibration_error(torch.tensor(scores), torch.tensor(right, dtype=torch.float32)),
    }


def described(out: Path, world: Path) -> float:
    """Percent of events that a caption tells with the right thing and action, at a moment of IoU >= 0.5."""
    rows = [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]
    told = {row["video"]: row["moments"] for row in rows}
    database = json.loads((world / "youcook2/youcookii_annotations_trainval.json").read_text())["database"]
    found = []
    for video, entry in database.items():
        for event in entry["annotations"]:
            found.append(
                any(
                    m["text"].rstrip(".") == event["sentence"] and overlap(m, event["segment"]) >= 0.5
                    for m in told[video]
                )
            )
    return 100 * sum(found) / len(found)


def overlap(moment: dict[str, Any], window: Sequence[float]) -> float:
    """IoU of a moment with a window in seconds."""
    both = max(0.0, min(moment["end"], window[1]) - max(moment["start"], window[0]))
    return both / max(moment["end"] - moment["start"] + window[1] - window[0] - both, 1e-9)


def table(result: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {n: {"value": result["metrics"].get(n), "95%": result["intervals"].get(n)} for n in names}


def commit() -> str:
    found = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def show(report: dict[str, Any]) -> None:
    for key in ("model", "weights", "level", "videos", "seed", "commit", "hardware", "minutes"):
        print(f"{key:10} {report[key]}")
    for title, rows in (("controls, charades-sta", report["controls"]), ("benchmarks", report["results"])):
        print(f"\n{title}")
        for name, metrics in rows.items():
            cells = []
            for metric, cell in metrics.items():
                value, bounds = cell["value"], cell["95%"]
                text = "not computed" if value is None else f"{value:.1f}"
                cells.append(f"{metric} {text}" + (f" [{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else ""))
            print(f"  {name:14} " + "   ".join(cells))
    print("\nabsence, calibration and captions")
    for name, value in {**report["absence"], **report["captions"]}.items():
        print(f"  {name}: {value:.1f}")


if __name__ == "__main__":
    raise SystemExit(main())
