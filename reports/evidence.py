"""The paper's evidence at the scale of the shipped model, as one page: docs/evidence.md and its pictures.

    videoexpert ablate head --recipe recipes/ablation.yaml --seeds 3 --out RUNS      # and the other tables
    python reports/heldout.py --out DIR --save benchmarks/results/heldout.json
    python reports/evidence.py --ablation RUNS COMMIT

Reads the tables of `videoexpert ablate`, asks `videoexpert probe bias` of every seed with a head and with times as
text, draws `videoexpert panels` of both, and states for each claim of the paper whether it held here: a difference
counts where its 95% interval over seeds (paired) does not hold 0. A table that the first RUNS lacks is taken from the
next that has it (--ablation OTHER COMMIT); bias and panels are of the first.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import doc_tables
from claims import CLAIMS, claim_rows
from videoexpert.ablation.report import mean_and_interval, to_markdown

ROOT = Path(__file__).resolve().parent.parent
TABLES = ("head", "components", "fusion", "ranks", "spatial")
SYSTEMS = {"head": "default", "times as text": "times=text"}  # name -> folder of its runs
PANELS = {
    "charades-sta": ("charades-sta", "test", "Temporal grounding"),
    "qvhighlights": ("qvhighlights", "val", "Highlight detection"),
    "nextgqa": ("nextgqa", "test", "Grounded question answering"),
    "youcook2": ("youcook2/youcookii_annotations_trainval.json", "validation", "Dense captioning"),
}
MEASURES = {
    "R1@0.5": "R1@0.5, percent",
    "mIoU": "mIoU, percent",
    "repeated": "repeated predictions, share",
    "distance": "distance to the annotated windows, 0 to 1",
    "moment_bits": "bits about the moment",
    "video_bits": "bits about the video",
    "overlap_with_true": "overlap with the answer to the true video",
}


# name -> where a report of heldout.py has it, and the percent that are asked (of the ECE, at most)
TARGETS: dict[str, tuple[tuple[str, ...], int]] = {
    "R1@0.5": (("results", "charades-sta", "R1@0.5", "value"), 85),
    "R1@0.7": (("results", "charades-sta", "R1@0.7", "value"), 65),
    "mIoU": (("results", "charades-sta", "mIoU", "value"), 70),
    "HIT@1": (("results", "qvhighlights", "HIT@1", "value"), 88),
    "Acc@QA": (("results", "nextgqa", "Acc@QA", "value"), 85),
    "Acc@GQA": (("results", "nextgqa", "Acc@GQA", "value"), 75),
    "events described": (("captions", "events described"), 70),
    "absence AUC": (("absence", "AUC"), 95),
    "ECE": (("absence", "ECE of the first moment"), 4),
}
HEADER = (
    "# The paper's evidence at the scale of the shipped model\n\n"
    "Written by `python reports/evidence.py`, from `videoexpert ablate` on recipes/ablation.yaml "
    "([ablations.md](ablations.md)), `videoexpert probe bias` and `videoexpert panels`, all run on CPU cores. A "
    "language model of a million parameters on coloured shapes is no Vicuna on real videos: what holds here holds "
    "here, and what does not hold here may hold there. `videoexpert ablate` runs at full scale, too."
)
CAVEATS = (
    "A seed sets the new weights of a variant and the order of its batches. All variants of a seed see the same videos "
    "in the same order, so differences are paired by seed; the base model, the training videos and the test videos are "
    "the same for all seeds, so the intervals do not speak for others. *Not shown* is no refutation: the "
    "paper's own differences are often smaller than these intervals. Of {count} intervals about {chance:.0f} would be "
    "clear of 0 by chance alone.\n\n"
    "Head and text differ by more than the form of a time: variants with a head also have `alignment_weight` (ours, "
    "not the paper's) and start from the base's projection, which what is asked was read off; the variant with "
    "text has neither."
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--ablation",
        nargs=2,
        action="append",
        required=True,
        metavar=("RUNS", "COMMIT"),
        help="OUT of `videoexpert ablate`, and the commit that ran it",
    )
    parser.add_argument(
        "--heldout",
        type=Path,
        default=ROOT / "benchmarks/results/heldout.json",
        help="of reports/heldout.py for the shipped level; heldout_level*.json beside it are of others",
    )
    parser.add_argument("--spatial", type=Path, default=ROOT / "benchmarks/results/spatial_tokens.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/evidence.md")
    parser.add_argument("--panels", type=int, default=1, help="videos drawn for each task")
    args = parser.parse_args()
    pictures = args.out.parent / args.out.stem
    pictures.mkdir(parents=True, exist_ok=True)
    runs = {Path(folder): commit for folder, commit in args.ablation}
    first = next(iter(runs))
    tables = find_tables(runs)
    parts = [HEADER, claims(tables)]
    if "head" in tables:
        parts.append(bias(first, pictures, tables["head"]["seeds"]))
    for name, summary in tables.items():
        parts.append(to_markdown(summary).rstrip())
        if summary["picture"].exists():
            shutil.copyfile(summary["picture"], pictures / f"{name}.png")
            parts.append(picture(pictures, f"{name}.png", summary["title"]))
    parts.append(doc_tables.marked("fair"))
    if args.spatial.exists():
        parts.append(speed(json.loads(args.spatial.read_text())))
    parts.append(panels(first, pictures, args.panels))
    if args.heldout.exists():
        parts.append(card(json.loads(args.heldout.read_text())))
        found = [args.heldout, *sorted(args.heldout.parent.glob(f"{args.heldout.stem}_level*.json"))]
        parts.append(levels([json.loads(file.read_text()) for file in found]))
    args.out.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    print(f"written to {args.out}")
    return 0


def find_tables(runs: dict[Path, str]) -> dict[str, Any]:
    """Each table from the first folder that has it, with the commit of its runs and the path of its picture."""
    tables = {}
    for name in TABLES:
        for folder, commit in runs.items():
            file = folder / f"{name}.json"
            if file.exists():
                summary = json.loads(file.read_text())
                summary["about"]["runs of commit"] = commit
                tables[name] = {**summary, "picture": file.with_suffix(".png")}
                break
    return tables


def claims(tables: dict[str, Any]) -> str:
    """Each claim with the differences that it stands on, and a verdict by rule."""
    lines, count = claim_rows(CLAIMS, tables)
    text = CAVEATS.format(count=count, chance=count / 20)
    return "\n".join(["## Claims", "", *lines, "", text, "", by_seed(tables)]).rstrip()


def by_seed(tables: dict[str, Any], metric: str = "charades-sta/R1@0.5") -> str:
    """What each seed of the reference scored: where they lie far apart, so do the rows of a table."""
    found: dict[Any, list[dict[str, float]]] = {}
    for table in tables.values():
        steps = table["about"].get("steps of a variant", "?")
        for row in table["rows"]:
            if row["name"] == "Ours":
                found[steps] = row["scores"]
    lines = [
        f"{', '.join(f'{scores[metric]:.1f}' for scores in seeds)} ({steps} steps)"
        for steps, seeds in found.items()
        if len(seeds) > 1
    ]
    return f"Ours, {metric.replace('/', ' ')} by seed: {'; '.join(lines)}." if lines else ""


def bias(ablation: Path, pictures: Path, seeds: int) -> str:
    """Fig. 2 for both ways to say when, over all seeds; the picture shows the first."""
    reports: dict[str, list[dict[str, Any]]] = {name: [] for name in SYSTEMS}
    for name, folder in SYSTEMS.items():
        for seed in range(1, seeds + 1):
            out = ablation / "bias" / f"{folder}-seed{seed}"
            first = ablation / "bias" / f"{SYSTEMS['head']}-seed{seed}" / "bias.json"
            compare = ["--compare", first] if name != "head" else []
            videoexpert(
                *("probe", "bias", "charades-sta", "--annotations", ablation / "world/charades-sta"),
                *("--videos", ablation / "world/videos", "--name", name),
                *("--model", ablation / "runs" / folder / f"seed{seed}" / "model", "--out", out, *compare),
            )
            reports[name].append(json.loads((out / "bias.json").read_text()))
    shutil.copyfile(
        ablation / "bias" / f"{SYSTEMS['times as text']}-seed1" / "bias.png", pictures / "bias.png"
    )
    return "\n".join(
        [*bias_table(reports), "", picture(pictures, "bias.png", "Predicted and annotated windows")]
    )


def bias_table(reports: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Systems and conditions across, beside what the annotations themselves get."""
    columns = [(name, c) for name, found in reports.items() for c in found[0]["conditions"]]
    first = next(iter(reports.values()))[0]
    lines = [
        "## Does it look at the video? (Fig. 2)",
        "",
        f"{first['queries']} queries about {first['videos']} videos; mean ± half the 95% interval over seeds. "
        "*another*: shown another video; *blank*: a grey one. As many windows drawn from the annotated ones would "
        f"lie at a distance of {first['annotations']['chance_distance']:.2f} from them. Answers are from the mp4 "
        "files; the tables below are from a store of tokens in half precision, which can move a score by a query or "
        "two.",
        "",
        "| | annotated | " + " | ".join(f"{name}: {condition}" for name, condition in columns) + " |",
        "|---" * (len(columns) + 2) + "|",
    ]
    for key, title in MEASURES.items():
        cells = [measure([r["conditions"][c].get(key) for r in reports[name]]) for name, c in columns]
        lines.append(f"| {title} | {measure([first['annotations'].get(key)])} | " + " | ".join(cells) + " |")
    return lines


def measure(values: list[Any]) -> str:
    """A cell of the table of bias; says of how many seeds where not all have a value."""
    numbers = [v["bits"] if isinstance(v, dict) else v for v in values]
    known = [float(n) for n in numbers if n is not None]
    if not known:
        return "-"
    mean, half = mean_and_interval(known)
    digits = 1 if abs(mean) >= 10 else 2
    mean = round(mean, digits) + 0.0  # no sign before 0
    of = "" if len(known) == len(numbers) else f" ({len(known)} of {len(numbers)} seeds)"
    return f"{mean:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}") + of


def panels(ablation: Path, pictures: Path, count: int) -> str:
    """Figures 6 and 7: both systems of the first seed, videos drawn by lot."""
    lines = ["## What answers look like (Figs. 6 and 7)", "", "Videos drawn by lot, not chosen."]
    for benchmark, (file, split, title) in PANELS.items():
        out = ablation / "panels" / benchmark
        options: list[Any] = []
        for name, folder in SYSTEMS.items():
            predictions = ablation / "runs" / folder / "seed1" / benchmark / "predictions.jsonl"
            options += ["--predictions", predictions, "--name", name]
        shutil.rmtree(out, ignore_errors=True)
        videoexpert(
            *("panels", benchmark, "--annotations", ablation / "world" / file, "--split", split),
            *("--videos", ablation / "world/videos", *options, "--out", out, "--count", count),
        )
        for number, found in enumerate(sorted(out.glob("*.png")), start=1):
            name = f"panels-{benchmark}-{number}.png"
            shutil.copyfile(found, pictures / name)
            lines += ["", picture(pictures, name, title)]
    return "\n".join(lines)


def speed(report: dict[str, Any]) -> str:
    """Table VIII's measure as benchmarks/spatial_tokens.py left it."""
    columns = list(report["rows"][0])
    lines = [
        "## Speed and memory by S-tokens (Table VIII)",
        "",
        f"`python benchmarks/spatial_tokens.py`: {report['shape']}; {report['hardware']}, {report['platform']}; "
        f"{report['answer']}. Only the ratios to the first row can be compared with the paper's.",
        "",
        "| " + " | ".join(columns) + " |",
        "|---" * len(columns) + "|",
    ]
    lines += ["| " + " | ".join(shown(row[name]) for name in columns) + " |" for row in report["rows"]]
    return "\n".join(lines)


def shown(value: Any) -> str:
    return "-" if value is None else value if isinstance(value, str) else f"{value:.3g}"


def card(report: dict[str, Any]) -> str:
    """The shipped model's scores with its controls."""
    lines = [
        "## The shipped model",
        "",
        f"`python reports/heldout.py`: {report['videos']} held-out videos of level {report['level']}, "
        f"seed {report['seed']}, as mp4 files, all phrasings; weights {report['weights']}, commit "
        f"{report['commit']}; percent, 95% intervals.",
        "",
        "| grounding | R1@0.3 | R1@0.5 | R1@0.7 | mIoU |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {name} | " + " | ".join(map(cell, row.values())) + " |"
        for name, row in report["controls"].items()
    ]
    lines += ["", "| benchmark | scores |", "|---|---|"]
    for name, row in report["results"].items():
        lines.append(f"| {name} | " + ", ".join(f"{k} {cell(v)}" for k, v in row.items()) + " |")
    others = {**report["absence"], **report.get("captions", {})}
    if "open questions" in report:
        others["questions without choices, word for word"] = report["open questions"]["exact match"]
    others |= {f"R1@0.5 from {count} frames": value for count, value in report.get("frames", {}).items()}
    lines.append("| others | " + ", ".join(f"{name} {value:.1f}" for name, value in others.items()) + " |")
    return "\n".join(lines)


def levels(reports: list[dict[str, Any]]) -> str:
    """How far up the world's levels the targets hold: a row for each report of heldout.py; bold is missed."""
    lines = [
        "### By level of the world",
        "",
        "What was asked of the shipped model, and what it scores on held-out videos of each level; **bold** misses it.",
        "",
        "| level | model | " + " | ".join(TARGETS) + " |",
        "|---" * (len(TARGETS) + 2) + "|",
        "| | asked | " + " | ".join(str(asked) for _, asked in TARGETS.values()) + " |",
    ]
    for report in sorted(reports, key=lambda report: int(report["level"])):
        cells = []
        for name, ((part, *rest), asked) in TARGETS.items():
            value = report[part]
            for key in rest:
                value = value[key]
            missed = value > asked if name == "ECE" else value < asked
            cells.append(f"**{value:.1f}**" if missed else f"{value:.1f}")
        lines.append(f"| {report['level']} | {report['model']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def cell(entry: dict[str, Any]) -> str:
    """A value with its interval."""
    if entry["value"] is None:
        return "-"
    bounds = entry["95%"]
    return f"{entry['value']:.1f}" + (f" [{bounds[0]:.1f}, {bounds[1]:.1f}]" if bounds else "")


def picture(pictures: Path, name: str, title: str) -> str:
    return f"![{title}]({pictures.name}/{name})"


def videoexpert(*arguments: Any) -> None:
    command = [sys.executable, "-m", "videoexpert.apps.cli", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    raise SystemExit(main())
