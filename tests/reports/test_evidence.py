"""The page of evidence: verdicts follow from the numbers, and the text says what was not run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import claims

FILE = Path(__file__).parents[2] / "reports" / "evidence.py"


@pytest.fixture(scope="module")
def evidence():
    import evidence  # by bare name, see conftest.py

    return evidence


@pytest.mark.parametrize(
    ("differences", "said"),
    [
        ([(5.0, 1.0), (2.0, 1.9)], "**reproduced**"),
        ([(5.0, 1.0), (2.0, 2.1)], "partly: 1 of 2 clear"),
        ([(0.5, 1.0), (-0.5, 1.0)], "**not shown**: no clear difference"),
        ([(-5.0, 1.0), (0.5, 1.0)], "**did not reproduce**: 1 of 2 clear the other way"),
        ([(5.0, 1.0), (-5.0, 1.0)], "mixed"),
        ([(5.0, None)], "one seed: no verdict"),
    ],
)
def test_a_verdict_follows_from_the_intervals(differences, said):
    assert claims.verdict([("m", mean, half) for mean, half in differences]) == said


def test_claims_name_what_was_not_run(evidence):
    text = evidence.claims({})
    assert text.count("| not run | - |") == len(evidence.CLAIMS)


def test_a_claim_is_the_paired_difference(evidence):
    metrics = {m for claim in evidence.CLAIMS if claim.table == "head" for m in claim.metrics}
    metrics.add("charades-sta/R1@0.5")
    rows = [
        {"name": "Ours", "scores": [dict.fromkeys(metrics, v) for v in (60.0, 70.0, 80.0)]},
        {"name": "w/o temporal head", "scores": [dict.fromkeys(metrics, v) for v in (50.0, 59.0, 71.0)]},
    ]
    about = {"steps of a variant": 400}
    text = evidence.claims({"head": {"table": "head", "seeds": 3, "rows": rows, "about": about}})
    assert "(3 seeds, 400 steps)" in text
    assert "Of 8 intervals about 0 would" in text
    assert "charades-sta mIoU +10.0 ± 2.5" in text  # differences 10, 11, 9: t 4.303 * 1 / sqrt(3)
    assert "| **reproduced** |" in text


def test_every_claim_is_of_a_table_and_its_rows(evidence):
    from videoexpert.ablation.tables import TABLES
    from videoexpert.recipes import load_recipe

    config = {
        **load_recipe(FILE.parents[1] / "recipes/ablation.yaml").model,
        "fusion": "add",
        "experts": "split",
    }
    for claim in evidence.CLAIMS:
        table = TABLES[claim.table](config)
        rows = {"table": claim.table, "rows": [{"name": v.name} for v in table.variants]}
        named = {claims.row_name(rows, row) for row in (claim.better, claim.worse)}
        assert named <= {v.name for v in table.variants}, claim.text
        assert set(claim.metrics) <= set(table.metrics), claim.text


def test_cells(evidence):
    assert evidence.measure([1.0, 3.0, 2.0]) == "2.00 ± 2.48"
    assert evidence.measure([{"bits": 0.5, "sd": 0.1}]) == "0.50"
    assert evidence.measure([None]) == "-"
    assert evidence.measure([None, 0.5, None]) == "0.50 (1 of 3 seeds)"
    assert evidence.cell({"value": 80.04, "95%": [78.0, 82.06]}) == "80.0 [78.0, 82.1]"
    assert evidence.cell({"value": None, "95%": None}) == "-"


def test_speed_is_a_table(evidence):
    report = json.loads((FILE.parents[1] / "benchmarks" / "results" / "spatial_tokens.json").read_text())
    text = evidence.speed(report)
    assert text.count("\n| 100 + ") == 5
    assert report["hardware"] in text
    assert "| - |" in text  # peak memory is not known on a CPU


def test_the_card_shows_model_and_controls(evidence):
    report = json.loads((FILE.parents[1] / "benchmarks" / "results" / "heldout.json").read_text())
    text = evidence.card(report)
    for name in report["controls"]:
        assert f"| {name} |" in text
    assert f"weights {report['weights']}" in text


def test_single_rows_are_shown_by_seed(evidence):
    scores = [{"charades-sta/R1@0.5": value} for value in (87.6, 52.25)]
    rows = [{"name": "w/o head", "scores": []}, {"name": "Ours", "scores": scores}]
    table = {"about": {"steps of a variant": 8}, "rows": rows}
    assert evidence.by_seed({"head": table}).endswith("R1@0.5 by seed: 87.6, 52.2 (8 steps).")
    one = {"about": {}, "rows": [{"name": "Ours", "scores": scores[:1]}]}
    assert evidence.by_seed({"head": one}) == ""


def test_a_table_is_of_the_first_runs_that_have_it(evidence, tmp_path):
    for folder, names in (("new", ["head"]), ("old", ["head", "ranks"])):
        (tmp_path / folder).mkdir()
        for name in names:
            (tmp_path / folder / f"{name}.json").write_text(json.dumps({"about": {}, "rows": folder}))
    found = evidence.find_tables({tmp_path / "new": "abc", tmp_path / "old": "def"})
    assert {n: (t["rows"], t["about"]["runs of commit"]) for n, t in found.items()} == {
        "head": ("new", "abc"),
        "ranks": ("old", "def"),
    }


def test_what_was_asked_of_each_system_stands_beside_the_annotations(evidence):
    def report(value):
        return {
            "queries": 9,
            "videos": 3,
            "annotations": {"repeated": 0.25, "chance_distance": 0.125},
            "conditions": {"true": {"repeated": value}},
        }

    lines = evidence.bias_table({"head": [report(0.5), report(0.7)], "text": [report(1.0)]})
    assert "| | annotated | head: true | text: true |" in lines
    assert (
        "| repeated predictions, share | 0.25 | 0.60 ± 1.27 | 1.00 |" in lines
    )  # t 12.706 * 0.1414 / sqrt(2)
    assert "at a distance of 0.12 from them" in lines[2]


def test_levels_show_what_was_asked_and_what_was_missed(evidence):
    good = json.loads((FILE.parents[1] / "benchmarks" / "results" / "heldout.json").read_text()) | {
        "level": 4
    }
    for (part, *rest), asked in evidence.TARGETS.values():
        place = good[part]
        for key in rest[:-1]:
            place = place[key]
        place[rest[-1]] = float(asked)
    worse = json.loads(json.dumps(good)) | {"level": 9, "model": "other"}
    worse["results"]["charades-sta"]["R1@0.5"]["value"] = 79.9
    worse["absence"]["ECE of the first moment"] = 5.1
    lines = evidence.levels([worse, good]).splitlines()
    assert lines[-3].startswith("| | asked | 85 | 65 | 70 | 88 | 85 | 75 | 70 | 95 | 4 |")
    assert lines[-2].startswith("| 4 | shipped | 85.0 | ")
    assert "**" not in lines[-2]
    assert lines[-1].startswith("| 9 | other | **79.9** | ")
    assert lines[-1].endswith(" | **5.1** |")
    assert lines[-1].count("**") == 4
