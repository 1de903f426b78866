"""reports/own_data.py: the table from results of several runs, by hand."""

from __future__ import annotations

import json

import own_data


def test_mean_deviation_and_range():
    assert own_data.spread([74.0, 78.0, 79.0]) == "77.0 ± 2.6 (74.0 to 79.0)"
    assert own_data.spread([74.04]) == "74.0"


def test_the_table_is_of_runs_that_finished(tmp_path):
    def scored(name, value):
        (tmp_path / name).mkdir()
        metrics = dict.fromkeys(own_data.METRICS, value)
        (tmp_path / name / "result.json").write_text(json.dumps({"metrics": metrics}))

    for world, before, after in (("held", 50.0, (70.0, 72.0)), ("known", 90.0, (80.0, 80.0))):
        scored(f"before-{world}", before)
        for seed, value in enumerate(after):
            (tmp_path / f"seed{seed}-threads1").mkdir(exist_ok=True)
            scored(f"seed{seed}-threads1-{world}", value)
    (tmp_path / "seed2-threads1").mkdir()  # still training
    head, _, _, _, *rows = own_data.table(tmp_path).splitlines()
    assert head == "2 runs: seed0-threads1, seed1-threads1"
    assert rows == [
        "| new words, before | 50.0 | 50.0 | 50.0 | 50.0 |",
        "| new words, after |" + " 71.0 ± 1.4 (70.0 to 72.0) |" * 4,
        "| known words, before | 90.0 | 90.0 | 90.0 | 90.0 |",
        "| known words, after |" + " 80.0 ± 0.0 (80.0 to 80.0) |" * 4,
    ]
