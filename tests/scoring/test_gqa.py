"""Grounded QA by hand: own best segments, who counts, what is the right option."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from videoexpert.annotations import readers
from videoexpert.annotations.records import Record
from videoexpert.errors import DataError
from videoexpert.scoring.gqa import are_fractions, score_choices, score_grounded
from videoexpert.scoring.outcome import Rules, means_in_percent
from videoexpert.scoring.predictions import Prediction
from videoexpert.scoring.score import score

CORRECTED, OFFICIAL = Rules(), Rules("official", "skip")
EVIDENCE = [
    Record("v_0", "v", windows=((10.0, 20.0),), duration_s=40.0, form="spans"),
    Record("v_1", "v", windows=((0.0, 4.0), (20.0, 40.0)), duration_s=40.0, form="spans"),
    Record("w_0", "w", windows=((5.0, 10.0),), duration_s=20.0, form="spans"),
]
OPTIONS = ("run", "sit", "eat", "sleep", "eat")
ASKED = [("CW", {0}), ("TN", {2, 4}), ("TC", {3})]
QUESTIONS = [
    replace(spans, text="why", form="", kind=kind, options=OPTIONS, right=frozenset(right))
    for spans, (kind, right) in zip(EVIDENCE, ASKED, strict=True)
]


def percent(grounding: list, answers: list | None, records: list[Record], rules: Rules = CORRECTED) -> dict:
    return means_in_percent(score_grounded(records, grounding, answers, rules).values)


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
        records = QUESTIONS[1:2] if truth is None else EVIDENCE[1:2]
        row = Prediction("v_1", windows=[[0, 4]], choice=choice, truth=truth)
        scored = score_grounded(records, [row], None, rules)
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
    scored = score_grounded(EVIDENCE, [Prediction("v_0", windows=[[10, 20]], choice=1)], None, CORRECTED)
    assert "Acc@QA" not in scored.values
    assert any("--questions" in note for note in scored.notes)


def test_fractions_of_the_duration() -> None:
    spans = {"v_0": Prediction("v_0", windows=[[0.25, 0.5]]), "w_0": Prediction("w_0", windows=[[0.25, 0.5]])}
    assert are_fractions(spans.values())
    assert percent(list(spans.values()), None, EVIDENCE, Rules(missing="skip"))["mIoU"] == 100
    assert not are_fractions([Prediction("v_0", windows=[[0.25, 1.5]])])
    assert not are_fractions([Prediction("v_0", windows=[[0.0, 0.0]])])
    assert not are_fractions([])


def test_the_right_options_of_question_files(tmp_path: Path) -> None:
    head = "frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
    texts = tmp_path / "test.csv"
    texts.write_text("video_id," + head + "7,9,3,2,what,happy,4,CW,none,sad,x,happy,happy\n")
    assert readers.records("nextqa", texts)[0].right == {3, 4}
    indices = tmp_path / "val.csv"
    indices.write_text("video," + head + "7,9,3,2,how many,1,0,DC,1,3,2,4,0\n")
    # the option at index 1, not the option that reads "1"
    assert readers.records("nextqa", indices)[0].right == {1}
    texts.write_text("video_id," + head + "7,9,3,2,what,angry,4,CW,none,sad,x,y,happy\n")
    (unanswerable,) = readers.kept("nextqa", readers.records("nextqa", texts).items)
    assert not unanswerable.asked


def test_open_ended_questions_are_not_judged(tmp_path: Path) -> None:
    (tmp_path / "nextoe_val.csv").write_text("video,question,answer,qid,type\n7,what,red,0,DO\n")
    with pytest.raises(DataError, match="open-ended"):
        score_choices(readers.records("nextqa", tmp_path / "nextoe_val.csv").items, [], CORRECTED)


def test_nextqa() -> None:
    rows = [Prediction("v_0", choice=0), Prediction("v_1", choice="eat"), Prediction("zz_1", choice=0)]
    scored = score_choices(QUESTIONS, rows, CORRECTED)
    assert means_in_percent(scored.values)["Acc@QA"] == pytest.approx(200 / 3)
    assert (scored.coverage["missing_ids"], scored.coverage["extra_ids"]) == (["w_0"], ["zz_1"])
    skipped = score_choices(QUESTIONS, rows, Rules(missing="skip"))
    assert means_in_percent(skipped.values)["Acc@QA"] == 100


def test_spans_without_a_question_file_are_scored(tmp_path: Path) -> None:
    path = tmp_path / "gsub.json"
    path.write_text(json.dumps({"v": {"duration": 9, "location": {"0": [[1, 2]], "3": [[4, 5], [7, 8]]}}}))
    predictions = tmp_path / "p.json"
    predictions.write_text(json.dumps({"v_0": [1, 2], "v_3": [4, 5], "v_9": [0, 1]}))
    result = score("nextgqa", predictions, path)
    assert result["metrics"]["mIoU"] == 100
    assert result["coverage"]["extra_ids"] == ["v_9"]
    path.write_text('{"v": {"duration": 9}}')
    with pytest.raises(DataError, match="video v: expected duration and location"):
        score("nextgqa", predictions, path)
    path.write_text("{}")
    with pytest.raises(DataError, match="holds no record"):
        score("nextgqa", predictions, path)


SPAN = st.tuples(st.floats(-5, 60), st.floats(-5, 60)).map(list)


@settings(max_examples=50)
@example([[0.0, 0.0], [0.0, 0.0], [0.0, -2.2250738585072014e-308]], [0, 1, 2], [0, 0, 0])
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
    first = score_grounded(QUESTIONS, rows, None, CORRECTED).values
    again = score_grounded(QUESTIONS, [rows[index] for index in order], None, CORRECTED).values
    for name, column in first.items():
        assert np.array_equal(column, again[name], equal_nan=True)
        known = column[~np.isnan(column)]
        assert ((known >= 0) & (known <= 1)).all()
    assert (first["Acc@GQA"] <= np.nan_to_num(first["Acc@QA"])).all()


def test_perfect_is_hundred() -> None:
    rows = [
        Prediction(item.id, windows=[list(item.windows[0])], choice=min(item.right)) for item in QUESTIONS
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
