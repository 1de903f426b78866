"""The shipped model on real mp4 files: the demo, every benchmark's format, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import videoexpert
from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_MODEL, SHIPPED_QUERIES, SHIPPED_VIDEO
from videoexpert.evaluation.runner import evaluate
from videoexpert.evaluation.systems import BackendSystem
from videoexpert.synthetic.write import WorldRecipe, write_world
from videoexpert.windows import iou

BENCHMARKS = {
    "charades-sta": ("charades-sta", "test"),
    "qvhighlights": ("qvhighlights", "val"),
    "youcook2": ("youcook2/youcookii_annotations_trainval.json", "validation"),
    "nextqa": ("nextqa", "test"),
    "nextgqa": ("nextgqa", "test"),
}


@pytest.fixture(scope="module")
def expert() -> videoexpert.Expert:
    return videoexpert.load(device="cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = WorldRecipe(videos=5, seed=4242, size=64, test_share=1.0)
    return write_world(recipe, tmp_path_factory.mktemp("world"), workers=1)


def test_the_package_stays_small():
    files = [f for f in SHIPPED_MODEL.parent.rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert {f.suffix for f in files} <= {".safetensors", ".json", ".mp4", ".py"}
    assert sum(f.stat().st_size for f in files) < 20e6


def test_the_demo_is_right_in_all_its_queries(expert):
    """Every event is found and said to be there, and what does not happen is said to be absent."""
    asked = json.loads(SHIPPED_QUERIES.read_text())["queries"]
    assert {bool(q["windows"]) for q in asked} == {True, False}
    for moments, query in zip(
        expert.open(SHIPPED_VIDEO).ground([q["query"] for q in asked]), asked, strict=True
    ):
        assert moments.absent == (not query["windows"]), query
        if query["windows"]:
            assert iou((moments[0].start, moments[0].end), tuple(query["windows"][0])) >= 0.5, query


def test_demo_command_draws_a_picture_and_tells_the_times(tmp_path, capsys):
    assert main(["demo", "--plot", str(tmp_path / "demo.png")]) == 0
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
    out = capsys.readouterr().out
    for stage in ("decode the video", "encode its frames", "answer"):
        assert stage in out


def test_every_answer_is_repeatable(expert):
    first, second = (expert.open(SHIPPED_VIDEO) for _ in range(2))
    assert first.ground("the red square shrinks") == second.ground("the red square shrinks")
    assert first.caption() == second.caption()


@pytest.mark.parametrize(
    "benchmark", [pytest.param(b, marks=pytest.mark.slow if b == "youcook2" else ()) for b in BENCHMARKS]
)
def test_interrupted_and_resumed_gives_the_result_of_one_go(benchmark, world, tmp_path, expert):
    annotations, split = BENCHMARKS[benchmark]
    arguments = (benchmark, BackendSystem(expert), world / annotations, world / "videos")
    whole = evaluate(*arguments, tmp_path / "whole", split=split)
    assert whole.failed == {}

    def stop(done: int, total: int) -> None:
        if done >= total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(*arguments, tmp_path / "parts", split=split, progress=stop)
    evaluate(*arguments, tmp_path / "parts", split=split)
    results = []
    for name in ("whole", "parts"):
        result = json.loads((tmp_path / name / "result.json").read_text())
        assert result["run"].pop("predictions")
        results.append(result)
    assert results[0] == results[1]
    assert results[0]["coverage"]["missing"] == 0


def test_baselines_and_controls_run_from_the_command(world, tmp_path, capsys):
    annotations, split = BENCHMARKS["charades-sta"]
    common = ["eval", "charades-sta", "--annotations", str(world / annotations), "--split", split]
    common += ["--videos", str(world / "videos"), "--format", "json"]
    scores = {}
    for name, options in {
        "random": ["--baseline", "random"],
        "constant": [
            "--baseline",
            "constant",
            "--train-annotations",
            str(world / annotations / "charades_sta_test.txt"),
        ],
        "clip": ["--baseline", "clip"],
        "shuffled": ["--control", "shuffled"],
        "blank": ["--control", "blank"],
    }.items():
        assert main([*common, *options, "--out", str(tmp_path / name)]) == 0, capsys.readouterr().err
        result = json.loads(capsys.readouterr().out)
        assert result["coverage"]["missing"] == 0
        scores[name] = result["metrics"]["mIoU"]
    assert all(0 <= score <= 60 for score in scores.values()), scores
    for wrong in (["--clip", "x"], ["--baseline", "constant"], ["--baseline", "random", "--model", "m"]):
        assert main([*common, *wrong, "--out", str(tmp_path / "wrong")]) == 2
    assert not (tmp_path / "wrong").exists()


def test_a_feature_store_answers_as_its_videos_do(world, tmp_path, capsys):
    """Half-precision tokens move a window by milliseconds at most; the store is all that is opened."""
    store, annotations = tmp_path / "store", world / "charades-sta"
    assert main(["encode", "--videos", str(world / "videos"), "--out", str(store)]) == 0
    call = ["eval", "charades-sta", "--annotations", str(annotations), "--split", "test"]
    found = {}
    for name, source in (
        ("files", ["--videos", str(world / "videos")]),
        ("store", ["--features", str(store)]),
    ):
        assert main([*call, *source, "--out", str(tmp_path / name)]) == 0, capsys.readouterr().err
        lines = (tmp_path / name / "predictions.jsonl").read_text().splitlines()
        found[name] = [json.loads(line) for line in lines]
    assert len(found["files"]) == len(found["store"]) > 10
    for a, b in zip(found["files"], found["store"], strict=True):
        assert a["id"] == b["id"]
        assert a["moments"][0]["start"] == pytest.approx(b["moments"][0]["start"], abs=0.05)
    capsys.readouterr()
    assert main([*call, "--out", str(tmp_path / "x")]) == 2
    assert "--videos, the folder of the videos, or --features" in capsys.readouterr().err
    assert main([*call, "--features", str(store), "--control", "blank", "--out", str(tmp_path / "x")]) == 2
    assert "give --videos in place of --features" in capsys.readouterr().err


def test_killed_in_the_middle_and_resumed(world, tmp_path):
    """kill -9 of the real command; the second run ends with the file of an uninterrupted one."""
    annotations, split = BENCHMARKS["charades-sta"]
    command = [sys.executable, "-m", "videoexpert.apps.cli", "eval", "charades-sta"]
    command += [
        "--annotations",
        str(world / annotations),
        "--split",
        split,
        "--videos",
        str(world / "videos"),
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    predictions = tmp_path / "killed" / "predictions.jsonl"
    process = subprocess.Popen(
        [*command, "--out", str(tmp_path / "killed")],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 120
    while not (predictions.exists() and predictions.stat().st_size) and time.time() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for out in ("killed", "whole"):
        subprocess.run(
            [*command, "--out", str(tmp_path / out)], env=environment, check=True, stdout=subprocess.DEVNULL
        )
    killed, whole = (json.loads((tmp_path / out / "result.json").read_text()) for out in ("killed", "whole"))
    assert killed["metrics"] == whole["metrics"]
    assert killed["intervals"] == whole["intervals"]
    assert predictions.read_bytes() == (tmp_path / "whole" / "predictions.jsonl").read_bytes()
