"""Scores of a model on held-out synthetic videos, through mp4 files, with controls beside them.

    python reports/heldout.py --videos 300 --seed 777 --out /tmp/heldout --save FILE
    python reports/heldout.py --tables FILE

Writes the videos with `videoexpert synth`, decodes and encodes them once with `videoexpert encode`, answers them with
`videoexpert eval`, and prints every metric with its 95% interval, and how the model does at other numbers of frames and
on questions without choices. Beside it, in the same run: random windows, the best constant window of a training world,
text-image similarity of the shipped CLIP tower (trained by contrast on frames of the same world, but not to localise),
the model shown another video, and the model shown a blank one. --tables prints the card of README.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from videoexpert.scoring.tables import markdown

if TYPE_CHECKING:
    from videoexpert.session import Expert

ROOT = Path(__file__).resolve().parent.parent
TRAINING_SEED = 31  # of the world whose windows give the constant guess; its videos are never rendered
TRAINING_VIDEOS = 2000
OPEN_VIDEOS = 100  # whose questions are asked without choices; each answer is generated word by word
FRAME_VIDEOS = 60
FRAMES = (32, 64, 128)
SHOWN = {
    "charades-sta": ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU"),
    "qvhighlights": ("R1@0.5", "R1@0.7", "mAP", "HL-mAP", "HIT@1"),
    "youcook2": ("SODA_c", "CIDEr", "METEOR"),
    "nextgqa": ("Acc@QA", "Acc@GQA", "mIoP", "IoP@0.5", "mIoU", "IoU@0.5"),
}
LABELS = {  # key among the report's controls -> what people read; {model} is the report's "model"
    "model": "{model} model",
    "random": "random window",
    "constant": f"constant window, best of {TRAINING_VIDEOS:,} training videos",
    "clip": "CLIP similarity of the shipped tower, not trained to localise",
    "shuffled": "{model} model, shown another video",
    "blank": "{model} model, shown a blank video",
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--videos", type=int, default=300)
    parser.add_argument("--seed", type=int, default=777, help="of the held-out world; never used in training")
    parser.add_argument("--level", type=int, default=None, help="default: the shipped level")
    parser.add_argument("--model", default=None, help="default: the shipped model")
    parser.add_argument("--save", type=Path, default=None, help="also write the table as JSON here")
    parser.add_argument(
        "--no-controls", dest="controls", action="store_false", help="the model's scores alone"
    )
    job = parser.add_mutually_exclusive_group(required=True)
    job.add_argument("--out", type=Path, help="folder for the videos and the answers; a killed run resumes")
    job.add_argument("--tables", type=Path, help="print README's tables of a JSON of --save; measure nothing")
    args = parser.parse_args(argv)
    if args.tables:
        print(readme_tables(json.loads(args.tables.read_text())))
        return 0
    report = measure(args)
    show(report)
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The whole report; what killed runs left in ``args.out`` is kept."""
    import videoexpert

    began = time.time()
    note_commit(args.out)
    world = args.out / "world"
    level = [] if args.level is None else ["--level", args.level]
    run("synth", world, "--videos", args.videos, "--seed", args.seed, "--test-share", 1, *level)
    made = json.loads((world / "world.json").read_text())
    results, controls = answer(world, args.out, made["level"], args.model, controls=args.controls)
    expert = videoexpert.load(args.model)
    system = results["charades-sta"]["run"]
    return {
        "videos": args.videos,
        "queries": system["samples"],
        "seed": args.seed,
        "level": made["level"],
        "model": args.model or "shipped",
        "weights": system["system"]["weights"],
        "absent_below": expert.config.absent_below,  # of the config, which the digest of the weights leaves out
        "commit": note_commit(args.out),
        **made_on(),
        "minutes": round((time.time() - began) / 60, 1),
        "absence": absence(expert, args.out / "charades-sta", world),
        "captions": {"events described": described(args.out / "youcook2", world)},
        "open questions": open_questions(expert, world),
        "frames": by_frames(expert, world),
        "results": {b: table(r, SHOWN[b]) for b, r in results.items()},
        "controls": {n: table(r, SHOWN["charades-sta"]) for n, r in controls.items()},
    }


def answer(
    world: Path, out: Path, level: int, model: str | None, *, controls: bool = True
) -> tuple[dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Results of the model by benchmark, and of the model and its controls on charades-sta."""
    shown = [] if model is None else ["--model", model]
    run("encode", "--videos", world / "videos", "--out", out / "features", *shown)
    source = ("--features", out / "features")
    results = {name: evaluate(name, world, out / name, *source, *shown) for name in SHOWN}
    beside = {"model": results["charades-sta"]}
    if not controls:
        return results, beside
    train = out / "train"
    write_annotations(train, level)
    for name, options in {
        "random": ("--baseline", "random"),
        "constant": ("--baseline", "constant", "--train-annotations", train / "charades-sta"),
        "clip": ("--baseline", "clip"),
        "shuffled": ("--control", "shuffled", *shown),
        "blank": ("--control", "blank", *shown),
    }.items():
        beside[name] = evaluate("charades-sta", world, out / name, *options)
    return results, beside


def run(*arguments: Any) -> None:
    """One command of the package that this script imports."""
    subprocess.run([sys.executable, "-m", "videoexpert.apps.cli", *map(str, arguments)], check=True)


def write_annotations(folder: Path, level: int) -> None:
    """Annotations of the training videos, without the videos: the constant guess needs no pixels."""
    from videoexpert.synthetic.write import WorldRecipe, annotation_files

    recipe = WorldRecipe(videos=TRAINING_VIDEOS, seed=TRAINING_SEED, level=level, test_share=0.0)
    for name, text in annotation_files(recipe, [recipe.script(i) for i in range(recipe.videos)]).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")


def evaluate(benchmark: str, world: Path, out: Path, *options: Any) -> dict[str, Any]:
    """One `videoexpert eval`, resumed if it was interrupted; of video files unless a feature store is given."""
    files = {"youcook2": "youcook2/youcookii_annotations_trainval.json"}
    annotations = world / files.get(benchmark, benchmark)
    split = {"charades-sta": "test", "qvhighlights": "val", "youcook2": "validation", "nextgqa": "test"}[
        benchmark
    ]
    videos = () if "--features" in options else ("--videos", world / "videos")
    run("eval", benchmark, "--annotations", annotations, *videos, "--out", out, "--split", split, *options)
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def absence(expert: Expert, out: Path, world: Path) -> dict[str, float]:
    """How the model tells queries that are true of a video from queries that are not; percent.

    out, world: answers to the true queries, and the folder whose world.json holds the others.
    """
    import torch

    from videoexpert.grounding.calibration import auc, expected_calibration_error

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
    missed = sum(p < expert.config.absent_below for p in present)
    absent, said = [], []
    for video in json.loads((world / "world.json").read_text())["videos"]:
        if video["absent_queries"]:
            opened = expert.open(world / "videos" / f"{video['id']}.mp4")
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


def open_questions(expert: Expert, world: Path) -> dict[str, float]:
    """Questions of nextgqa asked without their choices: percent answered in the right words, case and stop aside."""
    by_video: dict[str, list[dict[str, str]]] = {}
    with (world / "nextgqa/test.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            by_video.setdefault(row["video_id"], []).append(row)
    right = []
    for video, rows in list(by_video.items())[:OPEN_VIDEOS]:
        opened = expert.open(world / "videos" / f"{video}.mp4")
        right += [plain(opened.ask(row["question"]).text) == plain(row["answer"]) for row in rows]
    return {"exact match": 100 * sum(right) / len(right), "questions": len(right)}


def plain(text: str) -> str:
    return text.strip().rstrip(".").lower()


def by_frames(expert: Expert, world: Path) -> dict[str, float]:
    """R1@0.5 of grounding at each of FRAMES, on the first videos; percent."""
    asked: dict[str, list[tuple[str, tuple[float, float]]]] = {}
    for line in (world / "charades-sta/charades_sta_test.txt").read_text().splitlines():
        head, query = line.split("##")
        video, start, end = head.split()
        asked.setdefault(video, []).append((query.rstrip("."), (float(start), float(end))))
    found = {}
    for frames in FRAMES:
        hits = []
        for video, queries in list(asked.items())[:FRAME_VIDEOS]:
            opened = expert.open(world / "videos" / f"{video}.mp4", num_frames=frames)
            answers = opened.ground([query for query, _ in queries], 1)
            for moments, (_, window) in zip(answers, queries, strict=True):
                best = {"start": moments[0].start, "end": moments[0].end}
                hits.append(overlap(best, window) >= 0.5)
        found[str(frames)] = 100 * sum(hits) / len(hits)
    return found


def overlap(moment: dict[str, Any], window: Sequence[float]) -> float:
    """IoU of a moment with a window in seconds."""
    both = max(0.0, min(moment["end"], window[1]) - max(moment["start"], window[0]))
    return both / max(moment["end"] - moment["start"] + window[1] - window[0] - both, 1e-9)


def table(result: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {n: {"value": result["metrics"].get(n), "95%": result["intervals"].get(n)} for n in names}


def commit() -> str:
    """Of this script's repository, with ``-dirty`` where tracked files differ from it; "unknown" without one."""
    git = ("git", "-C", str(ROOT), "--git-dir=.git", "--work-tree=.")  # no repository above ROOT is meant
    found = subprocess.run(
        [*git, "describe", "--always", "--dirty", "--exclude=*"], capture_output=True, text=True, check=False
    )
    return found.stdout.strip() or "unknown"


def note_commit(out: Path) -> str:
    """All commits at which answers in ``out`` were made, usually one: runs resume, and code moves under them."""
    file = out / "commits.txt"
    known = file.read_text().splitlines() if file.exists() else []
    found = list(dict.fromkeys([*known, commit()]))
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(found) + "\n")
    return ", ".join(found)


def made_on() -> dict[str, str]:
    """The device that `videoexpert eval` picks by itself, in words."""
    from videoexpert.runtime import hardware, pick_device

    return hardware(pick_device("auto"))


def show(report: dict[str, Any]) -> None:
    """Everything that was measured, for people."""
    head = ("model", "weights", "absent_below", "level", "videos", "queries", "seed", "commit")
    for key in (*head, "hardware", "platform", "minutes"):
        print(f"{key:12} {report[key]}")
    controls = {label(report, name): row for name, row in report["controls"].items()}
    for title, rows in (("controls, charades-sta", controls), ("benchmarks", report["results"])):
        print(f"\n{title}")
        for name, metrics in rows.items():
            print(f"  {name:62} " + "   ".join(named(metrics, *metrics)))
    print("\nabsence, calibration and captions")
    frames = {f"R1@0.5 from {count} frames": value for count, value in report["frames"].items()}
    asked = {f"open questions, {name}": value for name, value in report["open questions"].items()}
    for name, value in {**report["absence"], **report["captions"], **asked, **frames}.items():
        print(f"  {name}: {value:.1f}")


def readme_tables(report: dict[str, Any]) -> str:
    """The two tables of README's card, as they stand there."""
    return f"{grounding_table(report)}\n\n{task_table(report)}"


def grounding_table(report: dict[str, Any]) -> str:
    """The model with its intervals, the controls without."""
    metrics = SHOWN["charades-sta"]
    asked = (
        f" ({report['queries']:,} queries)" if "queries" in report else ""
    )  # older reports do not count them
    rows = []
    for name, row in report["controls"].items():
        rows.append([label(report, name), *(cell(row[m], bounds=name == "model") for m in metrics)])
    return markdown([f"grounding{asked}", *metrics], rows)


def task_table(report: dict[str, Any]) -> str:
    """What the model scores in each task."""
    results, absent = report["results"], report["absence"]
    highlights, captions, answers = results["qvhighlights"], results["youcook2"], results["nextgqa"]
    hit, hl_map, recall, mean_ap = named(highlights, "HIT@1", "HL-mAP", "R1@0.5", "mAP", bounds=("HIT@1",))
    told = [*named(captions, "SODA_c"), f"CIDEr {cell(captions['CIDEr'], bounds=False, digits=0)}"]
    told += named(captions, "METEOR", bounds=())
    right = named(answers, "Acc@QA", "Acc@GQA", "mIoP", "mIoU", bounds=("Acc@QA", "Acc@GQA"))
    rows = {
        "highlights": f"{hit}, {hl_map} (Very Good); {recall}, {mean_ap}",
        "dense captions": f"{', '.join(told)}; {report['captions']['events described']:.1f} of 100 events described "
        "with thing and action right at IoU >= 0.5",
        "grounded QA, five choices": ", ".join(right),
        "events that are not there": f"AUC {absent['AUC']:.1f}; {absent['absent said absent']:.1f} of 100 absent "
        f"queries are said to be absent, and {absent['present said absent']:.1f} of 100 that are there",
        "calibration": f"ECE of the first moment {absent['ECE of the first moment']:.1f}",
    }
    if "open questions" in report:  # older reports have neither
        asked = report["open questions"]
        rows["questions without choices"] = (
            f"{asked['exact match']:.1f} of {asked['questions']:,} answered word for word"
        )
    if "frames" in report:
        counts = ", ".join(f"{value:.1f} from {frames}" for frames, value in report["frames"].items())
        rows["other numbers of frames"] = f"R1@0.5 {counts} frames"
    return markdown(["task", "scores"], [list(row) for row in rows.items()])


def label(report: dict[str, Any], name: str) -> str:
    return LABELS[name].format(model=report["model"])


def named(metrics: dict[str, Any], *names: str, bounds: Sequence[str] | None = None) -> list[str]:
    """``name value [low, high]`` of each; intervals of ``bounds`` only where it is given."""
    return [f"{n} {cell(metrics[n], bounds=bounds is None or n in bounds)}" for n in names]


def cell(entry: dict[str, Any], *, bounds: bool = True, digits: int = 1) -> str:
    """A value, with its interval where there is one."""
    if entry["value"] is None:
        return "not computed"
    text = f"{entry['value']:.{digits}f}"
    if bounds and entry["95%"]:
        text += " [" + ", ".join(f"{edge:.{digits}f}" for edge in entry["95%"]) + "]"
    return text


if __name__ == "__main__":
    raise SystemExit(main())
