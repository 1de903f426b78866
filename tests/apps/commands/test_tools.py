"""``demo``, ``doctor`` and ``synth``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import spec_from_file_location
from pathlib import Path

import pytest

from pictures import size_of
from videoexpert import assets, session
from videoexpert.apps import doctor


@pytest.fixture
def no_model(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "SHIPPED_MODEL", tmp_path / "none")


@pytest.fixture
def shipped(monkeypatch, tmp_path, model, video):
    queries = tmp_path / "demo.json"
    rows = [{"query": "it falls", "windows": [[1.0, 3.0]]}, {"query": "a dog", "windows": []}]
    queries.write_text(json.dumps({"queries": rows}))
    monkeypatch.setattr(assets, "SHIPPED_MODEL", model)
    monkeypatch.setattr(assets, "SHIPPED_VIDEO", video)
    monkeypatch.setattr(assets, "SHIPPED_QUERIES", queries)
    return queries


def test_doctor_without_a_model(call, no_model):
    done = call("doctor", "--format", "json")
    assert (done.code, done.err) == (1, "")
    report = done.json
    assert list(report) == ["versions", "devices", "codecs", "extras", "model"]
    assert {"python", "torch", "transformers", "av", "FFmpeg"} <= set(report["versions"])
    assert "cpu" in report["devices"]
    assert all(report["codecs"][codec] for codec in ("h264", "vp9", "av1"))
    assert report["model"]["megabytes"] == 0
    assert "carries no model" in report["model"]["problem"]
    table = call("doctor").out
    assert "h264" in table
    assert "carries no model" in " ".join(table.split())


def test_doctor_with_a_model(call, shipped, model):
    report = call("doctor", "--format", "json").json["model"]
    assert (report["path"], report["frames"], report["problem"]) == (str(model), 16, None)
    size = sum(f.stat().st_size for f in model.rglob("*") if f.is_file())
    assert report["megabytes"] == pytest.approx(size / 1e6, abs=0.01)


@pytest.mark.parametrize("arguments", [(), (assets.SHIPPED_VIDEO,)])
def test_doctor_imports_no_torch_where_torch_can_only_use_the_cpu(arguments):
    code = (
        "import sys; from videoexpert.apps import cli, doctor; doctor._may_have_others = lambda: False; "
        "code = cli.main(['doctor', *sys.argv[1:]]); print(code, {'torch', 'transformers'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "0 set()"
    assert ("times" if arguments else "h264") in done.stdout


@pytest.mark.parametrize(("kind", "others"), [("cuda", True), ("hip", True), ("git_version", False)])
def test_doctor_asks_torch_for_devices_only_where_its_build_may_have_some(
    kind, others, monkeypatch, tmp_path
):
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("")
    (tmp_path / "torch" / "version.py").write_text(f"cuda = hip = None\n{kind} = '12.8'\n")
    found = spec_from_file_location("torch", tmp_path / "torch" / "__init__.py")
    monkeypatch.setattr("videoexpert.apps.doctor.find_spec", lambda name: found)
    monkeypatch.setattr("platform.system", lambda: "Linux")
    assert doctor._may_have_others() is others
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    assert doctor._may_have_others() is True  # Apple's GPUs belong to every build there
    monkeypatch.setattr("videoexpert.apps.doctor.find_spec", lambda name: None)
    assert doctor._may_have_others() is False


def test_doctor_says_that_the_weights_are_cut_short(call, shipped, model, monkeypatch, tmp_path):
    cut = tmp_path / "cut"
    shutil.copytree(model, cut)
    weights = cut / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    monkeypatch.setattr(assets, "SHIPPED_MODEL", cut)
    done = call("doctor", "--format", "json")
    assert done.code == 1
    assert "cut short or damaged" in done.json["model"]["problem"]


def test_doctor_looks_into_a_video(call, no_model, video):
    report = call("doctor", video, "--frames", 4, "--format", "json").json
    assert (report["duration"], report["width"], report["height"]) == (8.0, 64, 48)
    # five pictures a second: bin centres 1, 3, 5, 7 s are pictures
    assert report["times"] == [1.0, 3.0, 5.0, 7.0]
    assert report["problems"] == []
    part = call("doctor", video, "--frames", 2, "--start", 2, "--end", 6.3, "--format", "json").json
    assert part["times"] == [3.0, 5.2]  # centres 3.075 and 5.225 s, on show since 3.0 and 5.2 s
    assert len(call("doctor", video, "--format", "json").json["times"]) == 100
    text = (Path(__file__).resolve().parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert {key for key in report if f'"{key}"' not in text} == set()
    table = call("doctor", video).out
    assert "64 x 48" in table
    assert "sound" in table


def test_doctor_takes_the_frames_of_the_shipped_model(call, shipped, video):
    assert len(call("doctor", video, "--format", "json").json["times"]) == 16


def test_doctor_sees_pictures_upright_and_tells_problems(call, no_model, shared):
    turned = call("doctor", shared / "videos" / "sideways_rot90.mov", "--format", "json").json
    assert (turned["width"], turned["height"], turned["rotation"]) == (480, 640, 90)
    broken = call("doctor", shared / "videos" / "corrupted_tail.mp4", "--format", "json")
    assert broken.code == 1
    assert broken.json["problems"]


def test_doctor_begins_with_the_video_and_counts_what_is_looked_at(call, shipped, model, video):
    done = call("doctor", video, "--frames", 60)
    assert done.code == 0
    assert done.out.startswith(f"{video}\n")
    assert "versions" not in done.out  # the installation's, which `doctor` alone prints
    # five pictures a second for 8 s
    assert "60 frames of 40 pictures, some more than once, 7.5 a second" in done.out
    config = json.loads((model / "config.json").read_text())
    long = model.parent / "long"
    shutil.copytree(model, long, dirs_exist_ok=True)
    (long / "config.json").write_text(json.dumps(config | {"trained_seconds": 2.0}))
    assets.SHIPPED_MODEL = long  # undone with the fixture
    seen = call("doctor", video, "--format", "json").json["looked_at"]
    expert = session.load(long, device="cpu")
    assert seen == expert.open_long(video).looked_at
    assert f"{seen['windows']} windows of 2 s, 16 frames in each, 8 a second" in call("doctor", video).out


def test_docs_lists_pages_and_prints_one(call):
    listed = call("docs", "--format", "json").json
    assert {"predictions", "cli", "own-data"} <= {page["page"] for page in listed}
    for name in ("predictions", "docs/predictions.md"):
        assert call("docs", name).out.startswith("# Prediction files\n")
    done = call("docs", "nothing")
    assert (done.code, done.out) == (2, "")
    assert "there is no page 'nothing', expected one of ablations, benchmarks" in done.err
    assert "predictions" in call("docs").out


def test_doctor_refuses(call, no_model, video, tmp_path):
    done = call("doctor", "--frames", 3)
    assert done.code == 2
    assert "no effect without a video" in done.err
    (tmp_path / "text.mp4").write_text("hello, this is a text and no video")
    done = call("doctor", tmp_path / "text.mp4", "--format", "json")
    assert (done.code, done.out) == (1, "")
    assert "is not a readable video" in done.err
    assert call("doctor", video, "--start", 20).code == 2


def test_demo(call, shipped, tmp_path):
    plot = tmp_path / "demo.png"
    done = call("demo", "--plot", plot, "--device", "cpu")
    assert (done.code, done.err) == (0, "")
    assert '"it falls"' in done.out
    assert '"a dog"' in done.out
    for stage in ("load the model", "decode the video", "encode its frames", "answer 2 queries", "draw"):
        (line,) = (line for line in done.out.splitlines() if line.strip().startswith(stage))
        assert float(line.split()[-2]) >= 0
    assert done.out.splitlines()[-1] == f"picture saved as {plot}"
    assert size_of(plot)[0] > 1000


def test_demo_without_its_queries(call, shipped, tmp_path):
    shipped.write_text("{}")
    done = call("demo", "--plot", tmp_path / "demo.png", "--device", "cpu")
    assert done.code == 1
    assert "does not hold the demo's queries" in done.err


def test_synth(call, tmp_path):
    options = ("--videos", 2, "--seed", 3, "--size", 32, "--level", 1)
    done = call("synth", tmp_path / "a", *options)
    assert (done.code, done.err) == (0, "")
    assert "2 videos of level 1" in done.out
    assert len(list((tmp_path / "a" / "videos").glob("*.mp4"))) == 2
    world = json.loads((tmp_path / "a" / "world.json").read_text())
    assert (world["seed"], world["level"], world["size"], world["test_share"]) == (3, 1, 32, 0.3)
    video = call("doctor", next((tmp_path / "a" / "videos").glob("*.mp4")), "--format", "json").json
    assert (video["width"], video["height"]) == (32, 32)
    assert call("synth", tmp_path / "c", *options, "--wording", "other").code == 0
    other = json.loads((tmp_path / "c" / "world.json").read_text())
    assert other["wording"] == "other"
    assert [v["events"] for v in other["videos"]] == [v["events"] for v in world["videos"]]
    assert other["videos"][0]["absent_queries"] != world["videos"][0]["absent_queries"]
    # all held out, same seed: the same world but for the splits
    assert call("synth", tmp_path / "a", *options, "--test-share", 1.0).code == 2
    assert call("synth", tmp_path / "b", "--size", 33).code == 2
    assert not (tmp_path / "b").exists()
