"""Which bench a recipe describes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..recipes import claim
from .own_data import DataBench
from .run import Bench
from .world import WorldBench


def open_bench(recipe: Any, out: Path, *, log: Callable[[str], None] = print) -> Bench:
    """The bench of a recipe. Raises InputError for a kind without variants, or an ``out`` that another recipe began."""
    if recipe.kind not in ("ablation", "train"):
        raise InputError(f"a recipe of kind {recipe.kind} has no variants, expected ablation or train.")
    claim(recipe, out)
    if recipe.kind == "ablation":
        return WorldBench(recipe, out, log)
    return DataBench(recipe, log)
