"""The paper's claims: differences between two rows of a table of ``videoexpert ablate``, and verdicts on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from videoexpert.ablation.report import difference


@dataclass(frozen=True)
class Claim:
    """``better`` is to beat ``worse`` in ``metrics`` of a table: rows by name, or by number where names vary."""

    text: str
    table: str
    better: str | int
    worse: str | int
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
        -1,
        0,
        ("youcook2/SODA_c", "youcook2/CIDEr"),
    ),
)


def claim_rows(claims: tuple[Claim, ...], tables: dict[str, Any]) -> tuple[list[str], int]:
    """(lines of a Markdown table, a row a claim; how many differences they show)."""
    lines = [
        "| claim | difference, mean ± half the 95% interval (paired by seed) | here |",
        "|---|---|---|",
    ]
    count = 0
    for claim in claims:
        summary = tables.get(claim.table)
        if summary is None:
            lines.append(f"| {claim.text} | not run | - |")
            continue
        better, worse = (row_name(summary, row) for row in (claim.better, claim.worse))
        found = [(m, *difference(summary, better, worse, m)) for m in claim.metrics]
        count += len(found)
        text = "; ".join(f"{m.replace('/', ' ')} {mean:+.1f}{spread(half)}" for m, mean, half in found)
        steps = summary["about"].get("steps of a variant")
        budget = f"{summary['seeds']} seeds" + (f", {steps} steps" if steps else "")
        lines.append(f"| {claim.text} | {text} ({budget}) | {verdict(found)} |")
    return lines, count


def row_name(summary: dict[str, Any], row: str | int) -> str:
    return row if isinstance(row, str) else str(summary["rows"][row]["name"])


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
    return "mixed" if clear else "**not shown**: no clear difference"
