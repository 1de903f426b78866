"""TVSum and YouTube Highlights by hand: top five by each annotator's median, trapezoids, means of domains."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.annotations.readers import read
from videoexpert.annotations.records import Record
from videoexpert.errors import DataError
from videoexpert.scoring.clips import BEST, score_clips, trapezoid_precision
from videoexpert.scoring.outcome import Rules, means_in_percent
from videoexpert.scoring.predictions import Prediction
from videoexpert.scoring.score import score

CORRECTED, OFFICIAL = Rules(), Rules("official", "skip")


def video(id: str, marks: list[list[float]], domain: str = "dog") -> Record:
    clips = [(float(i), i + 1.0) for i in range(len(marks))]
    return Record(
        id, id, domain, (), float(len(marks)), labelled=False, marks=marks, clips=clips, kind=domain
    )


def one(marks: list[list[float]], saliency: list[float], best: int | None, rules: Rules = CORRECTED) -> float:
    scored = score_clips([Prediction("a", saliency=saliency)], [video("a", marks)], rules, best)
    return scored.fixed["mAP"]


def test_trapezoids_by_hand() -> None:
    def area(*hits: int) -> float:
        return trapezoid_precision(np.array(hits, bool))

    assert area(1, 1, 0) == 1
    # precision 1 at the first hit, then 2/3 at the second: half of (1 + 1) / 2 and half of (1/2 + 2/3) / 2
    assert area(1, 0, 1) == pytest.approx(0.5 * 1 + 0.5 * (1 / 2 + 2 / 3) / 2)
    assert area(0, 1) == pytest.approx((0 + 1 / 2) / 2)
    assert area(0, 0) == area() == 0


def test_youtube_highlights_rank_all_clips() -> None:
    marks = [[0], [1], [0], [1]]
    assert one(marks, [0.1, 0.9, 0.2, 0.8], None) == 100
    assert one(marks, [0.9, 0.8, 0.2, 0.1], None) == pytest.approx(100 * (0.25 / 2 + (1 / 3 + 1 / 2) / 4))


def test_tvsum_takes_each_annotators_own_median_and_the_five_best() -> None:
    marks = [[1, 5], [1, 1], [3, 1], [3, 1], [5, 1], [1, 1], [1, 1], [5, 1]]
    # medians (the lower of two in the middle): 1 and 1; highlights: 2, 3, 4, 7 and only 0
    assert one(marks, [0, 0, 4, 3, 2, 0, 0, 1], BEST) == pytest.approx(50 * (1 + 0.2 / 2))
    assert one(marks, [9, 0, 4, 3, 2, 0, 0, 1], BEST) == pytest.approx(
        50 * ((0 / 1 + 1 / 2) / 8 + (1 / 2 + 2 / 3) / 8 + (2 / 3 + 3 / 4) / 8 + (3 / 4 + 4 / 5) / 8 + 1)
    )


def test_the_mean_is_over_domains() -> None:
    records = [video("a", [[1], [0]], "dog"), video("b", [[1], [0]], "dog"), video("c", [[1], [0]], "surf")]
    rows = [
        Prediction("a", saliency=[1, 0]),
        Prediction("b", saliency=[1, 0]),
        Prediction("c", saliency=[0, 1]),
    ]
    scored = score_clips(rows, records, CORRECTED, None)
    metrics = means_in_percent(scored.values)
    assert metrics == {"mAP/dog": 100, "mAP/surf": 25}
    assert scored.fixed == {"mAP": 62.5}


def test_missing_videos_and_videos_without_highlights() -> None:
    records = [video("a", [[1], [0]]), video("b", [[1], [0]]), video("c", [[0], [0]])]
    rows = [Prediction("a", saliency=[1, 0]), Prediction("x", saliency=[1, 0])]
    wrong, skipped = (score_clips(rows, records, Rules(missing=m), None) for m in ("wrong", "skip"))
    assert (wrong.fixed["mAP"], skipped.fixed["mAP"]) == (50, 100)
    assert (wrong.coverage["missing_ids"], wrong.coverage["extra_ids"]) == (["b", "c"], ["x"])


def test_lists_of_another_length_are_named() -> None:
    marks = [[0], [1], [0]]
    # corrected: a clip without a score ranks last; official: it is left out of the ranking
    assert one(marks, [0.5], None) == pytest.approx(100 * (0 + 1 / 2) / 2)
    assert one(marks, [0.5], None, OFFICIAL) == 0
    assert one(marks, [0, 1, 0, 9], None) == 100
    scored = score_clips([Prediction("a", saliency=[1])], [video("a", marks)], CORRECTED, None)
    assert "more or fewer scores" in scored.coverage["unusable"][0]["reason"]
    scored = score_clips([Prediction("a", windows=[[0, 1]])], [video("a", marks)], CORRECTED, None)
    assert scored.fixed["mAP"] == 0
    assert "no saliency" in scored.coverage["unusable"][0]["reason"]
    with pytest.raises(DataError, match="not finite"):
        one(marks, [float("nan")], None)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.permutations(range(12)))
def test_bounds_and_a_perfect_ranking(hits: list[bool], order: list[int]) -> None:
    ranked = np.array(hits)
    value = trapezoid_precision(ranked)
    assert 0 <= value <= 1
    assert value <= trapezoid_precision(np.sort(ranked)[::-1]) + 1e-12
    assert trapezoid_precision(np.sort(ranked)[::-1]) == (1 if ranked.any() else 0)


@pytest.mark.parametrize(
    ("benchmark", "file", "videos", "clips"),
    [
        ("tvsum", "tvsum_train_release.jsonl", 40, None),
        ("youtube-highlights", "youtube_highlight_train_release.jsonl", 233, 14933),
    ],
)
def test_real_files(
    shared: Path, tmp_path: Path, benchmark: str, file: str, videos: int, clips: int | None
) -> None:
    annotations = shared / "annotations" / "lighthouse_extras" / file
    dataset = read(benchmark, annotations)
    assert (dataset.split, len(dataset)) == ("train", videos)
    assert all(len(sample.saliency or ()) == len(sample.clips) for sample in dataset)
    assert all(
        0 <= start < end <= (sample.duration_s or 0) for sample in dataset for start, end in sample.clips
    )
    if clips is not None:
        assert sum(len(sample.clips) for sample in dataset) == clips
    rows = [
        {"id": sample.id, "saliency": [sum(marks) for marks in sample.saliency or ()]} for sample in dataset
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    result = score(benchmark, tmp_path / "p.jsonl", annotations)
    assert result["run"]["data"]["published"]
    domains = [name for name in result["metrics"] if name.startswith("mAP/")]
    assert result["metrics"]["mAP"] == pytest.approx(
        sum(result["metrics"][d] for d in domains) / len(domains)
    )
    # one label a clip: its own ranking is perfect; twenty annotators do not agree on the five best
    assert (
        result["metrics"]["mAP"] == 100
        if benchmark == "youtube-highlights"
        else 80 < result["metrics"]["mAP"] < 100
    )


def test_tacos_by_a_real_file(shared: Path, tmp_path: Path) -> None:
    annotations = shared / "annotations" / "lighthouse_extras" / "tacos_val_release.jsonl"
    dataset = read("tacos", annotations)
    assert (dataset.split, len(dataset), dataset[0].id) == ("val", 4436, "s34-d28_0")
    # half of each moment
    rows = [
        {"id": s.id, "moments": [{"start": s.windows[0][0], "end": sum(s.windows[0]) / 2}]} for s in dataset
    ]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    metrics = score("tacos", tmp_path / "p.jsonl", annotations)["metrics"]
    assert list(metrics) == ["R1@0.3", "R1@0.5", "R1@0.7", "mIoU"]
    assert (metrics["R1@0.3"], metrics["R1@0.7"], metrics["mIoU"]) == (100, 0, pytest.approx(50))
