"""``videoexpert ablate``: train and score the variants of one of the paper's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def ablate(
    table: Annotated[
        str,
        typer.Argument(
            help="fusion (Table VI), components (VII), head (its rows 1 and 5), times (head against text in three "
            "forms), spatial (VIII), ranks (Fig. 5)."
        ),
    ],
    *,
    recipe: Annotated[
        Path, typer.Option(help="recipes/ablation.yaml, or a training recipe with an evaluation list.")
    ],
    out: Annotated[Path, typer.Option(help="Folder for runs and tables; a stopped run resumes.")],
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each variant.")] = 1,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="e.g. variant.steps=100")
    ] = None,
    format: Annotated[str, typer.Option(help="How to print: markdown or json.")] = "markdown",
) -> None:
    """Train and score every variant of a table, resumably; writes OUT/TABLE.md, .json and .png."""
    from ...errors import InputError

    if format not in ("markdown", "json"):
        raise InputError(f"format is {format!r}, expected markdown or json.")
    from ...ablation.benches import open_bench
    from ...ablation.report import write_report
    from ...ablation.run import ablate as run
    from ...files import make_folder
    from ...locks import held
    from ...recipes import load_recipe
    from ..terminal import complain, say

    found = load_recipe(recipe, overrides or [])
    make_folder(out)
    with held(out):
        bench = open_bench(found, out, log=complain)
        summary = write_report(run(table, bench, seeds, out, log=complain), out)
    say(
        json.dumps(summary, indent=1)
        if format == "json"
        else (out / f"{table}.md").read_text("utf-8").rstrip()
    )
    drawn = ".md, .json and .png" if (out / f"{table}.png").exists() else ".md and .json"
    complain(f"written to {out / table}{drawn}")


def register(app: typer.Typer) -> None:
    """Add the verb to the app."""
    app.command()(ablate)
