"""A few cases of every fuzzer, and the harness itself: what hangs, dies or eats memory is found and named."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from fuzz import harness, videos

# Cases that every run of the tests checks; FUZZ_FIRST moves them, `make fuzz` runs thousands.
TARGETS = {"videos": 120, "foreign": 105, "beside": 105}
FIRST = int(os.environ.get("FUZZ_FIRST", "0"))


@pytest.mark.parametrize("target", TARGETS)
def test_no_case_is_a_fault(target: str) -> None:
    assert harness.run(target, TARGETS[target], FIRST) == []


def test_every_fuzzer_is_run() -> None:
    modules = {file.stem for file in Path(__file__).parent.glob("*.py")}
    assert modules - {"__init__", "harness", "mutations", "faulty", "values", "test_fuzz"} == set(TARGETS)


def test_the_harness_finds_every_kind_of_fault_and_goes_on() -> None:
    found = {finding.case: finding.fault for finding in harness.run("faulty", 7, cpu_s=0.7)}
    assert set(found) == {"1", "2", "3", "4", "5"}
    assert "seed one is wrong" in found["1"]
    assert "status -6" in found["2"]
    assert "processor time" in found["3"]
    assert "MemoryError" in found["4"]
    assert "status 0" in found["5"]


def test_a_seed_makes_the_same_case_and_others_make_others() -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = videos.prepare(Path(folder))
    cases = [videos.case(state, seed) for seed in range(40)]
    assert cases == [videos.case(state, seed) for seed in range(40)]
    assert len(set(cases)) == 40
