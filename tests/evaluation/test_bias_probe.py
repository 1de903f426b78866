"""From annotation and prediction files to the report: lengths, windows of every form, conditions, the table."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tiny import tiny_video
from videoexpert.errors import DataError, InputError
from videoexpert.evaluation import bias_probe, bias_report

CHARADES = """AAA 0.0 5.0##person opens a door.
AAA 10.0 20.0##person sits down.
BBB 5.0 10.0##person opens a door.
BBB 0.0 4.0##person eats.
"""
LENGTHS = "id,length\r\nAAA,20.0\r\nBBB,10.0\r\n"


@pytest.fixture
def charades(tmp_path) -> Path:
    folder = tmp_path / "charades"
    folder.mkdir()
    (folder / "charades_sta_test.txt").write_text(CHARADES)
    (folder / "Charades_v1_test.csv").write_text(LENGTHS, newline="")
    return folder


def predictions(path: Path, *windows) -> Path:
    """Our own form: one row for each line of CHARADES, in seconds; None: no moment."""
    ids = ("AAA_1", "AAA_2", "BBB_3", "BBB_4")
    rows = [
        {"id": id, "moments": [] if w is None else [{"start": w[0], "end": w[1], "score": 0.5}]}
        for id, w in zip(ids, windows, strict=False)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_lengths_come_from_the_table_beside_the_annotations(charades):
    queries = bias_probe.read_asked("charades-sta", charades, split="test")
    assert [q.duration_s for q in queries] == [20.0, 20.0, 10.0, 10.0]
    assert queries == bias_probe.read_asked("charades-sta", charades / "charades_sta_test.txt")


def test_lengths_from_a_table_from_the_videos_or_a_sentence(charades, tmp_path):
    table = shutil.move(charades / "Charades_v1_test.csv", tmp_path / "lengths.csv")
    with pytest.raises(
        DataError, match=r"2 videos of .* have no known length \(AAA, BBB, ...\); give --lengths"
    ):
        bias_probe.read_asked("charades-sta", charades)
    found = bias_probe.read_asked("charades-sta", charades, lengths=Path(table))
    assert [q.duration_s for q in found] == [20.0, 20.0, 10.0, 10.0]
    videos = tmp_path / "videos"
    videos.mkdir()
    tiny_video(videos / "AAA.mp4", 6.0)
    tiny_video(videos / "BBB.mkv", 3.0)
    found = bias_probe.read_asked("charades-sta", charades, videos=videos)
    assert [q.duration_s for q in found] == pytest.approx([6.0, 6.0, 3.0, 3.0])


def test_refused(charades):
    with pytest.raises(InputError, match="benchmark is 'youcook2', expected one of charades-sta"):
        bias_probe.read_asked("youcook2", charades)
    with pytest.raises(InputError, match="split is 'test' but "):
        bias_probe.read_asked("charades-sta", charades / "charades_sta_test.txt", split="test")


def test_report_by_hand(charades, tmp_path):
    queries = bias_probe.read_asked("charades-sta", charades)
    files = {
        # as annotated; half of it; on another video the same percents as the first; none
        "true": predictions(tmp_path / "t.jsonl", (0.0, 5.0), (15.0, 20.0), (0.0, 2.5), None),
        "blank": predictions(tmp_path / "b.jsonl", (0.0, 10.0), (15.0, 20.0), (0.0, 5.0), (0.0, 5.0)),
    }
    found = bias_probe.report("charades-sta", "us", queries, files)
    assert (found["benchmark"], found["system"], found["queries"], found["videos"]) == (
        "charades-sta", "us", 4, 2,
    )  # fmt: skip
    true, blank = found["conditions"]["true"], found["conditions"]["blank"]
    assert list(found["conditions"]) == ["true", "blank"]
    assert (true["R1@0.5"], true["R1@0.7"], true["mIoU"]) == (50.0, 25.0, pytest.approx(37.5))
    assert (true["answered"], true["distinct"]) == (3, 2)
    assert true["repeated"] == pytest.approx(2 / 3)
    assert true["most_frequent"] == {"share": pytest.approx(2 / 3), "window": [0, 25]}
    # annotated 0-25, 50-100 and 50-100 percent, given 0-25 twice and 75-100: a third of the weight is elsewhere
    assert true["distance"] == pytest.approx(2 / 3)
    assert true["overlap_with_true"] is None
    assert blank["overlap_with_true"] == pytest.approx((0.5 + 1.0 + 0.5) / 3)
    assert blank["repeated"] == pytest.approx(3 / 4)
    assert found["windows"] == {
        "annotated": [[0, 25, 1.0], [0, 40, 1.0], [50, 100, 2.0]],
        "true": [[0, 25, 2.0], [75, 100, 1.0]],
        "blank": [[0, 50, 3.0], [75, 100, 1.0]],
    }
    assert found["annotations"]["distance"] == 0.0
    assert found["annotations"]["repeated"] == 0.5
    assert "true: 1 predictions hold no window and count as wrong." in found["run"]["notes"]


def test_only_what_was_asked(charades, tmp_path):
    queries = bias_probe.read_asked("charades-sta", charades)
    files = {"true": predictions(tmp_path / "t.jsonl", (0.0, 5.0), (10.0, 20.0))}
    assert bias_probe.report("charades-sta", "us", queries, files)["conditions"]["true"]["R1@0.7"] == 50.0
    part = bias_probe.report("charades-sta", "us", queries, files, answered_only=True)
    assert (part["queries"], part["videos"], part["conditions"]["true"]["R1@0.7"]) == (2, 1, 100.0)
    assert part["windows"]["annotated"] == [[0, 25, 1.0], [50, 100, 1.0]]


def test_windows_of_every_form_become_fractions(tmp_path):
    annotations = tmp_path / "val_1.json"
    entry = {"duration": 40.0, "timestamps": [[0, 10], [10, 40]], "sentences": ["a dog runs.", "it sleeps."]}
    annotations.write_text(json.dumps({"v_x": entry}))
    queries = bias_probe.read_asked("activitynet-captions", tmp_path, split="val")
    log = tmp_path / "log.jsonl"
    row = {"video_id": "v_x", "task": "grounding", "answer": "from 25 to 75", "info": {"sentence_id": 1}}
    log.write_text(json.dumps(row) + "\n")
    ours = tmp_path / "ours.jsonl"
    moments = [{"start": 0, "end": 4, "score": 0.1}, {"start": 10, "end": 30, "score": 0.9}]
    ours.write_text(
        json.dumps({"id": "?", "video": "v_x.mp4", "query": "It sleeps", "moments": moments}) + "\n"
    )
    for file in (log, ours):
        found = bias_probe.best_windows(bias_probe.read_predictions(file), queries, file)
        assert np.isnan(found[0]).all(), file
        assert found[1].tolist() == [0.25, 0.75], file
    ours.write_text(
        json.dumps({"id": "v_y_0", "video": "v_y", "query": "another", "moments": moments}) + "\n"
    )
    with pytest.raises(DataError, match="holds no prediction on the annotated queries"):
        bias_probe.best_windows(bias_probe.read_predictions(ours), queries, ours)


def test_qvhighlights_queries_have_several_windows(shared, tmp_path):
    file = shared / "annotations" / "qvhighlights" / "highlight_val_release.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()[:200]]
    (tmp_path / "highlight_val_release.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    copies = tmp_path / "copies.jsonl"
    copies.write_text(
        "".join(
            json.dumps({"qid": r["qid"], "pred_relevant_windows": [[*w, 1.0] for w in r["relevant_windows"]]})
            + "\n"
            for r in rows
        )
    )
    queries = bias_probe.read_asked("qvhighlights", tmp_path)
    found = bias_probe.report("qvhighlights", "copies", queries, {"true": copies})
    true = found["conditions"]["true"]
    assert (true["R1@0.7"], true["answered"]) == (100.0, 200)
    assert true["moment_bits"]["bits"] > 1.5
    assert sum(weight for *_, weight in found["windows"]["annotated"]) == pytest.approx(200, abs=0.1)


@pytest.fixture
def reports(charades, tmp_path):
    queries = bias_probe.read_asked("charades-sta", charades)
    one = predictions(tmp_path / "t.jsonl", (0.0, 5.0), (15.0, 20.0), (0.0, 2.5), None)
    two = predictions(tmp_path / "b.jsonl", (0.0, 10.0), (0.0, 10.0), (0.0, 5.0), (0.0, 5.0))
    files = {"true": one, "another": two, "blank": two}
    return [
        bias_probe.report("charades-sta", "us", queries, files),
        bias_probe.report("charades-sta", "us", queries[:2], {"true": two}),
    ]


def test_the_table_has_a_column_for_each_system_and_condition(reports):
    lines = bias_report.render(reports).splitlines()
    header = lines[2]
    for name in ("annotations", "us: true", "us: another", "us: blank", "us (2)"):
        assert name in header
    row = next(line for line in lines if line.startswith("R1@0.5"))
    assert row.split() == ["R1@0.5", "-", "50.00", "50.00", "50.00", "50.00"]
    row = next(line for line in lines if line.startswith("repeated "))
    assert row.split() == ["repeated", "0.500", "0.667", "1.000", "1.000", "0.000"]
    assert "us (2) was asked 2 queries, the first system 4." in lines[-1]
    marked = bias_report.render(reports, "markdown").splitlines()
    assert marked[2].count("|") == 7
    assert marked[0] == "## charades-sta: 4 queries about 2 videos"


def test_json_reads_back(reports, tmp_path):
    text = bias_report.render(reports[:1], "json")
    assert json.loads(text) == reports[0]
    assert max(map(len, text.splitlines())) < 500
    assert json.loads(bias_report.render(reports, "json")) == reports
    file = tmp_path / "bias.json"
    file.write_text(text)
    assert bias_report.read_report(file, "charades-sta") == reports[0]
    with pytest.raises(InputError, match="is about charades-sta, expected qvhighlights"):
        bias_report.read_report(file, "qvhighlights")
    for wrong in ("{}", "[1]", "no json", json.dumps({**reports[0], "windows": {}})):
        file.write_text(wrong)
        with pytest.raises(DataError, match=r"is no bias\.json of"):
            bias_report.read_report(file, "charades-sta")
    with pytest.raises(InputError, match="format is 'xml'"):
        bias_report.render(reports, "xml")
