"""The paper's components on a base that has read and never seen: a section of docs/evidence.md.

    videoexpert ablate components --recipe recipes/ablation_fair.yaml --seeds 5 --out RUNS     # times, ranks, spatial
    python reports/fair.py RUNS      keeps the tables of RUNS as docs/evidence/fair-TABLE.json and draws their pictures

``python reports/doc_tables.py`` then writes the section into the page.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from claims import CLAIMS, Claim, claim_rows, row_name
from videoexpert.ablation.report import difference, draw, to_markdown

KEPT = Path(__file__).resolve().parent.parent / "docs" / "evidence"
TABLES = ("components", "times", "ranks", "spatial")
# A variant without the head is a row of `times` here, and how frames and <LOC> meet was not run this way.
FAIR_CLAIMS = tuple(
    replace(claim, table="times") if claim.table == "head" else claim
    for claim in CLAIMS
    if claim.table != "fusion"
)
INTRODUCTION = (
    "## On a base that has only read\n\n"
    "`videoexpert ablate TABLE --recipe recipes/ablation_fair.yaml --seeds 5`: the language model is trained on text "
    "alone, never sees a frame and is then frozen, as the paper's is; videos carry letters, digits and patterns that "
    "only patch tokens hold; ranks are 4 ([ablations.md](ablations.md) says why). The vision tower is the one before "
    "the shipped model's present one (width 96). Every score of every seed stands in `docs/evidence/fair-*.json`."
)
CHANCE = (
    "Of {count} intervals about {chance:.0f} would be clear of 0 by chance alone. Over all measures of the tables, "
    "these are clear of 0, in favour of the paper's form where the sign is plus (1 in 20 would be by chance):"
)

NEEDS = (
    "**What each claim needs to hold.** *The head*: nothing more here. On a base that only ever read text, no form of "
    "text comes to point anywhere within the budget; of captions in seconds none could be used at all. This shows that "
    "the head learns where text does not, and not what text would reach with a longer budget or a base that is trained "
    "along. *Patch tokens, and Spatial Compress over random ones*: they help to describe content, as the paper says, "
    "and cost a point of grounding, which it does not say. The gains are a point or three of a poor score (Acc@QA 29 "
    "to 32, where a guess among five gives 20), so a clear answer needs variants that name details well above chance: "
    "a longer budget or a larger base. *Two experts over one LoRA*: a task that the shared rank cannot hold; at four "
    "ranks each, one LoRA of eight does both tasks as well. *The balanced split of ranks*: half of it holds. Without a "
    "spatial expert captions get worse; without a temporal one nothing does, since the head and the `<LOC>` rows, "
    "which every variant trains, learn to point without it. That half needs a language model whose answers at `<LOC>` "
    "are limited by its own weights. *More S-tokens*: captions rise with each doubling, as in the paper (CIDEr 46, 54, "
    "63, 71), but seeds differ as much; METEOR and Acc@QA stand clear of a model without any. More seeds would tell."
)


def section() -> str:
    """The whole section in Markdown, from the tables that are kept."""
    tables = {name: json.loads(file.read_text()) for name in TABLES if (file := kept(name)).exists()}
    rows, count = claim_rows(FAIR_CLAIMS, tables)
    parts = [INTRODUCTION, "\n".join(rows), CHANCE.format(count=count, chance=count / 20)]
    parts.append(
        "\n".join(clear(claim, tables[claim.table]) for claim in once(FAIR_CLAIMS) if claim.table in tables)
    )
    for name, summary in tables.items():
        rows_of_ours = [{**row, "paper": {}} for row in summary["rows"]]  # the paper's stand further up
        title = f"{summary['title']} (a base that has only read)"
        parts.append(to_markdown({**summary, "title": title, "rows": rows_of_ours}).rstrip())
        if kept(name).with_suffix(".png").exists():
            parts.append(f"![{title}]({KEPT.name}/fair-{name}.png)")
    parts.append(NEEDS)
    return "\n\n".join(parts)


def once(claims: tuple[Claim, ...]) -> list[Claim]:
    """The first claim about each pair of rows."""
    return list({(claim.table, claim.better, claim.worse): claim for claim in reversed(claims)}.values())[
        ::-1
    ]


def clear(claim: Claim, summary: dict[str, Any]) -> str:
    """Which of a table's measures tell a claim's two rows apart, as an item of a list."""
    better, worse = (row_name(summary, row) for row in (claim.better, claim.worse))
    found = [(metric, *difference(summary, better, worse, metric)) for metric in summary["metrics"]]
    told = [
        f"{metric.replace('/', ' ')} {mean:+.1f} ± {half:.1f}"
        for metric, mean, half in found
        if half is not None and abs(mean) > half
    ]
    return f"* {better} over {worse}: {'; '.join(told) or 'none'} (of {len(found)})."


def kept(name: str) -> Path:
    return KEPT / f"fair-{name}.json"


def main(runs: Path) -> None:
    for name in TABLES:
        if (runs / f"{name}.json").exists():
            shutil.copyfile(runs / f"{name}.json", kept(name))
            draw(json.loads(kept(name).read_text()), kept(name).with_suffix(".png"))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
