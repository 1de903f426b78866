"""QVHighlights: our numbers are the official scorer's, to 1e-9, on real submissions and on its edge cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.parity.golden import RELATIVE, load, write

from videoexpert.errors import DataError
from videoexpert.scoring.score import score

SPLITS = {"full": "", "short": "/short", "middle": "/middle", "long": "/long"}
LEVELS = {"HL-min-Fair": "/fair", "HL-min-Good": "/good", "HL-min-VeryGood": ""}
SETS = ("moment_detr_sample_val", "moment_detr_test_code")


def ours(official: dict[str, Any]) -> dict[str, float]:
    """The official result under our names: every number it holds."""
    named = {}
    for split, suffix in SPLITS.items():
        for threshold, value in official.get(split, {}).get("MR-mAP", {}).items():
            named[f"mAP{suffix}" if threshold == "average" else f"mAP@{threshold}{suffix}"] = value
        for threshold, value in official.get(split, {}).get("MR-R1", {}).items():
            named[f"R1@{threshold}{suffix}"] = value
    for level, suffix in LEVELS.items():
        if level in official:
            named[f"HL-mAP{suffix}"] = official[level]["HL-mAP"]
            named[f"HIT@1{suffix}"] = official[level]["HL-Hit1"]
    return named


@pytest.mark.parametrize("name", SETS)
def test_real_submissions(shared: Path, name: str) -> None:
    folder = shared / "golden" / "qvhighlights"
    expected = load(folder / name / "expected.json")
    paths = (folder / name / "predictions.jsonl.gz", folder / "ground_truth.jsonl.gz")
    official, corrected = (
        score("qvhighlights", *paths, convention=c)["metrics"] for c in ("official", "corrected")
    )
    named = ours(expected["full_precision"])
    assert len(named) == 4 * 21 + 6
    for metric, value in named.items():
        assert official[metric] == pytest.approx(value, rel=RELATIVE, abs=1e-12), metric
        if not metric.startswith("HL-mAP"):  # the corrected one ranks clips without a score last
            assert corrected[metric] == pytest.approx(value, rel=RELATIVE, abs=1e-12), metric
    printed = ours(expected["rounded_official_output"])
    assert {metric: round(official[metric], 2) for metric in printed} == printed


def cases(shared: Path) -> list[dict[str, Any]]:
    return load(shared / "golden" / "qvhighlights" / "edge_cases" / "cases.json")


def run(case: dict[str, Any], folder: Path, **options: Any) -> dict[str, Any]:
    return score(
        "qvhighlights",
        write(folder, "predictions.json", case["submission"]),
        write(folder, "truth.json", case["ground_truth"]),
        **options,
    )


def test_edge_cases_as_the_official_scorer(shared: Path, tmp_path: Path) -> None:
    compared = 0
    for case in cases(shared):
        if "raises" in case["expected"]:
            continue
        result = run(case, tmp_path, convention="official")
        for metric, value in ours(case["expected"]["full_precision"]).items():
            assert result["metrics"][metric] == pytest.approx(value, rel=RELATIVE, abs=1e-12), (
                case["name"],
                metric,
            )
            compared += 1
    assert compared > 1000


def test_where_the_official_scorer_stops(shared: Path, tmp_path: Path) -> None:
    """A sentence or a defined value, in both conventions; never a bare exception."""
    stops = [case for case in cases(shared) if "raises" in case["expected"]]
    assert len(stops) >= 10
    for case in stops:
        for convention in ("official", "corrected"):
            if case["name"] == "saliency_nan":
                with pytest.raises(DataError, match="not finite"):
                    run(case, tmp_path, convention=convention)
                continue
            result = run(case, tmp_path, convention=convention)
            defined = [value for value in result["metrics"].values() if value is not None]
            assert all(0 <= value <= 100 for value in defined), case["name"]


def by_name(shared: Path, name: str) -> dict[str, Any]:
    return next(case for case in cases(shared) if case["name"] == name)


@pytest.mark.parametrize(
    "name",
    [
        "zero_length_prediction_and_zero_length_ground_truth",
        "exactly_reversed_ground_truth",
        "reversed_window_cancels_ground_truth_length",
    ],
)
def test_a_nan_overlap_is_no_hit_when_corrected(shared: Path, tmp_path: Path, name: str) -> None:
    case = by_name(shared, name)
    official = run(case, tmp_path, convention="official")["metrics"]
    corrected = run(case, tmp_path)["metrics"]
    assert corrected["mAP"] < official["mAP"]
    assert corrected["R1@0.5"] == official["R1@0.5"]


def test_corrected_ranks_by_score_not_by_place(shared: Path, tmp_path: Path) -> None:
    """The eleventh window with the highest score is the best; the official scorer never sees it."""
    case = by_name(shared, "eleven_windows_best_last")
    assert (
        run(case, tmp_path)["metrics"]["mAP"] > run(case, tmp_path, convention="official")["metrics"]["mAP"]
    )
    case = by_name(shared, "unsorted_scores")
    assert (
        run(case, tmp_path)["metrics"]["R1@0.5"]
        > run(case, tmp_path, convention="official")["metrics"]["R1@0.5"]
    )


def test_missing_query_counts_wrong_unless_skipped(shared: Path, tmp_path: Path) -> None:
    case = by_name(shared, "missing_qid_no_match")
    wrong, skip = run(case, tmp_path), run(case, tmp_path, missing="skip")
    total, left = wrong["coverage"]["expected"], skip["coverage"]["scored"]
    assert left == total - 1 == 5
    assert wrong["coverage"]["missing_ids"] == skip["coverage"]["missing_ids"]
    assert wrong["metrics"]["HIT@1"] == pytest.approx(skip["metrics"]["HIT@1"] * left / total)
    assert wrong["metrics"]["mAP"] == pytest.approx(skip["metrics"]["mAP"] * left / total)
