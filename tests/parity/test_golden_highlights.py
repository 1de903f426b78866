"""TimeChat's highlight files: moment_detr's rules, unpredicted queries dropped from the official mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.parity.golden import RELATIVE, load, write

from videoexpert.scoring.score import score

LEVELS = {"HL-min-Fair": "/fair", "HL-min-Good": "/good", "HL-min-VeryGood": ""}


def check(metrics: dict[str, float | None], official: dict[str, Any], label: str) -> None:
    for level, suffix in LEVELS.items():
        pairs = (("HL-mAP", "HL-mAP"), ("HIT@1", "HL-Hit1"))
        for mine, theirs in pairs:
            expected = official[level][theirs]
            assert metrics[mine + suffix] == pytest.approx(expected, rel=RELATIVE, abs=1e-12), (label, level)


def test_example_file(shared: Path) -> None:
    golden = shared / "golden"
    folder = golden / "highlight_detection" / "timechat_example"
    paths = (folder / "predictions.json.gz", golden / "qvhighlights" / "ground_truth.jsonl.gz")
    expected = load(folder / "expected.json")
    result = score("qvhighlights", *paths, convention="official")
    check(result["metrics"], expected["full_precision"], "example")
    assert result["coverage"]["scored"] == expected["n_scored"] == 1463
    assert result["coverage"]["missing"] == 87
    assert "R1@0.5" not in result["metrics"]
    corrected = score("qvhighlights", *paths)
    assert corrected["coverage"]["scored"] == 1550
    share = 1463 / 1550
    assert corrected["metrics"]["HIT@1"] == pytest.approx(result["metrics"]["HIT@1"] * share)


def test_edge_cases(shared: Path, tmp_path: Path) -> None:
    cases = load(shared / "golden" / "highlight_detection" / "edge_cases" / "cases.json")
    assert len(cases) >= 8
    for case in cases:
        paths = (
            write(tmp_path, "predictions.json", case["submission"]),
            write(tmp_path, "truth.json", case["ground_truth"]),
        )
        result = score("qvhighlights", *paths, convention="official")
        if "raises" not in case["expected"]:
            check(result["metrics"], case["expected"]["full_precision"], case["name"])
        elif case["name"] == "no_common_qid":
            assert result["metrics"]["HL-mAP"] is None
            assert score("qvhighlights", *paths)["metrics"]["HL-mAP"] == 0
