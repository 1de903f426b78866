"""The paper's evidence at the scale of the shipped model, as one page: docs/evidence.md and its pictures.

    videoexpert ablate head --recipe recipes/ablation.yaml --seeds 3 --out RUNS      # and the other tables
    python benchmarks/heldout.py --out DIR --save benchmarks/results/heldout.json
    python benchmarks/evidence.py --ablation RUNS

Reads the tables of `videoexpert ablate`, asks `videoexpert probe bias` of every seed with a head and with times as
text, draws `videoexpert panels` of both, and states for each claim of the paper whether it held here: a difference
counts where its 95% interval over seeds (paired) does not hold 0.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from videoexpert.evaluation.ablation_report import difference, mean_and_interval, to_markdown

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


@dataclass(frozen=True)
class Claim:
    """``better`` is to beat ``worse`` in ``metrics`` of a table."""

    text: str
    table: str
    better: str
    worse: str
    metrics: tuple[str, ...]


CLAIMS = (
    Claim(
        "A temporal head beats timestamps written as text",
        "head",
        "Ours",
        "w/o temporal head",
        (
            "charades-sta/R1@0.5",
            "charades-sta/mIoU",
            "qvhighlights/R1@0.5",
            "youcook2/SODA_c",
            "nextgqa/mIoU",
        ),
    ),
    Claim(
        "Content gains from the head, too",
        "head",
        "Ours",
        "w/o temporal head",
        ("nextgqa/Acc@QA", "youcook2/CIDEr", "youcook2/METEOR"),
    ),
    Claim(
        "Two experts beat one LoRA of equal size",
        "components",
        "Ours",
        "one LoRA of equal size",
        ("charades-sta/mIoU", "qvhighlights/R1@0.5", "youcook2/SODA_c", "nextgqa/Acc@GQA"),
    ),
    Claim(
        "Spatial Compress helps content: against random patch tokens",
        "components",
        "Ours",
        "w/o Spatial Compress",
        ("youcook2/SODA_c", "youcook2/CIDEr", "nextgqa/Acc@QA"),
    ),
    Claim(
        "Spatial Compress helps content: against no patch tokens",
        "components",
        "Ours",
        "w/o extra patch tokens",
        ("youcook2/SODA_c", "youcook2/CIDEr", "nextgqa/Acc@QA"),
    ),
    Claim(
        "Without `<LOC>` in the head, grounding falls apart",
        "fusion",
        "Add",
        "w/o <LOC>",
        ("charades-sta/R1@0.5", "qvhighlights/R1@0.5", "nextgqa/mIoU"),
    ),
    Claim(
        "The balanced rank split is best: against a temporal expert alone",
        "ranks",
        "alpha 0.5",
        "alpha 1",
        ("charades-sta/mIoU", "youcook2/SODA_c", "nextgqa/Acc@GQA"),
    ),
    Claim(
        "The balanced rank split is best: against a spatial expert alone",
        "ranks",
        "alpha 0.5",
        "alpha 0",
        ("charades-sta/mIoU", "youcook2/SODA_c", "nextgqa/Acc@GQA"),
    ),
    Claim(
        "More S-tokens tell more: twice U and W against none",
        "spatial",
        "8 x 16",
        "0 x 0",
        ("youcook2/SODA_c", "youcook2/CIDEr"),
    ),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ablation", type=Path, required=True, help="OUT of `videoexpert ablate`")
    parser.add_argument("--heldout", type=Path, default=ROOT / "benchmarks/results/heldout.json")
    parser.add_argument("--spatial", type=Path, default=ROOT / "benchmarks/results/spatial_tokens.json")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/evidence.md")
    parser.add_argument("--panels", type=int, default=1, help="videos drawn for each task")
    parser.add_argument("--commit", default=None, help="of the runs, where it is not the one checked out")
    args = parser.parse_args()
    pictures = args.out.parent / args.out.stem
    pictures.mkdir(parents=True, exist_ok=True)
    tables = {
        name: json.loads((args.ablation / f"{name}.json").read_text())
        for name in TABLES
        if (args.ablation / f"{name}.json").exists()
    }
    parts = [header(args.commit or commit()), claims(tables)]
    parts.append(bias(args.ablation, pictures))
    for name, summary in tables.items():
        shutil.copyfile(args.ablation / f"{name}.png", pictures / f"{name}.png")
        parts += [to_markdown(summary).rstrip(), picture(pictures, f"{name}.png", summary["title"])]
    if args.spatial.exists():
        parts.append(speed(json.loads(args.spatial.read_text())))
    parts.append(panels(args.ablation, pictures, args.panels))
    if args.heldout.exists():
        parts.append(card(json.loads(args.heldout.read_text())))
    args.out.write_text("\n\n".join(part for part in parts if part) + "\n", encoding="utf-8")
    print(f"written to {args.out}")
    return 0


def commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unknown"


def header(runs: str) -> str:
    return (
        "# The paper's evidence at the scale of the shipped model\n\n"
        "Written by `python benchmarks/evidence.py`, from `videoexpert ablate` on recipes/ablation.yaml "
        "([ablations.md](ablations.md)), `videoexpert probe bias` and `videoexpert panels`. Runs of commit "
        f"{runs}; {os.cpu_count()} CPU cores ({platform.machine()}), no GPU. A language "
        "model of a million parameters on coloured shapes is no Vicuna on real videos: what holds here holds here, "
        "and what does not hold here may hold there. The same commands run the full scale."
    )


def claims(tables: dict[str, Any]) -> str:
    """Each claim with the differences that it stands on, and a verdict by rule."""
    lines = [
        "## Claims",
        "",
        "| claim | difference, mean ± half the 95% interval (paired by seed) | here |",
        "|---|---|---|",
    ]
    for claim in CLAIMS:
        summary = tables.get(claim.table)
        if summary is None:
            lines.append(f"| {claim.text} | not run | - |")
            continue
        found = [(m, *difference(summary, claim.better, claim.worse, m)) for m in claim.metrics]
        text = "; ".join(f"{m.replace('/', ' ')} {mean:+.1f}{spread(half)}" for m, mean, half in found)
        lines.append(f"| {claim.text} | {text} ({summary['seeds']} seeds) | {verdict(found)} |")
    return "\n".join([*lines, "", by_seed(tables)])


def by_seed(tables: dict[str, Any], metric: str = "charades-sta/R1@0.5") -> str:
    """Why rows of a table spread more than their differences do."""
    rows = [row for table in tables.values() for row in table["rows"] if row["name"] == "Ours"]
    ours = [scores[metric] for scores in rows[0]["scores"]] if rows else []
    if len(ours) < 2:
        return ""
    return (
        "All variants of a seed see the same videos in the same order, so differences are paired by seed. Single rows "
        "spread more: at this budget a seed may or may not be past the steps in which a model of this size comes to "
        f"read the query at all. Ours, {metric.replace('/', ' ')} by seed: {', '.join(f'{v:.1f}' for v in ours)}."
    )


def spread(half: float | None) -> str:
    return "" if half is None else f" ± {half:.1f}"


def verdict(found: list[tuple[str, float, float | None]]) -> str:
    """In words: how many of the differences stand clear of 0, and on which side."""
    if all(half is None for _, _, half in found):
        return "one seed: no verdict"
    clear = [mean for _, mean, half in found if half is not None and abs(mean) > half]
    up, down = sum(mean > 0 for mean in clear), sum(mean < 0 for mean in clear)
    if up == len(found):
        return "**reproduced**"
    if up and not down:
        return f"partly: {up} of {len(found)} clear"
    if down and not up:
        return f"**did not reproduce**: {down} of {len(found)} clear the other way"
    return "mixed" if clear else "**did not reproduce**: no clear difference"


def bias(ablation: Path, pictures: Path) -> str:
    """Fig. 2 for both ways to say when, over all seeds; the picture shows the first."""
    reports: dict[str, list[dict[str, Any]]] = {}
    for name, folder in SYSTEMS.items():
        for run in sorted((ablation / "runs" / folder).glob("seed*")):
            out = ablation / "bias" / f"{folder}-{run.name}"
            first = ablation / "bias" / f"default-{run.name}" / "bias.json"
            compare = ["--compare", first] if name != "head" and first.exists() else []
            videoexpert(
                *("probe", "bias", "charades-sta", "--annotations", ablation / "world/charades-sta"),
                *("--videos", ablation / "world/videos", "--model", run / "model", "--name", name),
                *("--out", out, *compare),
            )
            reports.setdefault(name, []).append(json.loads((out / "bias.json").read_text()))
    if not reports:
        return ""
    shown = ablation / "bias" / f"{SYSTEMS['times as text']}-seed1" / "bias.png"
    if shown.exists():
        shutil.copyfile(shown, pictures / "bias.png")
    columns = [(name, c) for name, found in reports.items() for c in found[0]["conditions"]]
    first = next(iter(reports.values()))[0]
    lines = [
        "## Does it look at the video? (Fig. 2)",
        "",
        f"{first['queries']} queries about {first['videos']} videos; mean ± half the 95% interval over seeds. "
        "*another*: shown another video; *blank*: a grey one. Chance gives a distance of "
        f"{first['annotations']['chance_distance']:.2f}.",
        "",
        "| | " + " | ".join(f"{name}: {condition}" for name, condition in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for key, title in MEASURES.items():
        cells = [measure([r["conditions"][c].get(key) for r in reports[name]]) for name, c in columns]
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", picture(pictures, "bias.png", "Predicted and annotated windows")])


def measure(values: list[Any]) -> str:
    """A cell of the table of bias."""
    numbers = [v["bits"] if isinstance(v, dict) else v for v in values]
    known = [float(n) for n in numbers if n is not None]
    if not known:
        return "-"
    mean, half = mean_and_interval(known)
    digits = 1 if abs(mean) >= 10 else 2
    return f"{mean:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def panels(ablation: Path, pictures: Path, count: int) -> str:
    """Figures 6 and 7: both systems of the first seed, videos drawn by lot."""
    lines = ["## What answers look like (Fig. 6 and 7)", "", "Videos drawn by lot, not chosen."]
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
        f"{report['answer']}. The ratios to the first row are what compares: on a CPU a short answer is mostly the "
        "reading of the prefix, on the paper's GPU it is mostly the writing.",
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
        f"`python benchmarks/heldout.py`: {report['videos']} held-out videos of level {report['level']}, "
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
    lines.append("| others | " + ", ".join(f"{name} {value:.1f}" for name, value in others.items()) + " |")
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
