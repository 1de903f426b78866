"""All faults of a file in one message that has an end."""

from __future__ import annotations

import pytest

from videoexpert.annotations.schema import read_samples
from videoexpert.errors import DataError
from videoexpert.files.faults import LONGEST, MOST, Faults
from videoexpert.recipes import from_mapping


def test_by_hand():
    faults = Faults()
    assert not faults
    faults.add(["one"])
    assert (bool(faults), faults.counted, faults.listed) == (True, "1 fault", "\n  one")
    faults.add(f"line {i}" for i in range(1_999))
    assert faults.counted == "2,000 faults"
    lines = faults.listed.splitlines()[1:]
    assert lines[:2] == ["  one", "  line 0"]
    assert lines[-2:] == [f"  line {MOST - 2}", f"  and {2_000 - MOST:,} more"]


def test_exactly_as_many_as_are_named_are_not_counted_on():
    faults = Faults()
    faults.add(["x"] * MOST)
    assert faults.listed == "\n  x" * MOST


def test_a_long_fault_is_cut():
    faults = Faults()
    faults.add(["y" * 10**6])
    assert faults.listed == "\n  " + "y" * (LONGEST - 3) + "..."


def test_a_file_of_broken_lines_is_counted_and_not_printed(tmp_path):
    file = tmp_path / "own.jsonl"
    file.write_text('{"video": 3}\n' * 5_000)  # two faults a line
    with pytest.raises(DataError) as error:
        read_samples(file)
    said = str(error.value).splitlines()
    assert said[0] == f"{file} has 10,000 faults (docs/own-data.md):"
    assert said[1].startswith("  line 1: video is 3")
    assert len(said) == 1 + MOST + 1
    assert said[-1] == "  and 9,900 more"


def test_a_recipe_of_unknown_fields():
    with pytest.raises(DataError, match=r"it has \d+ faults") as error:
        from_mapping({"kind": "train", **{f"x{i}": i for i in range(300)}}, "it")
    assert len(str(error.value).splitlines()) == 1 + MOST + 1
