"""Bootstrap intervals: cover the mean, shrink with items, are repeatable, respect items left out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.scoring import bootstrap
from videoexpert.scoring.bootstrap import _quantile, bootstrap_intervals


def test_width_is_that_of_a_binomial_mean() -> None:
    hits = (np.arange(1000) % 2).astype(float)
    low, high = bootstrap_intervals({"R1": hits})["R1"]
    assert low < 50 < high
    # 95% of a mean of n coin flips: +- 1.96 * 0.5 / sqrt(n)
    assert high - low == pytest.approx(2 * 1.96 * 50 / np.sqrt(1000), rel=0.1)
    wide = bootstrap_intervals({"R1": hits[:100]})["R1"]
    assert wide[1] - wide[0] == pytest.approx(2 * 1.96 * 50 / np.sqrt(100), rel=0.15)


def test_a_constant_has_no_width_and_nan_items_leave_the_mean() -> None:
    values = {
        "a": np.full(50, 0.25),
        "b": np.where(np.arange(50) < 10, 1.0, np.nan),
        "c": np.full(50, np.nan),
    }
    found = bootstrap_intervals(values)
    assert found["a"] == pytest.approx([25, 25])
    assert found["b"] == pytest.approx([100, 100])
    assert found["c"] is None


def test_seeded_and_the_same_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"a": np.random.default_rng(1).random(37)}
    first = bootstrap_intervals(values, seed=3)
    assert bootstrap_intervals(values, seed=3) == first
    assert bootstrap_intervals(values, seed=4) != first
    monkeypatch.setattr(bootstrap, "_CELLS", 100)
    assert bootstrap_intervals(values, seed=3)["a"] == pytest.approx(first["a"])


def test_level_and_empty() -> None:
    values = {"a": np.random.default_rng(1).random(200)}
    narrow, wide = (bootstrap_intervals(values, level=level)["a"] for level in (0.5, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert bootstrap_intervals({}) == {}
    assert bootstrap_intervals({"a": np.array([])}) == {"a": None}


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=50), st.floats(0, 1))
def test_the_quantile_is_numpys(values: list[float], q: float) -> None:
    assert _quantile(np.sort(values), q) == np.quantile(values, q)
