"""Temporal grounding: TimeChat's and VTimeLLM's scorers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.parity.golden import RELATIVE, load, write

from videoexpert.annotations import readers
from videoexpert.annotations.records import Record
from videoexpert.scoring import grounding
from videoexpert.scoring.matching import match
from videoexpert.scoring.outcome import Rules
from videoexpert.scoring.predictions import Prediction, read_predictions
from videoexpert.scoring.score import score

OFFICIAL = Rules("official", "skip")
R1 = ("R1@0.3", "R1@0.5", "R1@0.7")


@pytest.mark.parametrize("name", ["timechat_charades_example", "constructed_charades_a"])
def test_timechat_sets(shared: Path, name: str) -> None:
    folder = shared / "golden" / "temporal_grounding" / name
    expected = load(folder / "expected.json")
    paths = (folder / "predictions.json.gz", folder / "ground_truth.json.gz")
    result = score("charades-sta", *paths, convention="official")
    for metric in R1:
        assert result["metrics"][metric] == pytest.approx(expected[metric], rel=RELATIVE)
    derived = expected["derived_not_printed_by_the_scorer"]["mIoU_percent_empty_counts_zero"]
    assert result["metrics"]["mIoU"] == pytest.approx(derived, rel=RELATIVE)
    assert result["coverage"]["scored"] == expected["n_queries"]
    per_query = load(folder / "per_query_iou.json.gz")
    queries = readers.records("charades-sta", paths[1]).items
    pairs = match(read_predictions(paths[0]), queries, OFFICIAL).pairs
    ious = grounding.pair_ious(pairs, OFFICIAL)
    assert len(pairs) == len(per_query)
    for (query, _), iou in zip(pairs, ious, strict=True):
        assert iou == pytest.approx(per_query[query.id] or 0.0, rel=RELATIVE, abs=1e-12), query.id


def test_timechat_edge_cases(shared: Path, tmp_path: Path) -> None:
    cases = load(shared / "golden" / "temporal_grounding" / "edge_cases" / "cases.json")["timechat_eval_tvg"]
    assert len(cases) >= 13
    for case in cases:
        truth = [
            {"id": key, "image_id": f"{key}.mp4", "caption": f"query {key}", "timestamp": window}
            for key, window in case["ground_truth"].items()
        ]
        predictions = {
            key: {"timestamp": windows, "query": f"query {key}", "vid": f"{key}.mp4"}
            for key, windows in case["predictions"].items()
        }
        paths = (
            write(tmp_path, "predictions.json", predictions),
            write(tmp_path, "truth.json", {"annotations": truth}),
        )
        result = score("charades-sta", *paths, convention="official")
        if (
            "raises" in case["expected"]
        ):  # we give a value: the same point twice is 0, an unknown id is reported
            assert all(0 <= result["metrics"][metric] <= 100 for metric in (*R1, "mIoU"))
            continue
        for metric in R1:
            assert result["metrics"][metric] == pytest.approx(case["expected"][metric]), case["name"]


def test_same_point_is_a_miss_and_unknown_ids_are_reported(shared: Path, tmp_path: Path) -> None:
    truth = {"annotations": [{"id": 0, "image_id": "a", "caption": "x", "timestamp": [10.0, 10.0]}]}
    predictions = {"0": {"timestamp": [[10, 10]]}, "9": {"timestamp": [[0, 1]]}}
    paths = (write(tmp_path, "p.json", predictions), write(tmp_path, "t.json", truth))
    for convention in ("official", "corrected"):
        result = score("charades-sta", *paths, convention=convention)
        assert result["metrics"]["mIoU"] == 0
        assert result["coverage"]["extra_ids"] == ["9"]


@pytest.mark.parametrize(
    ("name", "predictions", "truth"),
    [
        ("vtimellm_example", "predictions.jsonl", "ground_truth.json"),
        ("constructed_vtimellm_a", "predictions.jsonl.gz", "ground_truth.json.gz"),
    ],
)
def test_vtimellm_logs(shared: Path, name: str, predictions: str, truth: str) -> None:
    folder = shared / "golden" / "temporal_grounding" / name
    expected = load(folder / "expected.json")
    result = score("charades-sta", folder / predictions, folder / truth, convention="official")
    for metric, value in expected["full_precision_percent"].items():
        assert result["metrics"][metric] == pytest.approx(value, rel=RELATIVE)
    assert result["coverage"]["scored"] == expected["n_grounding_rows"]


def test_vtimellm_ious_recomputed_from_text(shared: Path) -> None:
    """The logged IoU is what our reading of the answer's text gives, row by row."""
    folder = shared / "golden" / "temporal_grounding" / "constructed_vtimellm_a"
    rows = read_predictions(folder / "predictions.jsonl.gz")
    queries = readers.records("charades-sta", folder / "ground_truth.json.gz").items
    bare = [Prediction(id=row.id, video=row.video, log_answer=row.log_answer) for row in rows]
    pairs = match(bare, queries, OFFICIAL).pairs
    logged = np.array([row.log_iou for row in rows], float)
    assert len(pairs) == len(rows) == 438
    assert np.abs(grounding.pair_ious(pairs, OFFICIAL) - logged).max() < 1e-12


def test_vtimellm_answer_texts(shared: Path) -> None:
    cases: list[dict[str, Any]] = load(
        shared / "golden" / "temporal_grounding" / "edge_cases" / "cases.json"
    )["vtimellm_iou_from_answer_text"]
    assert len(cases) >= 20
    for case in cases:
        truth = tuple(case["ground_truth_fraction"])
        query = Record("q", "v", "x", (truth,), duration_s=1.0)
        row = Prediction(id="q", log_answer=case["answer"])
        iou = grounding.pair_ious([(query, row)], OFFICIAL)[0]
        expected = (
            case["iou"] if isinstance(case["iou"], (int, float)) else 0.0
        )  # a string: it divides 0 by 0
        assert iou == pytest.approx(expected, abs=1e-12), case["answer"]
