"""Temporal grounding: R1 and mIoU by hand, matching of rows, the forms of files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.annotations import readers
from videoexpert.annotations.records import Record
from videoexpert.errors import DataError
from videoexpert.scoring.grounding import score_queries, window_in_answer
from videoexpert.scoring.outcome import Rules, means_in_percent
from videoexpert.scoring.predictions import Prediction
from videoexpert.scoring.score import score

CORRECTED, OFFICIAL = Rules(), Rules("official", "skip")
QUERIES = [
    Record("a", "kitchen", "a person opens the fridge", ((10.0, 20.0),)),
    Record("b", "kitchen", "a person closes the fridge", ((20.0, 30.0),)),
    Record("c", "garden", "a dog runs", ((0.0, 8.0),)),
    Record("d", "garden", "a dog sleeps", ((40.0, 50.0),)),
]


def percent(predictions: list[Prediction], rules: Rules = CORRECTED) -> dict[str, float | None]:
    return means_in_percent(score_queries(predictions, QUERIES, rules).values)


def test_by_hand() -> None:
    predictions = [
        Prediction("a", windows=[[10, 20]]),  # IoU 1
        Prediction("b", windows=[[25, 35]]),  # 5/15
        Prediction("c", windows=[[0, 16]]),  # 8/16: counts at 0.5
        Prediction("d", windows=[]),
    ]
    metrics = percent(predictions)
    assert metrics == pytest.approx(
        {"R1@0.3": 75.0, "R1@0.5": 50.0, "R1@0.7": 25.0, "mIoU": 100 * (1 + 1 / 3 + 0.5) / 4}
    )


def test_best_score_counts_and_the_official_scorer_takes_the_first() -> None:
    row = Prediction("a", windows=[[0, 5, 0.1], [10, 20, 0.9]])
    assert percent([row], Rules(missing="skip"))["mIoU"] == 100
    assert percent([row], OFFICIAL)["mIoU"] == 0


def test_missing_is_wrong_or_skipped() -> None:
    perfect = [Prediction("a", windows=[[10, 20]])]
    assert percent(perfect)["mIoU"] == 25
    assert percent(perfect, Rules(missing="skip"))["mIoU"] == 100
    coverage = score_queries([*perfect, Prediction("zz", windows=[[0, 1]])], QUERIES, CORRECTED).coverage
    assert coverage["missing_ids"] == ["b", "c", "d"]
    assert coverage["extra_ids"] == ["zz"]
    assert (coverage["expected"], coverage["predicted"], coverage["scored"]) == (4, 1, 4)


def test_nothing_predicted() -> None:
    assert set(percent([]).values()) == {0.0}
    assert set(percent([], Rules(missing="skip")).values()) == {None}


def test_rows_are_found_by_video_and_text_where_the_id_is_another() -> None:
    row = Prediction("17", video="videos/garden.mp4", query="A dog  runs.", windows=[[0, 8]])
    scored = score_queries([row], QUERIES, CORRECTED)
    assert scored.coverage["missing_ids"] == ["a", "b", "d"]
    wrong_id = Prediction("a", video="garden", query="a dog runs", windows=[[0, 8]])
    scored = score_queries([wrong_id], QUERIES, CORRECTED)
    assert scored.coverage["missing_ids"] == ["a", "b", "d"]  # the video contradicts the id
    reworded = Prediction("c", video="garden.mp4", query="the dog is running", windows=[[0, 8]])
    assert score_queries([reworded], QUERIES, CORRECTED).coverage["missing_ids"] == ["a", "b", "d"]
    stranger = Prediction("c", video="street", query="a car", windows=[[0, 8]])
    assert score_queries([stranger], QUERIES, CORRECTED).coverage["extra"] == 1


def test_last_of_two_rows_counts_and_is_said() -> None:
    rows = [Prediction("a", windows=[[10, 20]]), Prediction("a", windows=[[0, 1]])]
    scored = score_queries(rows, QUERIES, CORRECTED)
    assert means_in_percent(scored.values)["mIoU"] == 0
    assert any("predicted more than once" in note for note in scored.notes)


def test_several_true_windows_take_the_best() -> None:
    query = [Record("q", "v", "x", ((0.0, 10.0), (20.0, 40.0)))]
    scored = score_queries([Prediction("q", windows=[[20, 30]])], query, CORRECTED)
    assert means_in_percent(scored.values)["mIoU"] == pytest.approx(50)


@pytest.mark.parametrize(
    ("answer", "official", "corrected"),
    [
        ("From 10 to 20.", (0.1, 0.2), (0.1, 0.2)),
        ("from 5 to 9", None, (0.05, 0.09)),
        ("from 00 to 100", (0.0, 0.1), (0.0, 1.0)),
        ("100 to 200", (0.0, 0.2), None),
        ("From 10.5 TO 20.5", None, (0.105, 0.205)),
        ("between frames 10 and frame 30", None, (0.1, 0.3)),
        ("2019 to 2020", (0.19, 0.2), None),
        ("10-30", None, (0.1, 0.3)),
        ("never", None, None),
    ],
)
def test_windows_in_answers(answer: str, official: tuple | None, corrected: tuple | None) -> None:
    for expected, is_official in ((official, True), (corrected, False)):
        found = window_in_answer(answer, is_official)
        assert found == (None if expected is None else pytest.approx(expected)), is_official


def test_charades_and_activitynet_files(tmp_path: Path) -> None:
    charades = tmp_path / "charades_sta_test.txt"
    charades.write_text("AAA 1.0 4.0##person opens a door.\nBBB 0.0 10.0##person sits##down.\n")
    first, second = readers.records("charades-sta", charades)
    assert (first.id, first.video, first.windows) == ("AAA_1", "AAA", ((1.0, 4.0),))
    assert second.text == "person sits##down."
    activitynet = tmp_path / "val_1.json.gz"
    record = {"v_x": {"duration": 20.0, "timestamps": [[0, 5], [5, 20]], "sentences": [" One.", "Two."]}}
    activitynet.write_bytes(gzip.compress(json.dumps(record).encode()))
    queries = readers.queries("activitynet-captions", readers.records("activitynet-captions", activitynet))
    assert [query.id for query in queries] == ["v_x_0", "v_x_1"]
    assert queries[0].text == " One."  # as the file has it
    predictions = tmp_path / "predictions.jsonl"
    row = {"id": "v_x_0", "video": "v_x", "query": "One.", "moments": [{"start": 0, "end": 5, "score": 0.9}]}
    predictions.write_text(json.dumps(row) + "\n")
    for benchmark in ("activitynet-captions", "charades-sta"):
        assert score(benchmark, predictions, activitynet)["metrics"]["R1@0.7"] == 50


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no record"),
        ("AAA 1.0##missing an end\n", "line 1"),
        ('{"v": {"duration": 3}}', "video v: timestamps is missing"),
        ('{"annotations": []}', "holds no record"),
        ('{"annotations": [3]}', "expected a list of objects"),
        ('{"annotations": [{"id": 1}]}', "annotation 0: image_id is missing"),
        ("3", "line 1"),
        ("[1, 2]", "record 0: expected an object"),
        ('{"qid": 1, "vid": "v", "query": "x", "duration": 9}', "no relevant_windows"),
    ],
)
def test_files_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "annotations"
    path.write_text(text)
    (tmp_path / "p.json").write_text("[]")
    with pytest.raises(DataError, match=message):
        score("charades-sta", tmp_path / "p.json", path)


SPANS = st.tuples(st.floats(-10, 100), st.floats(-10, 100)).map(list)
ROWS = st.lists(st.lists(SPANS, max_size=3), min_size=4, max_size=4)


@settings(max_examples=50)
@given(ROWS, st.permutations(range(4)))
def test_order_of_rows_does_not_matter_and_values_are_bounded(spans: list, order: list[int]) -> None:
    rows = [Prediction(query.id, windows=windows) for query, windows in zip(QUERIES, spans, strict=True)]
    plain = score_queries(rows, QUERIES, CORRECTED).values
    shuffled = score_queries([rows[index] for index in order], QUERIES, CORRECTED).values
    for name, column in plain.items():
        assert np.array_equal(column, shuffled[name])
        assert ((column >= 0) & (column <= 1)).all()


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0.1, 50)), min_size=1, max_size=6))
def test_perfect_is_hundred(windows: list) -> None:
    queries = [Record(str(i), "v", str(i), ((s, s + d),)) for i, (s, d) in enumerate(windows)]
    rows = [Prediction(query.id, windows=[list(query.windows[0])]) for query in queries]
    metrics = means_in_percent(score_queries(rows, queries, CORRECTED).values)
    assert all(value == pytest.approx(100) for value in metrics.values())
