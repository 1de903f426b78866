"""What every scorer hands back: values per item, what was covered, what was noticed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CONVENTIONS = ("corrected", "official")
MISSING = ("wrong", "skip")
NAMED = 5  # ids that a sentence names


@dataclass(frozen=True)
class Rules:
    """How to count.

    convention  "official" reproduces the benchmark's scorer, faults included; "corrected" leaves out the
                faults that docs/benchmarks.md lists
    missing     "wrong": an item without a prediction counts 0; "skip": it leaves the mean
    chosen      the caller asked for ``missing``; otherwise an official scorer with a rule of its own keeps it
    """

    convention: str = "corrected"
    missing: str = "wrong"
    chosen: bool = False

    @property
    def official(self) -> bool:
        return self.convention == "official"

    @property
    def absent_value(self) -> float:
        """Value of every metric for an item without a prediction; NaN leaves the mean."""
        return 0.0 if self.missing == "wrong" else float("nan")


@dataclass(frozen=True)
class Scored:
    """Result of one scorer.

    values      metric name -> (items,) fractions in [0, 1]; NaN where the item does not enter that
                metric's mean. All arrays have the same items in the same order (they are resampled together).
    coverage    see ``coverage_of``
    fixed       metrics in percent that are not means over items (corpus-level caption metrics)
    notes       sentences for the reader: repaired rows, metrics that could not be computed
    failed      items that got no score through no fault of the predictions; the command ends with exit code 1
    """

    values: dict[str, NDArray[Any]]
    coverage: dict[str, Any]
    notes: tuple[str, ...] = ()
    fixed: dict[str, float | None] = field(default_factory=dict)
    failed: int = 0


def coverage_of(
    expected: Sequence[str], predicted: Iterable[str], rules: Rules, extra: Iterable[str] = ()
) -> dict[str, Any]:
    """Counts of expected, predicted, missing and extra ids, and both lists of ids.

    The scorer fills "unusable": predictions that are there but cannot count (``unusable.Unusable``).
    """
    have = set(predicted)
    missing = [identifier for identifier in expected if identifier not in have]
    extra = sorted(set(extra))
    counted = "counted as wrong" if rules.missing == "wrong" else "left out of every mean"
    return {
        "expected": len(expected),
        "predicted": len(expected) - len(missing),
        "scored": len(expected) if rules.missing == "wrong" else len(expected) - len(missing),
        "missing": len(missing),
        "extra": len(extra),
        "missing_are": counted,
        "missing_ids": missing,
        "extra_ids": extra,
        "unusable": [],
    }


def repeated_note(ids: Sequence[str]) -> list[str]:
    """A sentence where items are predicted more than once; nothing where none is."""
    if not ids:
        return []
    named = ", ".join(ids[:NAMED]) + (", ..." if len(ids) > NAMED else "")
    return [f"{len(ids)} items are predicted more than once; the last row of each counts: {named}"]


def means_in_percent(values: dict[str, NDArray[np.float64]]) -> dict[str, float | None]:
    """Mean of each metric over its items, times 100; None where no item enters."""
    result: dict[str, float | None] = {}
    for name, column in values.items():
        known = column[~np.isnan(column)]
        result[name] = float(known.mean() * 100) if len(known) else None
    return result
