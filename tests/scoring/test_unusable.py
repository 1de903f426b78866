"""Predictions that cannot count are counted and named, by one rule in every scorer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from videoexpert.scoring.score import score

NAN, INF = float("nan"), float("inf")
# what is predicted of a video of 100 s whose moment is [10, 20] -> what is said of it
WINDOWS = [
    ([[10, 20]], None),
    ([], "hold no window"),
    ([[20, 10]], "end before they start"),
    ([[NAN, 20]], "not a number"),
    ([[0, INF]], "not a number"),
    ([[15, 15]], "have no length"),
    ([[120, 130]], "lie outside their videos"),
    ([[-9, -2]], "lie outside their videos"),
    ([[10_000, 20_000]], "milliseconds"),
    ([[0.1, 0.2]], "fractions"),
]


def moment_file(folder: Path, benchmark: str) -> Path:
    """The same two queries in a benchmark's own layout."""
    name = {"tacos": "tacos_test_release.jsonl", "qvhighlights": "highlight_val_release.jsonl"}.get(benchmark)
    if name:
        rows = [
            {"qid": i, "vid": "v", "query": f"a dog {i}", "duration": 100, "relevant_windows": [[10, 20]]}
            for i in (0, 1)
        ]
        (folder / name).write_text("\n".join(map(json.dumps, rows)))
    elif benchmark == "charades-sta":
        (folder / "charades_sta_test.txt").write_text("v 10.0 20.0##a dog 0\nv 10.0 20.0##a dog 1\n")
        (folder / "Charades_v1_test.csv").write_text("id,length,actions,quality\nv,100,,\n")
    elif benchmark == "nextgqa":
        spans = {"v": {"duration": 100, "location": {"0": [[10, 20]], "1": [[10, 20]]}}}
        (folder / "gsub_test.json").write_text(json.dumps(spans))
    else:
        sentences = {"duration": 100, "timestamps": [[10, 20]] * 2, "sentences": ["a dog 0", "a dog 1"]}
        (folder / "val_1.json").write_text(json.dumps({"v": sentences}))
    return folder


BENCHMARKS = ("charades-sta", "tacos", "qvhighlights", "activitynet-captions", "nextgqa")


@pytest.mark.parametrize("benchmark", BENCHMARKS)
@pytest.mark.parametrize(("windows", "said"), WINDOWS)
def test_windows(tmp_path: Path, benchmark: str, windows: list[Any], said: str | None) -> None:
    rows = [{"video": "v", "query": f"a dog {i}", "pred_relevant_windows": windows} for i in (0, 1)]
    if benchmark == "nextgqa":
        rows = [{"id": f"v_{i}", "pred_relevant_windows": windows} for i in (0, 1)]
        if said in ("fractions", "have no length"):
            said = None  # there fractions are read as such, and a point inside has its IoP
    (tmp_path / "p.json").write_text(json.dumps(rows))
    for convention in ("corrected", "official"):
        result = score(
            benchmark, tmp_path / "p.json", moment_file(tmp_path, benchmark), convention=convention
        )
        unusable = result["coverage"]["unusable"]
        if said is None:
            assert unusable == []
            continue
        (entry,) = unusable
        assert said in entry["reason"]
        assert (entry["count"], entry["of"], len(entry["ids"])) == (2, 2, 2)
        (note,) = [note for note in result["run"]["notes"] if said in note]
        assert all(id in note for id in entry["ids"])
        counted = "count as wrong" if convention == "corrected" else "official scorer takes them as they are"
        assert counted in note


def test_only_some_are_named(tmp_path: Path) -> None:
    rows = [{"qid": 0, "pred_relevant_windows": [[10, 20]]}, {"qid": 1, "pred_relevant_windows": [[20, 10]]}]
    (tmp_path / "p.json").write_text(json.dumps(rows))
    result = score("qvhighlights", tmp_path / "p.json", moment_file(tmp_path, "qvhighlights"))
    (entry,) = result["coverage"]["unusable"]
    assert (entry["count"], entry["of"], entry["ids"]) == (1, 2, ["1"])
    assert result["metrics"]["R1@0.5"] == 50


HEAD = "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"


def test_answers(tmp_path: Path) -> None:
    (tmp_path / "val.csv").write_text(
        HEAD + "v,9,9,9,what,2,0,DO,sit,run,jump,eat,go\nv,9,9,9,why,0,1,CW,a,b,c,d,e\n"
    )
    (tmp_path / "p.json").write_text(
        json.dumps({"v_0": {"prediction": "(C) jump"}, "v_1": {"prediction": "zebra"}})
    )
    result = score("nextqa", tmp_path / "p.json", tmp_path)
    assert result["metrics"]["Acc@QA"] == 50
    (entry,) = result["coverage"]["unusable"]
    assert entry == {
        "what": "answers", "reason": "name none of the options", "count": 1, "of": 2, "ids": ["v_1"],
    }  # fmt: skip
    official = {"v_0": {"prediction": "C", "answer": 2}, "v_1": {"prediction": 0, "answer": 0}}
    (tmp_path / "p.json").write_text(json.dumps(official))
    result = score("nextqa", tmp_path / "p.json", tmp_path, convention="official")
    assert result["metrics"]["Acc@QA"] == 50
    assert "another form than the right answer" in result["coverage"]["unusable"][0]["reason"]


def test_caption_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # no Java: what is said of events needs no text scores
    moment_file(tmp_path, "youcook2")
    events = [[20, 10], [5, 5], [NAN, 3], [120, 130], [10, 20]]
    rows = {"v": [{"sentence": "a dog", "timestamp": window} for window in events]}
    (tmp_path / "p.json").write_text(json.dumps({"results": rows}))
    said = {}
    for convention in ("corrected", "official"):
        result = score("youcook2", tmp_path / "p.json", tmp_path / "val_1.json", convention=convention)
        said[convention] = {entry["reason"]: entry["count"] for entry in result["coverage"]["unusable"]}
        said[convention]["turned"] = sum("turned round" in note for note in result["run"]["notes"])
    common = {"have no length, or times that are no numbers": 2, "lie after the end of their videos": 1}
    assert said["corrected"] == {**common, "turned": 1}
    assert said["official"] == {"end before they start": 1, **common, "turned": 0}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nan", "not a number"),
        ("inf", "not a number"),
        ("inverted", "end before they start"),
        ("duplicate", ""),
    ],
)
def test_files_from_the_field(shared: Path, tmp_path: Path, name: str, reason: str) -> None:
    truth = {
        "qid": 1, "query": "a blue triangle", "vid": "s3v00000", "duration": 22, "relevant_windows": [[2, 4]],
        "relevant_clip_ids": [1], "saliency_scores": [[4, 4, 4]],
    }  # fmt: skip
    (tmp_path / "highlight_val_release.jsonl").write_text(json.dumps(truth))
    predictions = shared / "field" / "annotations" / f"predictions_{name}.jsonl"
    result = score("qvhighlights", predictions, tmp_path)
    said = [entry["reason"] for entry in result["coverage"]["unusable"]]
    assert [reason in text for text in said] == ([True] if reason else [])
    assert any("predicted more than once" in note for note in result["run"]["notes"]) == (name == "duplicate")
