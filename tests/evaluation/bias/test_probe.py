"""From annotation and prediction files to the report: lengths, windows of every form, conditions, the table."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from videoexpert.errors import DataError, InputError
from videoexpert.evaluation.bias import probe as bias_probe
from videoexpert.evaluation.bias import report as bias_report
from videoexpert.testing import tiny_video

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
    asked = bias_probe.read_asked("charades-sta", charades, split="test")
    assert [q.duration_s for q in asked.queries] == [20.0, 20.0, 10.0, 10.0]
    file = charades / "charades_sta_test.txt"
    assert (asked.annotations, asked.split) == (file, "test")
    assert asked.lengths == (charades / "Charades_v1_test.csv",)
    assert replace(asked, split=None) == bias_probe.read_asked("charades-sta", file)


def test_lengths_from_a_table_or_from_the_videos(charades, tmp_path):
    table = shutil.move(charades / "Charades_v1_test.csv", tmp_path / "lengths.csv")
    found = bias_probe.read_asked("charades-sta", charades, lengths=Path(table))
    assert [q.duration_s for q in found.queries] == [20.0, 20.0, 10.0, 10.0]
    videos = tmp_path / "videos"
    videos.mkdir()
    tiny_video(videos / "AAA.mp4", 6.0)
    tiny_video(videos / "BBB.mkv", 3.0)
    found = bias_probe.read_asked("charades-sta", charades, videos=videos)
    assert [q.duration_s for q in found.queries] == pytest.approx([6.0, 6.0, 3.0, 3.0])
    assert found.lengths == ()


def test_a_missing_length_is_told_by_what_was_given(charades, tmp_path):
    (charades / "Charades_v1_test.csv").unlink()
    file = charades / "charades_sta_test.txt"
    table, videos = tmp_path / "lengths.csv", tmp_path / "videos"
    table.write_text("id,length\nAAA,20\n")
    videos.mkdir()
    two, one = f"2 videos of {file} have no known length", f"1 video of {file} has no known length"
    for options, sentence in (
        (
            {},
            f"{two} (AAA, BBB); give --lengths, a table such as Charades_v1_test.csv, or --videos, "
            "the folder with the videos.",
        ),
        (
            {"lengths": table},
            f"{one}, not in {table} (BBB); give --lengths, a fuller table, or --videos, the folder with the "
            "videos.",
        ),
        (
            {"videos": videos},
            f"{two}, no file in {videos} (AAA, BBB); give --lengths, a table such as Charades_v1_test.csv, "
            "or --videos, a folder that holds the rest.",
        ),
        (
            {"lengths": table, "videos": videos},
            f"{one}, not in {table}, no file in {videos} (BBB); give --lengths, a fuller table, or --videos, "
            "a folder that holds the rest.",
        ),
    ):
        with pytest.raises(DataError) as error:
            bias_probe.read_asked("charades-sta", charades, **options)
        assert str(error.value) == sentence


def test_a_limit_asks_for_the_lengths_of_its_own_videos(charades, tmp_path):
    (charades / "Charades_v1_test.csv").write_text("id,length\nAAA,20\n")
    with pytest.raises(DataError, match="1 video of "):
        bias_probe.read_asked("charades-sta", charades)
    asked = bias_probe.read_asked("charades-sta", charades, limit=2)
    assert [q.id for q in asked.queries] == ["AAA_1", "AAA_2"]
    # a record that the reader leaves out is not asked: the first two are lines 1 and 3
    text = CHARADES.replace("AAA 10.0 20.0##person sits down.", "AAA 10.0 20.0##")
    (charades / "charades_sta_test.txt").write_text(text)
    (charades / "Charades_v1_test.csv").write_text(LENGTHS)
    asked = bias_probe.read_asked("charades-sta", charades, limit=2)
    assert [q.id for q in asked.queries] == ["AAA_1", "BBB_3"]


@pytest.mark.parametrize("duration", ["0.0", "-3", "NaN"])
def test_a_video_without_length_is_named(tmp_path, duration):
    entry = '{"duration": %s, "timestamps": [[0, 1], [0, 2]], "sentences": ["a dog runs.", "it sleeps."]}'
    file = tmp_path / "val_1.json"
    file.write_text(f'{{"v_x": {entry % "40.0"}, "v_y": {entry % duration}}}')
    with pytest.raises(
        DataError, match=r"val_1\.json(, video v_y: duration is \S+, expected seconds|: .*NaN)"
    ):
        bias_probe.read_asked("activitynet-captions", file)


def test_refused(charades):
    with pytest.raises(InputError, match="benchmark is 'youcook2', expected one of charades-sta"):
        bias_probe.read_asked("youcook2", charades)
    with pytest.raises(InputError, match="split is 'test' but "):
        bias_probe.read_asked("charades-sta", charades / "charades_sta_test.txt", split="test")


def test_report_by_hand(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    files = {
        # as annotated; half of it; on another video the same percents as the first; none
        "true": predictions(tmp_path / "t.jsonl", (0.0, 5.0), (15.0, 20.0), (0.0, 2.5), None),
        "blank": predictions(tmp_path / "b.jsonl", (0.0, 10.0), (15.0, 20.0), (0.0, 5.0), (0.0, 5.0)),
    }
    found = bias_probe.report(asked, "us", files)
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
    assert found["run"]["notes"] == ["true: 1 of 4 predictions hold no window; they count as wrong: BBB_4"]


def test_what_is_missing_or_extra_is_told(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    file = predictions(tmp_path / "t.jsonl", (0.0, 5.0))
    with file.open("a") as stream:
        stream.write(json.dumps({"id": "CCC_9", "moments": []}) + "\n")
    whole = predictions(tmp_path / "b.jsonl", *[(0.0, 5.0)] * 4)
    assert bias_probe.report(asked, "us", {"true": file, "blank": whole})["run"]["notes"] == [
        "true: 3 missing, counted as wrong: AAA_2, BBB_3, BBB_4",
        "true: 1 predicted but not annotated, ignored: CCC_9",
    ]


def test_milliseconds_are_told_and_no_sign_of_bias(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    # of 20, 20, 10, 10 seconds: partly, wholly, wholly outside, within
    file = predictions(tmp_path / "t.jsonl", (0, 5000), (10000, 20000), (5000, 10000), (0.0, 4.0))
    found = bias_probe.report(asked, "us", {"true": file})
    assert found["run"]["notes"] == [
        "true: 2 of 4 predicted windows lie after the end of their videos (milliseconds, where seconds are "
        "expected?); they count as wrong: AAA_2, BBB_3",
        "true: outside the video: 2 of 4 windows wholly (left out of repeated, distance and bits), 1 partly "
        "(cut at its edge); check that times are seconds and lengths right.",
    ]
    true = found["conditions"]["true"]
    assert (true["answered"], true["outside"], true["distinct"], true["repeated"]) == (4, 2, 2, 0.0)
    assert found["windows"]["true"] == [[0, 40, 1.0], [0, 100, 1.0]]


def test_annotations_outside_their_video_are_told(charades, tmp_path):
    text = CHARADES.replace("BBB 0.0 4.0", "BBB 12.0 14.0").replace("BBB 5.0 10.0", "BBB 5.0 11.0")
    (charades / "charades_sta_test.txt").write_text(text)
    asked = bias_probe.read_asked("charades-sta", charades)
    file = predictions(tmp_path / "t.jsonl", *[(0.0, 5.0)] * 4)
    found = bias_probe.report(asked, "us", {"true": file})
    assert found["run"]["notes"] == [
        "annotations: outside the video: 1 of 4 windows wholly (left out of repeated, distance and bits), "
        "1 partly (cut at its edge); check that times are seconds and lengths right."
    ]
    assert found["windows"]["annotated"] == [[0, 25, 1.0], [50, 100, 2.0]]
    assert found["annotations"]["answered"] == 3


def test_the_run_tells_what_it_was_made_from(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades, split="test")
    file = predictions(tmp_path / "t.jsonl", *[(0.0, 5.0)] * 4)
    run = bias_probe.report(asked, "us", {"true": file}, weights="0123")["run"]
    known = hashlib.sha256(CHARADES.encode()).hexdigest()[:16]
    assert (run["split"], run["annotation_files"]) == ("test", {"charades_sta_test.txt": known})
    assert run["length_tables"] == {"Charades_v1_test.csv": hashlib.sha256(LENGTHS.encode()).hexdigest()[:16]}
    assert run["prediction_digests"] == {"true": hashlib.sha256(file.read_bytes()).hexdigest()[:16]}
    assert run["weights"] == "0123"


def test_only_what_was_asked(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    files = {"true": predictions(tmp_path / "t.jsonl", (0.0, 5.0), (10.0, 20.0))}
    assert bias_probe.report(asked, "us", files)["conditions"]["true"]["R1@0.7"] == 50.0
    part = bias_probe.report(asked, "us", files, answered_only=True)
    assert (part["queries"], part["videos"], part["conditions"]["true"]["R1@0.7"]) == (2, 1, 100.0)
    assert part["windows"]["annotated"] == [[0, 25, 1.0], [50, 100, 1.0]]


def test_windows_of_every_form_become_fractions(tmp_path):
    annotations = tmp_path / "val_1.json"
    entry = {"duration": 40.0, "timestamps": [[0, 10], [10, 40]], "sentences": ["a dog runs.", "it sleeps."]}
    annotations.write_text(json.dumps({"v_x": entry}))
    asked = bias_probe.read_asked("activitynet-captions", tmp_path, split="val")
    log = tmp_path / "log.jsonl"
    row = {"video_id": "v_x", "task": "grounding", "answer": "from 25 to 75", "info": {"sentence_id": 1}}
    log.write_text(json.dumps(row) + "\n")
    ours = tmp_path / "ours.jsonl"
    moments = [{"start": 0, "end": 4, "score": 0.1}, {"start": 10, "end": 30, "score": 0.9}]
    ours.write_text(
        json.dumps({"id": "?", "video": "v_x.mp4", "query": "It sleeps", "moments": moments}) + "\n"
    )
    for file in (log, ours):
        found = bias_probe.best_windows(bias_probe.read_predictions(file), asked.queries, file)
        assert np.isnan(found[0]).all(), file
        assert found[1].tolist() == [0.25, 0.75], file
    ours.write_text(
        json.dumps({"id": "v_y_0", "video": "v_y", "query": "another", "moments": moments}) + "\n"
    )
    with pytest.raises(DataError, match="holds no prediction on the annotated queries"):
        bias_probe.best_windows(bias_probe.read_predictions(ours), asked.queries, ours)


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
    asked = bias_probe.read_asked("qvhighlights", tmp_path)
    found = bias_probe.report(asked, "copies", {"true": copies})
    true = found["conditions"]["true"]
    assert (true["R1@0.7"], true["answered"]) == (100.0, 200)
    assert true["moment_bits"]["bits"] > 1.5
    assert sum(weight for *_, weight in found["windows"]["annotated"]) == pytest.approx(200, abs=0.1)


@pytest.fixture
def reports(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    one = predictions(tmp_path / "t.jsonl", (0.0, 5.0), (15.0, 20.0), (0.0, 2.5), None)
    two = predictions(tmp_path / "b.jsonl", (0.0, 10.0), (0.0, 10.0), (0.0, 5.0), (0.0, 5.0))
    files = {"true": one, "another": two, "blank": two}
    return [
        bias_probe.report(asked, "us", files),
        bias_probe.report(replace(asked, queries=asked.queries[:2]), "us", {"true": two}),
    ]


def test_the_table_has_a_column_for_each_system_and_condition(reports):
    lines = [line.strip() for line in bias_report.render(reports).splitlines()]
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


def test_a_sentence_says_whether_a_system_looks(reports):
    us, other = bias_report.verdicts(reports)
    assert us == "us guesses from language: R1@0.5 50.0 with the true videos and 50.0 with other videos."
    assert other.startswith("us (2) was shown only the true videos")
    assert us in bias_report.render(reports)
    for shown, away, said in (
        (80.0, 63.9, "looks at the video, and owes a good part to language:"),
        (80.0, 64.1, "guesses from language:"),
        (80.0, 10.0, "looks at the video: R1@0.5 80.0 with the true videos and 10.0 with blank videos."),
        (4.0, 0.0, "finds too little to tell:"),
    ):
        reports[0]["conditions"] = {"true": {"R1@0.5": shown}, "blank": {"R1@0.5": away}}
        assert bias_report.verdicts(reports[:1])[0].startswith(f"us {said}")


def test_what_is_undefined_is_a_dash_and_one_is_singular(charades, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    file = predictions(tmp_path / "t.jsonl", (0.0, 5.0))
    one = bias_probe.report(replace(asked, queries=asked.queries[:1]), "us", {"true": file})
    two = bias_probe.report(asked, "them", {"true": predictions(tmp_path / "b.jsonl", *[(0.0, 5.0)] * 4)})
    lines = [line.strip() for line in bias_report.render([one, two]).splitlines()]
    assert lines[0] == "charades-sta: 1 query about 1 video"
    for bits in ("bits about the moment", "bits about the video"):
        row = next(line for line in lines if line.startswith(bits))
        assert row.split()[4:6] == ["-", "-"]  # the annotations' and the system's on one query
    assert "them was asked 4 queries, the first system 1." in lines[-1]
    assert "us was asked 1 query, the first system 4." in bias_report.render([two, one])


def test_zero_has_no_sign(reports):
    values = reports[0]["conditions"]["true"]
    values |= {
        "moment_bits": {"bits": -0.004, "sd": 0.0},
        "video_bits": {"bits": -0.006, "sd": 0.0},
        "mIoU": -0.0,
    }
    text = bias_report.render(reports[:1])
    assert "-0.00" not in text
    assert "0.00 ± 0.00" in text
    assert "-0.01 ± 0.00" in text


def test_how_to_read_the_bits():
    """Words alone give bits too, with any number of videos: about 0 is for who ignores both."""
    moment = next(line for line in bias_report.READING if line.startswith("bits about the moment"))
    assert "about 0 for a system that ignores video and words" in moment
    assert "compare with blank" in moment


def test_json_reads_back(charades, reports, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    text = bias_report.render(reports[:1], "json")
    assert json.loads(text) == reports[0]
    assert max(map(len, text.splitlines())) < 500
    assert json.loads(bias_report.render(reports, "json")) == reports
    file = tmp_path / "bias.json"
    file.write_text(text)
    assert bias_report.read_report(file, asked) == reports[0]
    with pytest.raises(InputError, match="is about charades-sta, expected qvhighlights"):
        bias_report.read_report(file, replace(asked, benchmark="qvhighlights"))
    no_windows, no_run = ({**reports[0], key: {}} for key in ("windows", "run"))
    for wrong in ("{}", "[1]", "no json", json.dumps(no_windows), json.dumps(no_run)):
        file.write_text(wrong)
        with pytest.raises(DataError, match=r"is not a bias\.json of"):
            bias_report.read_report(file, asked)
    with pytest.raises(InputError, match="format is 'xml'"):
        bias_report.render(reports, "xml")


def test_only_reports_on_the_same_annotations_are_compared(charades, reports, tmp_path):
    asked = bias_probe.read_asked("charades-sta", charades)
    file = tmp_path / "bias.json"
    file.write_text(bias_report.to_json(reports[0]))
    moved = tmp_path / "renamed.txt"
    moved.write_text(CHARADES)
    assert bias_report.read_report(file, replace(asked, annotations=moved)) == reports[0]
    other = charades / "charades_sta_train.txt"  # as many queries
    other.write_text(CHARADES.replace("eats", "sleeps"))
    with pytest.raises(
        InputError, match=r"other annotations \(charades_sta_test\.txt\) than .*_train\.txt; comp"
    ):
        bias_report.read_report(file, replace(asked, annotations=other))
    early = json.loads(file.read_text())
    del early["run"]["annotation_files"]
    file.write_text(json.dumps(early))
    text = bias_report.render([reports[0], bias_report.read_report(file, asked)])
    assert "us (2) does not tell its annotations" in text
    assert "us does not tell" not in text
