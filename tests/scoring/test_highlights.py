"""QVHighlights' metrics by hand and by property; the golden files are in tests/parity."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.annotations.readers.moment_lines import kept_highlight
from videoexpert.annotations.records import Record
from videoexpert.errors import DataError
from videoexpert.scoring.highlights import THRESHOLDS, score_predictions
from videoexpert.scoring.outcome import Rules, Scored, means_in_percent
from videoexpert.scoring.predictions import Prediction
from videoexpert.scoring.score import score

CORRECTED, OFFICIAL = Rules(), Rules("official", "skip")


def row(
    qid: int, windows: list, marks: dict[int, list[int]] | None = None, duration: float = 60
) -> dict[str, Any]:
    """An annotation; ``marks``: clip -> three annotators' scores."""
    marks = marks or {}
    return {
        "qid": qid,
        "vid": f"v{qid}",
        "query": f"query {qid}",
        "duration": duration,
        "relevant_windows": windows,
        "relevant_clip_ids": list(marks),
        "saliency_scores": list(marks.values()),
    }


def scored(rows: list, predictions: list[Prediction], rules: Rules = CORRECTED) -> Scored:
    records = [
        Record(
            str(r["qid"]),
            r["vid"],
            r["query"],
            [tuple(window) for window in r["relevant_windows"]],
            r["duration"],
            clip_ids=r["relevant_clip_ids"],
            marks=r["saliency_scores"],
        )
        for r in rows
    ]
    return score_predictions(predictions, [kept_highlight(record) for record in records], rules)


def percent(rows: list, predictions: list[Prediction], rules: Rules = CORRECTED) -> dict[str, float | None]:
    return means_in_percent(scored(rows, predictions, rules).values)


def test_average_precision_by_hand() -> None:
    """Two true windows; ranks: hit, miss, hit. AP = 1/2 * 1 + 1/2 * 2/3."""
    rows = [row(1, [[0, 20], [40, 60]])]
    predictions = [Prediction("1", windows=[[0, 20, 0.9], [20, 30, 0.8], [40, 60, 0.7]])]
    metrics = percent(rows, predictions)
    assert metrics["mAP"] == pytest.approx(100 * (0.5 + 0.5 * 2 / 3))
    assert metrics["R1@0.5"] == 100
    # IoU 15/20: reached up to 0.75, so 6 of 10 thresholds
    looser = percent([row(1, [[0, 20]])], [Prediction("1", windows=[[0, 15, 0.9]])])
    assert (looser["mAP@0.75"], looser["mAP@0.8"], looser["mAP"]) == (100, 0, pytest.approx(60))


def test_a_window_is_matched_once() -> None:
    """The second prediction fits best what is taken, and takes the other true window if it reaches that."""
    rows = [row(1, [[0, 20], [10, 30]])]
    both = percent(rows, [Prediction("1", windows=[[0, 20, 0.9], [2, 20, 0.8]])])
    assert both["mAP@0.9"] == pytest.approx(50)  # 18/20 with the taken one, only 10/28 with the free one
    other = percent(rows, [Prediction("1", windows=[[5, 25, 0.9], [5, 25, 0.8]])])
    assert other["mAP@0.6"] == pytest.approx(100)  # 15/25 with either


def test_lengths() -> None:
    """Windows of 10 s are short, of 30 s middle; the others leave that split, predictions stay."""
    rows = [row(1, [[0, 10], [20, 50]]), row(2, [[0, 40]])]
    predictions = [
        Prediction("1", windows=[[20, 50, 0.9], [0, 10, 0.5]]),
        Prediction("2", windows=[[0, 40, 1.0]]),
    ]
    metrics = percent(rows, predictions)
    assert metrics["mAP/short"] == pytest.approx(
        50
    )  # the better-ranked middle window is a false positive there
    assert metrics["mAP/middle"] == pytest.approx(100)
    assert metrics["mAP/long"] == pytest.approx(100)
    assert (metrics["R1@0.5/short"], metrics["R1@0.5/middle"]) == (0, 100)
    assert percent([row(1, [[0, 40]])], predictions[:1])["mAP/short"] is None


def test_highlights_by_hand() -> None:
    """Ranks: clip 0 (no), 1 (yes), 2 (yes), 3 (no): precision 1/2 then 2/3; the best makes both 2/3."""
    rows = [row(1, [[2, 6]], {1: [4, 4, 4], 2: [4, 4, 4]}, duration=8)]
    metrics = percent(rows, [Prediction("1", saliency=[0.9, 0.8, 0.7, 0.1])])
    assert metrics["HL-mAP"] == pytest.approx(100 * 2 / 3)
    assert metrics["HIT@1"] == 0
    assert percent(rows, [Prediction("1", saliency=[0, 1, 0, 0])])["HIT@1"] == 100


def test_ties_are_one_step_and_annotators_are_kept_apart() -> None:
    marks = {0: [4, 0, 0], 1: [4, 3, 2]}
    rows = [row(1, [[0, 4]], marks, duration=8)]
    metrics = percent(rows, [Prediction("1", saliency=[1, 1, 1, 1])])
    assert metrics["HL-mAP"] == pytest.approx(100 * (2 / 4 + 0 + 0) / 3)
    assert metrics["HL-mAP/good"] == pytest.approx(100 * (2 / 4 + 1 / 4 + 0) / 3)
    assert metrics["HL-mAP/fair"] == pytest.approx(100 * (2 / 4 + 1 / 4 + 1 / 4) / 3)
    assert metrics["HIT@1"] == 100  # one annotator is enough


def test_perfect_saliency() -> None:
    rows = [row(1, [[0, 4]], {0: [4, 4, 4], 1: [4, 4, 4]}, duration=9)]
    assert percent(rows, [Prediction("1", saliency=[2, 1, 0, 0])])["HL-mAP"] == 100
    everything = [row(1, [[0, 4]], {0: [4, 4, 4], 1: [4, 4, 4]}, duration=4)]
    assert percent(everything, [Prediction("1", saliency=[0, 1])])["HL-mAP"] == 100


def test_lists_of_the_wrong_length() -> None:
    rows = [row(1, [[4, 6]], {2: [4, 4, 4]}, duration=8)]
    short = [Prediction("1", saliency=[-2.0, -3.0, -1.0])]
    # officially the clip without a score gets 0 and outranks them all; corrected it ranks last
    assert percent(rows, short, OFFICIAL)["HL-mAP"] == pytest.approx(50)
    assert percent(rows, short)["HL-mAP"] == 100
    long = [Prediction("1", saliency=[0.0, 0.0, 0.5, 0.0, 0.9])]
    assert percent(rows, long, OFFICIAL)["HIT@1"] == 0
    assert percent(rows, long)["HIT@1"] == 100


def test_nan_overlaps() -> None:
    rows = [row(1, [[10, 20]])]
    for window in ([20, 10, 1.0], [float("nan"), 12, 1.0]):
        predictions = [Prediction("1", windows=[window])]
        assert percent(rows, predictions, OFFICIAL)["mAP"] == 100
        assert percent(rows, predictions, OFFICIAL)["R1@0.5"] == 0
        assert percent(rows, predictions)["mAP"] == 0


def test_tasks_that_the_file_does_not_attempt_are_left_out() -> None:
    rows = [row(1, [[0, 4]], {0: [4, 4, 4]}, duration=8)]
    only = scored(rows, [Prediction("1", windows=[[0, 4, 1.0]])])
    assert "HL-mAP" not in only.values
    assert any("No saliency" in note for note in only.notes)
    assert "mAP" not in scored(rows, [Prediction("1", saliency=[1, 0, 0, 0])]).values
    with pytest.raises(DataError, match="neither windows nor saliency"):
        scored(rows, [Prediction("1")])


def test_nothing_predicted() -> None:
    rows = [row(1, [[0, 4]], {0: [4, 4, 4], 1: [4, 4, 4]}, duration=8)]
    metrics = percent(rows, [])
    assert (metrics["mAP"], metrics["R1@0.5"], metrics["HL-mAP"], metrics["mAP/long"]) == (0, 0, 0, None)
    assert percent(rows, [], Rules(missing="skip"))["mAP"] is None
    assert percent(rows, [Prediction("1", windows=[], saliency=[])])["HIT@1"] == 0


def test_clips_past_the_end_are_left_out_with_a_note() -> None:
    rows = [row(1, [[0, 4]], {0: [4, 4, 4], 9: [4, 4, 4]}, duration=8)]
    result = scored(rows, [Prediction("1", saliency=[1, 0, 0, 0])])
    assert means_in_percent(result.values)["HL-mAP"] == 100
    assert any("1 annotated clips lie past the end" in note for note in result.notes)


def test_unlabelled_and_broken_annotations(tmp_path: Path) -> None:
    predictions = tmp_path / "p.jsonl"
    predictions.write_text('{"qid": 1, "pred_relevant_windows": [[0, 2, 1]]}\n')
    for rows, message in (
        (
            [{"qid": 1, "vid": "v", "query": "x", "duration": 10}],
            r"line 1: no relevant_windows.*labelled split",
        ),
        ([row(1, [[0, 2, 3]])], r"line 1: got \[0, 2, 3\], expected \[start, end\]"),
        ([], "holds no record"),
    ):
        path = tmp_path / "truth.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        with pytest.raises(DataError, match=message):
            score("qvhighlights", predictions, path)


TIMES = st.integers(0, 30).map(lambda tick: tick * 2.0)
TRUE = st.lists(st.tuples(TIMES, st.integers(1, 12)), min_size=1, max_size=4).map(
    lambda found: [[start, start + 2.0 * ticks] for start, ticks in found]
)
SCORES = st.floats(0.1, 1.0)
PREDICTED = st.lists(st.tuples(TIMES, st.integers(0, 12), SCORES), max_size=8).map(
    lambda found: [[start, start + 2.0 * ticks, score] for start, ticks, score in found]
)
SALIENCY = st.lists(st.floats(-1, 1), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(TRUE, PREDICTED, SALIENCY), min_size=1, max_size=4), st.randoms(use_true_random=False)
)
def test_bounds_and_order_of_rows(data: list, random: Any) -> None:
    rows = [row(i, true, {0: [4, 3, 2]}) for i, (true, _, _) in enumerate(data)]
    predictions = [Prediction(str(i), windows=w, saliency=s) for i, (_, w, s) in enumerate(data)]
    for rules in (CORRECTED, OFFICIAL):
        first = scored(rows, predictions, rules).values
        again = scored(rows, random.sample(predictions, len(predictions)), rules).values
        for name, column in first.items():
            assert np.array_equal(column, again[name], equal_nan=True)
            known = column[~np.isnan(column)]
            assert ((known >= 0) & (known <= 1 + 1e-12)).all()


@settings(max_examples=60, deadline=None)
@given(TRUE, PREDICTED, st.tuples(TIMES, st.integers(0, 12)))
def test_a_worse_ranked_wrong_window_never_helps(true: list, predicted: list, extra: tuple) -> None:
    rows = [row(1, true)]
    before = scored(rows, [Prediction("1", windows=predicted)]).values
    far = [500.0 + extra[0], 500.0 + extra[0] + 2 * extra[1], 0.01]
    after = scored(rows, [Prediction("1", windows=[*predicted, far])]).values
    for name in before:
        if not np.isnan(before[name][0]):
            assert after[name][0] <= before[name][0] + 1e-12, name


@settings(max_examples=60, deadline=None)
@given(TRUE, PREDICTED)
def test_a_wrong_window_at_the_top_never_helps(true: list, predicted: list) -> None:
    rows = [row(1, true)]
    before = scored(rows, [Prediction("1", windows=predicted)]).values
    after = scored(rows, [Prediction("1", windows=[[500.0, 510.0, 2.0], *predicted])]).values
    for name in before:
        if not np.isnan(before[name][0]):
            assert after[name][0] <= before[name][0] + 1e-12, name


@settings(max_examples=60, deadline=None)
@given(st.tuples(TIMES, st.integers(1, 12)), PREDICTED)
def test_duplicates_never_help(true: tuple, predicted: list) -> None:
    """With one true window a copy of any prediction, ranked right behind it, is at best of no use."""
    rows = [row(1, [[true[0], true[0] + 2.0 * true[1]]])]
    before = scored(rows, [Prediction("1", windows=predicted)]).values
    doubled = [window for window in predicted for _ in range(2)]
    after = scored(rows, [Prediction("1", windows=doubled)]).values
    for name in before:
        if not np.isnan(before[name][0]):
            assert after[name][0] <= before[name][0] + 1e-12, name


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_perfect_is_hundred(lengths: list[int]) -> None:
    """Windows that do not touch, predicted exactly: every retrieval metric is 100."""
    true, start = [], 0.0
    for ticks in lengths:
        true.append([start, start + 2.0 * ticks])
        start += 2.0 * ticks + 4
    ranked = [[*window, 1.0 - index / 10] for index, window in enumerate(true)]
    metrics = percent([row(1, true, duration=200)], [Prediction("1", windows=ranked)])
    assert metrics["mAP"] == pytest.approx(100)
    assert all(metrics[f"R1@{threshold}"] == 100 for threshold in THRESHOLDS)
