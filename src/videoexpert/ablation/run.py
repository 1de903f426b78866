"""Ablations: the variants of one of the paper's tables, trained and scored alike, resumably.

OUT/runs/VARIANT/seedK/model      the trained variant
OUT/runs/VARIANT/seedK/scores.json, tables share the runs they have in common
OUT/TABLE.json, .md, .png         what was found (ablation/report.py)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from .. import __version__, files
from ..errors import InputError
from ..evaluation.runner import Outcome
from .report import FAILED
from .tables import TABLES, Variant

Scores = dict[str, float]  # "benchmark/metric" -> percent (or the metric's own unit)


class Bench(Protocol):
    """Trains one variant and scores it; the same data, budget and seeds for all."""

    config: dict[str, Any]  # fields of VideoExpertConfig that every variant starts from
    about: dict[str, Any]  # what the report says of budget and data

    def prepare(self, variants: Sequence[Variant]) -> None:
        """What the variants of a table share; called once, and again after a kill.

        Raises InputError for what one of them would miss later.
        """
        ...

    def train(self, fields: Mapping[str, Any], seed: int, folder: Path) -> Path:
        """A model folder."""
        ...

    def score(self, model: Path, folder: Path) -> Scores: ...


def ablate(
    table: str, bench: Bench, seeds: int, out: Path, *, log: Callable[[str], None] = print
) -> dict[str, Any]:
    """Train and score every variant of a table with seeds 1 to ``seeds``; what is finished is not done again.

    Returns the content of ``OUT/TABLE.json``. Raises InputError for a table that there is none of, or no seed.
    """
    if table not in TABLES:
        raise InputError(f"the table is {table!r}, expected one of {', '.join(TABLES)}.")
    if seeds < 1:
        raise InputError(f"seeds is {seeds}, expected at least 1.")
    found = TABLES[table](bench.config)
    bench.prepare(found.variants)
    rows = []
    for variant in found.variants:
        scores = []
        for seed in range(1, seeds + 1):
            folder = out / "runs" / variant.slug / f"seed{seed}"
            log(f"{table}: {variant.name}, seed {seed}")
            scores.append(run(bench, variant, seed, folder))
        rows.append(
            {
                "name": variant.name,
                "fields": dict(variant.fields),
                "paper": dict(variant.paper),
                "paper_name": variant.paper_name or variant.name,
                "scores": scores,
            }
        )
    return {
        "table": table,
        "title": found.title,
        "reference": found.reference,
        "metrics": list(found.metrics),
        "seeds": seeds,
        "version": __version__,
        "about": dict(bench.about),
        "rows": rows,
    }


def run(bench: Bench, variant: Variant, seed: int, folder: Path) -> Scores:
    """One variant and seed, or what it scored before."""
    file = folder / "scores.json"
    if file.exists():
        return dict(files.load_json(file))
    files.make_folder(folder)
    scores = bench.score(bench.train(variant.fields, seed, folder), folder)
    files.write_json(file, scores)
    return scores


def scores_of(benchmark: str, outcome: Outcome) -> Scores:
    """What ``evaluate`` found, by the names of a table; and how many videos it could not answer."""
    found = {name: value for name, value in outcome.result["metrics"].items() if value is not None}
    return {f"{benchmark}/{name}": value for name, value in {**found, FAILED: len(outcome.failed)}.items()}


__all__ = ["Bench", "Scores", "ablate", "scores_of"]
