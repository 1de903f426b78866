"""``probe bias``: a model asked with three kinds of video, files of any system, several side by side, errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pictures import size_of
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.evaluation.systems import BackendSystem, Blank, Shuffled
from videoexpert.session import Expert
from videoexpert.testing import tiny_video

CHARADES = """aaa 0.0 5.0##it falls.
aaa 4.0 8.0##a dog runs.
bbb 2.0 4.0##it falls.
bbb 0.0 4.0##a dog eats.
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    (folder / "charades_sta_test.txt").write_text(CHARADES)
    (folder / "Charades_v1_test.csv").write_text("id,length\naaa,8.0\nbbb,6.0\n")
    captions = {
        "aaa": {"duration": 8.0, "timestamps": [[0, 5], [4, 8]], "sentences": ["it falls.", "a dog runs."]},
        "bbb": {"duration": 6.0, "timestamps": [[2, 4]], "sentences": ["it falls."]},
    }
    (folder / "val_1.json").write_text(json.dumps(captions))
    (folder / "videos").mkdir()
    tiny_video(folder / "videos" / "aaa.mp4", 8.0)
    tiny_video(folder / "videos" / "bbb.mp4", 6.0, seed=1)
    return folder


@pytest.fixture
def asked(world, model, tmp_path):
    return (
        *("probe", "bias", "charades-sta", "--annotations", world, "--videos", world / "videos"),
        *("--model", model, "--out", tmp_path / "out"),
    )


def test_a_model_is_asked_with_three_kinds_of_video(call, asked, world, model, tmp_path):
    done = call(*asked, "--format", "json")
    assert (done.code, done.err) == (0, "")
    out = tmp_path / "out"
    report = done.json
    assert json.loads((out / "bias.json").read_text()) == report
    assert report["system"] == str(model)
    assert list(report["conditions"]) == ["true", "another", "blank"]
    for condition, values in report["conditions"].items():
        result = json.loads((out / condition / "result.json").read_text())
        assert {m: values[m] for m in ("R1@0.3", "R1@0.5", "R1@0.7", "mIoU")} == result["metrics"]
        assert values["answered"] == 4
        assert (values["overlap_with_true"] is None) == (condition == "true")
    systems = [json.loads((out / c / "run.json").read_text())["system"] for c in ("true", "another", "blank")]
    assert [s.get("control") for s in systems] == [None, "another video", "blank video"]
    assert "| R1@0.5 |" in (out / "bias.md").read_text()
    assert "![windows](bias.png)" in (out / "bias.md").read_text()
    assert size_of(out / "bias.png")[0] > 1000
    told = json.loads((out / "true" / "run.json").read_text())
    assert report["run"]["weights"] == told["system"]["weights"] == checkpoint.digest(model)
    both = report["run"]["annotation_files"] | report["run"]["length_tables"]
    assert both == told["annotation_files"]


def test_a_killed_run_resumes(call, asked, tmp_path, monkeypatch):
    whole = call(*asked, "--format", "json").json
    shutil.rmtree(tmp_path / "out")

    def killed(self, path, sample):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Blank, "open", killed)
        assert call(*asked).code != 0
    assert (tmp_path / "out" / "another" / "result.json").exists()
    for system in (BackendSystem, Shuffled):
        monkeypatch.setattr(system, "open", killed, raising=False)  # what is answered is not asked again
    assert call(*asked, "--format", "json").json == whole


def test_only_the_first_queries(call, asked):
    report = call(*asked, "--limit", 3, "--format", "json").json
    assert (report["queries"], report["videos"]) == (3, 2)
    assert report["conditions"]["blank"]["answered"] == 3


def test_the_first_queries_need_no_other_video(call, world, model, tmp_path):
    """No table of lengths, and no file of the second video: nothing about it is asked."""
    (tmp_path / "charades_sta_test.txt").write_text(CHARADES)
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("aaa.mp4", "another.mp4"):
        shutil.copy(world / "videos" / "aaa.mp4", videos / name)
    done = call(
        *("probe", "bias", "charades-sta", "--annotations", tmp_path, "--videos", videos, "--model", model),
        *("--out", tmp_path / "out", "--limit", 2, "--format", "json"),
    )
    assert (done.code, done.err) == (0, "")
    assert (done.json["queries"], done.json["videos"]) == (2, 1)
    assert done.json["run"]["notes"] == []


def test_sentences_of_activitynet_are_queries(call, world, model, tmp_path):
    report = call(
        *("probe", "bias", "activitynet-captions", "--annotations", world, "--videos", world / "videos"),
        *("--model", model, "--out", tmp_path, "--format", "json"),
    ).json
    assert report["conditions"]["true"]["answered"] == report["queries"] == 3
    rows = [json.loads(line) for line in (tmp_path / "true" / "predictions.jsonl").read_text().splitlines()]
    assert [(row["id"], row["query"]) for row in rows] == [
        ("aaa_0", "it falls."),
        ("aaa_1", "a dog runs."),
        ("bbb_0", "it falls."),
    ]


def test_files_of_systems_side_by_side(call, world, tmp_path):
    files = {}
    for name, start in (("true", 0.0), ("another", 1.0), ("blank", 2.0)):
        files[name] = tmp_path / f"{name}.jsonl"
        files[name].write_text(
            "".join(
                json.dumps({"id": id, "moments": [{"start": start, "end": 4.0, "score": 1.0}]}) + "\n"
                for id in ("aaa_1", "aaa_2", "bbb_3", "bbb_4")
            )
        )
    common = ("probe", "bias", "charades-sta", "--annotations", world, "--predictions", files["true"])
    one = call(*common, "--out", tmp_path / "one")
    assert (one.code, one.err) == (0, "")
    assert one.out.splitlines()[2].split() == ["metric", "annotations", "true"]  # the file's name
    two = call(
        *common, "--another", files["another"], "--blank", files["blank"], "--name", "constant",
        "--compare", tmp_path / "one" / "bias.json", "--out", tmp_path / "two", "--format", "json",
    )  # fmt: skip
    first, second = two.json
    assert (first["system"], second["system"]) == ("constant", "true")
    assert first["conditions"]["another"]["overlap_with_true"] == pytest.approx(3 / 4)
    assert first["conditions"]["blank"]["overlap_with_true"] == pytest.approx(1 / 2)
    assert second == json.loads((tmp_path / "one" / "bias.json").read_text())
    table = (tmp_path / "two" / "bias.md").read_text()
    assert "| metric | annotations | constant: true | constant: another | constant: blank | true |" in table
    pictures = [size_of(tmp_path / name / "bias.png") for name in ("one", "two")]
    assert pictures[1][0] > 2 * pictures[0][0]
    assert pictures[1][1] > 1.5 * pictures[0][1]
    (tmp_path / "other.txt").write_text(CHARADES.replace("eats", "sleeps"))
    refused = call(
        *("probe", "bias", "charades-sta", "--annotations", tmp_path / "other.txt"),
        *("--lengths", world / "Charades_v1_test.csv", "--predictions", files["true"]),
        *("--compare", tmp_path / "one" / "bias.json", "--out", tmp_path / "three"),
    )
    assert (refused.code, refused.out) == (2, "")
    assert "is about other annotations (charades_sta_test.txt) than " in refused.err
    assert not (tmp_path / "three").exists()


def test_a_broken_video_is_told_and_the_others_are_measured(call, asked, world, tmp_path):
    videos = tmp_path / "videos"
    shutil.copytree(world / "videos", videos)
    (videos / "bbb.mp4").write_text("this is a text")
    done = call(*("--videos" if a == "--videos" else videos if a == world / "videos" else a for a in asked))
    assert done.code == 1
    assert "Error: bbb: " in done.err
    assert "answered queries" in done.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--predictions", "p", "--model", "m"],
            "--predictions replaces a model; leave out --model",
        ),
        (["--predictions", "p", "--limit", "3"], "leave out --model, --model-option, --device and --limit"),
        (
            ["--predictions", "p", "--device", "cpu"],
            "leave out --model, --model-option, --device and --limit",
        ),
        (["--blank", "p", "--videos", "v"], "--another and --blank go with --predictions"),
        ([], "a model needs --videos"),
        (["--predictions", "p", "--format", "xml"], "format is 'xml', expected one of table"),
    ],
)
def test_wrong_calls(call, world, tmp_path, options, message):
    done = call("probe", "bias", "charades-sta", "--annotations", world, "--out", tmp_path / "out", *options)
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert not (tmp_path / "out").exists()


def test_another_benchmark_and_a_file_that_is_no_report(call, world, tmp_path):
    common = ("--annotations", world, "--predictions", world / "none.jsonl", "--out", tmp_path / "out")
    done = call("probe", "bias", "youcook2", *common)
    assert done.code == 2
    assert (
        "benchmark is 'youcook2', expected one of charades-sta, tacos, qvhighlights, activitynet-captions"
        in done.err
    )
    done = call("probe", "bias", "charades-sta", *common, "--compare", world / "val_1.json")
    assert done.code == 1
    assert "is not a bias.json of `videoexpert probe bias`" in done.err
    assert call("probe", "bias", "charades-sta", *common).code == 1


def test_the_controls_share_the_session_s_grey_video(model, monkeypatch, world):
    """``eval --control blank`` and ``ground --evidence`` take away the video in the same way."""
    from videoexpert import session

    expert = session.load(model, device="cpu")
    opened = []
    monkeypatch.setattr(Expert, "open_blank", lambda self, *a, **k: opened.append((a, k)))
    from videoexpert.annotations.samples import Sample

    Blank(expert).open(world / "videos" / "aaa.mp4", Sample("a", "aaa", "grounding", 8.0, "q", ((0, 1),)))
    assert opened == [((8.0,), {})]
