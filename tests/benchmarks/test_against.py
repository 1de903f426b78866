"""The comparison with an earlier checkout: what is run, and what a failure says."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import against


def test_a_line_of_charades_as_own_data():
    line = against.own_data("s0v00000 1.6 5.0##the red circle grows.")
    expected = {"video": "s0v00000", "query": "the red circle grows.", "moments": [[1.6, 5.0]]}
    assert json.loads(line) == expected


def test_every_row_names_its_own_output(tmp_path: Path):
    (tmp_path / "charades-sta").mkdir()
    for name, row in against.ROWS.items():
        arguments = row(tmp_path / "model", tmp_path, tmp_path / "fresh", 40)
        assert arguments[0] == name
        assert (str(tmp_path / "fresh") in arguments) == (name in ("encode", "finetune"))


def test_both_checkouts_are_measured_in_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    order = []

    def pretend(checkout: Path, arguments: list[str]) -> float:
        order.append(checkout.name)
        return 1.0 if checkout == against.ROOT else 2.0

    monkeypatch.setattr(against, "run", pretend)
    args = type("Args", (), {"before": tmp_path, "repeats": 2, "steps": 40})
    assert against.compare("ground", args, tmp_path, tmp_path) == {
        "before s": 2.0,
        "now s": 1.0,
        "ratio": 0.5,
    }
    assert order == [tmp_path.name, against.ROOT.name] * 3


def test_a_command_that_fails_stops_with_what_it_said():
    with pytest.raises(SystemExit, match="nonsense"):
        against.run(against.ROOT, ["nonsense"])
