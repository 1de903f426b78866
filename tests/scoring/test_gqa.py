"""Grounded QA by hand: own best segments, who counts, what is the right option."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.errors import DataError
from videoexpert.scoring.gqa import (
    Evidence,
    Question,
    are_fractions,
    read_evidence,
    read_questions,
    score_choices,
    score_grounded,
    score_nextgqa_files,
)
from videoexpert.scoring.outcome import Rules, means_in_percent
from videoexpert.scoring.predictions import Prediction
from videoexpert.scoring.score import score

CORRECTED, OFFICIAL = Rules(), Rules("official", "skip")
EVIDENCE = [
    Evidence("v_0", ((10.0, 20.0),), 40.0),
    Evidence("v_1", ((0.0, 4.0), (20.0, 40.0)), 40.0),
    Evidence("w_0", ((5.0, 10.0),), 20.0),
]
OPTIONS = ("run", "sit", "eat", "sleep", "eat")
QUESTIONS = {
    "v_0": Question("v_0", "CW", OPTIONS, frozenset({0})),
    "v_1": Question("v_1", "TN", OPTIONS, frozenset({2, 4})),
    "w_0": Question("w_0", "TC", OPTIONS, frozenset({3})),
}


def percent(grounding: list, answers: list | None, questions: dict | None, rules: Rules = CORRECTED) -> dict:
    return means_in_percent(score_grounded(EVIDENCE, grounding, answers, questions, rules).values)


def test_by_hand() -> None:
    rows = [
        Prediction("v_0", windows=[[12, 16]], choice=0),  # IoU 0.4, IoP 1
        Prediction("v_1", windows=[[0, 24]], choice=2),  # IoU 4/24 or 4/40, IoP 4/24
        Prediction("w_0", windows=[[0, 10]], choice=1),  # both 0.5, wrong answer
    ]
    metrics = percent(rows, None, QUESTIONS)
    assert metrics["mIoU"] == pytest.approx(100 * (0.4 + 4 / 24 + 0.5) / 3)
    assert metrics["mIoP"] == pytest.approx(100 * (1 + 4 / 24 + 0.5) / 3)
    assert metrics["IoU@0.3"] == pytest.approx(200 / 3)
    assert metrics["IoU@0.5"] == pytest.approx(100 / 3)
    assert metrics["IoP@0.5"] == pytest.approx(200 / 3)
    assert metrics["Acc@QA"] == pytest.approx(200 / 3)
    assert metrics["Acc@GQA"] == pytest.approx(
        100 / 3
    )  # v_1 is right but not grounded, w_0 grounded but wrong
    assert metrics["Acc@QA/why"] == 100
    assert metrics["Acc@QA/temporal"] == 50
    assert "Acc@QA/descriptive" not in metrics


def test_missing_grounding_raises_the_official_score_only() -> None:
    rows = [Prediction("v_0", windows=[[10, 20]], choice=0)]
    assert percent(rows, None, QUESTIONS, OFFICIAL)["Acc@GQA"] == 100
    assert percent(rows, None, QUESTIONS)["Acc@GQA"] == pytest.approx(100 / 3)
    answered = [Prediction("v_1", choice=2)]
    metrics = percent(rows, answered, QUESTIONS)
    assert (metrics["Acc@QA"], metrics["Acc@GQA"]) == (pytest.approx(100 / 3), 0)


def test_right_option() -> None:
    def accuracy(choice: object, rules: Rules = CORRECTED, truth: object = None) -> float | None:
        questions = {"v_1": QUESTIONS["v_1"]} if truth is None else None
        row = Prediction("v_1", windows=[[0, 4]], choice=choice, truth=truth)
        scored = score_grounded(EVIDENCE[1:2], [row], None, questions, rules)
        return means_in_percent(scored.values)["Acc@QA"]

    assert [accuracy(choice) for choice in (2, 4, "2", 2.0, " Eat ", "run", 0, "nonsense")] == [100] * 5 + [
        0
    ] * 3
    assert accuracy(1, truth="1") == 100  # the same option, however it is stored
    assert accuracy(1, OFFICIAL, truth="1") == 0


def test_question_file_overrules_what_the_predictions_call_right() -> None:
    row = Prediction("v_0", windows=[[10, 20]], choice=1, truth=1)
    assert percent([row], None, QUESTIONS, Rules(missing="skip"))["Acc@QA"] == 0
    assert percent([row], None, QUESTIONS, OFFICIAL)["Acc@QA"] == 100


def test_answers_that_cannot_be_judged_are_not_scored() -> None:
    scored = score_grounded(
        EVIDENCE, [Prediction("v_0", windows=[[10, 20]], choice=1)], None, None, CORRECTED
    )
    assert "Acc@QA" not in scored.values
    assert any("--questions" in note for note in scored.notes)


def test_fractions_of_the_duration() -> None:
    spans = {"v_0": Prediction("v_0", windows=[[0.25, 0.5]]), "w_0": Prediction("w_0", windows=[[0.25, 0.5]])}
    assert are_fractions(spans)
    assert percent(list(spans.values()), None, None, Rules(missing="skip"))["mIoU"] == 100
    assert not are_fractions({"v_0": Prediction("v_0", windows=[[0.25, 1.5]])})
    assert not are_fractions({"v_0": Prediction("v_0", windows=[[0.0, 0.0]])})
    assert not are_fractions({})


def test_question_files(tmp_path: Path) -> None:
    head = "frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
    texts = tmp_path / "test.csv"
    texts.write_text("video_id," + head + "7,9,3,2,what,happy,4,CW,none,sad,x,happy,happy\n")
    assert read_questions(texts)["7_4"].right == {3, 4}
    indices = tmp_path / "val.csv"
    indices.write_text("video," + head + "7,9,3,2,how many,1,0,DC,1,3,2,4,0\n")
    assert read_questions(indices)["7_0"].right == {1}  # the option at index 1, not the option that reads "1"
    texts.write_text("video_id," + head + "7,9,3,2,what,angry,4,CW,none,sad,x,y,happy\n")
    with pytest.raises(DataError, match="none of its options"):
        read_questions(texts)
    texts.write_text("video_id,question\n7,what\n")
    with pytest.raises(DataError, match="lacks a0"):
        read_questions(texts)
    texts.write_text("video_id," + head + "7,9,3,2,what,happy,4\n")
    with pytest.raises(DataError, match="row of 7 fields"):
        read_questions(texts)


def test_nextqa() -> None:
    rows = [Prediction("v_0", choice=0), Prediction("v_1", choice="eat"), Prediction("zz_1", choice=0)]
    scored = score_choices(QUESTIONS, rows, CORRECTED)
    assert means_in_percent(scored.values)["Acc@QA"] == pytest.approx(200 / 3)
    assert (scored.coverage["missing_ids"], scored.coverage["extra_ids"]) == (["w_0"], ["zz_1"])
    skipped = score_choices(QUESTIONS, rows, Rules(missing="skip"))
    assert means_in_percent(skipped.values)["Acc@QA"] == 100


def test_evidence_files(tmp_path: Path) -> None:
    path = tmp_path / "gsub.json"
    path.write_text(
        json.dumps({"v": {"duration": 9, "location": {"0": [[1, 2]]}, "fps": 30}, "w": {"duration": 1}})
    )
    with pytest.raises(DataError, match="cannot be read"):
        read_evidence(path)
    path.write_text(json.dumps({"v": {"duration": 9, "location": {}}}))
    with pytest.raises(DataError, match="no grounded question"):
        read_evidence(path)
    path.write_text(json.dumps({"v": {"duration": 9, "location": {"0": [[1, 2]], "3": [[2, 3], [4, 5]]}}}))
    predictions = tmp_path / "grounding.json"
    predictions.write_text(json.dumps({"v_0": [1, 2], "v_3": [4, 5], "v_9": [0, 1]}))
    scored = score_nextgqa_files(predictions, path, CORRECTED)
    assert means_in_percent(scored.values)["mIoU"] == 100
    assert scored.coverage["extra_ids"] == ["v_9"]


SPAN = st.tuples(st.floats(-5, 60), st.floats(-5, 60)).map(list)


@settings(max_examples=50)
@given(
    st.lists(SPAN, min_size=3, max_size=3),
    st.permutations(range(3)),
    st.lists(st.integers(0, 4), min_size=3, max_size=3),
)
def test_bounds_and_order(spans: list, order: list[int], choices: list[int]) -> None:
    rows = [
        Prediction(item.id, windows=[span], choice=choice)
        for item, span, choice in zip(EVIDENCE, spans, choices, strict=True)
    ]
    first = score_grounded(EVIDENCE, rows, None, QUESTIONS, CORRECTED).values
    again = score_grounded(EVIDENCE, [rows[index] for index in order], None, QUESTIONS, CORRECTED).values
    for name, column in first.items():
        assert np.array_equal(column, again[name], equal_nan=True)
        known = column[~np.isnan(column)]
        assert ((known >= 0) & (known <= 1)).all()
    assert (first["Acc@GQA"] <= np.nan_to_num(first["Acc@QA"])).all()


def test_perfect_is_hundred() -> None:
    rows = [
        Prediction(item.id, windows=[list(item.segments[0])], choice=min(QUESTIONS[item.id].right))
        for item in EVIDENCE
    ]
    assert set(percent(rows, None, QUESTIONS).values()) == {100}


def test_the_questions_beside_the_spans_are_found(tmp_path: Path) -> None:
    (tmp_path / "gsub_val.json").write_text(json.dumps({"7": {"duration": 9, "location": {"4": [[1, 2]]}}}))
    head = "video_id,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
    (tmp_path / "val.csv").write_text(head + "7,9,3,2,what,happy,4,CW,none,sad,x,happy,glad\n")
    predictions = tmp_path / "predictions.jsonl"
    row = {"id": "7_4", "video": "7", "moments": [{"start": 1, "end": 2}], "answer": "happy", "choice": 3}
    predictions.write_text(json.dumps(row))
    for place, split in ((tmp_path / "gsub_val.json", None), (tmp_path, "val"), (tmp_path, None)):
        assert score("nextgqa", predictions, place, split=split)["metrics"]["Acc@GQA"] == 100
