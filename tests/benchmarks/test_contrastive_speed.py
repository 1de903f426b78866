"""The benchmark runs, compares in one run, and says what it ran."""

from __future__ import annotations

import json

import contrastive_speed
from run import SCRIPTS


def test_one_run_has_all_that_the_claim_needs(tmp_path, capsys):
    file = tmp_path / "report.json"
    options = ["--size", "tiny", "--seconds", "4", "--rounds", "1", "--device", "cpu", "--save", str(file)]
    assert contrastive_speed.main(options) == 0
    report = json.loads(file.read_text())
    stages = [report[f"{name}, s"] for name in ("decoding alone", "encoding alone", "both")]
    assert min(stages) > 0
    assert report["as a fraction of the slower alone"] == max(stages[:2]) / stages[2]
    assert (report["frames"], report["claimed"]) == (8, 0.85)
    assert "random weights" in capsys.readouterr().out
    assert "contrastive_speed.py" in SCRIPTS
