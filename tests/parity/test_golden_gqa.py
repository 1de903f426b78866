"""NExT-GQA: eval_ground.py and the accuracy of eval_next.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.parity.golden import RELATIVE, load, write

from videoexpert.annotations import readers
from videoexpert.scoring import gqa
from videoexpert.scoring.outcome import Rules, means_in_percent
from videoexpert.scoring.predictions import Prediction
from videoexpert.scoring.score import score

SETS = (("constructed_test_seed1", "test"), ("constructed_val_seed2", "val"), ("normalised_val_seed5", "val"))
QA_NAMES = {
    "Acc@QA": "Acc@QA",
    "Why": "Acc@QA/why",
    "How": "Acc@QA/how",
    "Bef&Aft": "Acc@QA/before-after",
    "When": "Acc@QA/when",
    "Acc_C": "Acc@QA/causal",
    "Acc_T": "Acc@QA/temporal",
}


@pytest.mark.parametrize(("name", "split"), SETS)
def test_sets(shared: Path, name: str, split: str) -> None:
    golden = shared / "golden" / "grounded_video_qa"
    expected = load(golden / name / "expected.json")
    result = score(
        "nextgqa",
        golden / name / "predictions_grounding.json.gz",
        golden / f"ground_truth_{split}.json.gz",
        answers=golden / name / "predictions_qa.json.gz",
        questions=golden / f"questions_{split}.csv.gz",
        convention="official",
    )
    for metric, value in expected["grounding"]["full_precision_percent"].items():
        assert result["metrics"][metric] == pytest.approx(value, rel=RELATIVE), metric
    assert result["coverage"]["scored"] == expected["grounding"]["n_questions_in_denominator"]
    if "qa" in expected:
        for theirs, mine in QA_NAMES.items():
            value = expected["qa"]["full_precision_percent"][theirs]
            assert result["metrics"][mine] == pytest.approx(value, rel=RELATIVE), theirs
    corrected = score(
        "nextgqa",
        golden / name / "predictions_grounding.json.gz",
        golden / f"ground_truth_{split}.json.gz",
    )
    everyone = corrected["coverage"]["expected"]
    assert corrected["coverage"]["scored"] == everyone > result["coverage"]["scored"]
    assert corrected["metrics"]["mIoU"] < result["metrics"]["mIoU"]
    assert "Acc@GQA" not in corrected["metrics"]  # no answers given


@pytest.mark.parametrize(("name", "split"), SETS[:2])
def test_per_question(shared: Path, name: str, split: str) -> None:
    golden = shared / "golden" / "grounded_video_qa"
    per_question = load(golden / name / "per_question_iou_iop.json.gz")
    spans = {
        key: [Prediction(key, windows=[w])]
        for key, w in load(golden / name / "predictions_grounding.json.gz").items()
    }
    evidence = readers.records("nextgqa", golden / f"ground_truth_{split}.json.gz").items
    iou, iop, _ = gqa.grounding_values(evidence, spans, Rules("official"), fractions=False)
    compared = 0
    for item, one_iou, one_iop in zip(evidence, iou, iop, strict=True):
        if item.id in per_question:
            assert [one_iou, one_iop] == pytest.approx(per_question[item.id], rel=RELATIVE, abs=1e-12), (
                item.id
            )
            compared += 1
    assert compared == len(per_question) > 3000


def run_case(case: dict[str, Any], folder: Path, rules: Rules) -> dict[str, float | None]:
    evidence = list(readers.records("nextgqa", write(folder, "truth.json", case["ground_truth"])))
    if "subset" in case["call_options"]:
        evidence = [item for item in evidence if item.id in case["call_options"]["subset"]]
    grounding = [Prediction(key, windows=[window]) for key, window in case["pred_ground"].items()]
    answers = [
        Prediction(key, choice=row["prediction"], truth=row["answer"])
        for key, row in (case["pred_qa"] or {}).items()
    ]
    return means_in_percent(gqa.score_grounded(evidence, grounding, answers, rules).values)


def test_edge_cases(shared: Path, tmp_path: Path) -> None:
    cases = load(shared / "golden" / "grounded_video_qa" / "edge_cases" / "cases.json")
    assert len(cases) >= 15
    for case in cases:
        metrics = run_case(case, tmp_path, Rules("official", "skip"))
        if "raises" in case["expected"]:
            assert all(value is None or 0 <= value <= 100 for value in metrics.values()), case["name"]
            continue
        for metric, value in case["expected"]["full_precision_percent"].items():
            if metric == "Acc@GQA" and case["pred_qa"] is None:
                assert (
                    metric not in metrics
                )  # the scorer prints 0 where nothing was answered; we leave it out
                continue
            assert metrics[metric] == pytest.approx(value, rel=RELATIVE, abs=1e-12), (case["name"], metric)


def test_nothing_predicted_is_defined(shared: Path, tmp_path: Path) -> None:
    cases = load(shared / "golden" / "grounded_video_qa" / "edge_cases" / "cases.json")
    case = next(case for case in cases if case["name"] == "all_missing")
    assert run_case(case, tmp_path, Rules("corrected", "wrong"))["mIoP"] == 0
    assert run_case(case, tmp_path, Rules("official", "skip"))["mIoP"] is None
