"""``calibrate``: which queries are asked, what is fitted, a run that is stopped goes on, and the command."""

from __future__ import annotations

import json
import random
import shutil

import pytest

from chat_server import Server, completion
from videoexpert import session, settings
from videoexpert.annotations.readers import read
from videoexpert.apps.cli import main
from videoexpert.apps.terminal import FEW
from videoexpert.backends.fitted import FILE
from videoexpert.errors import DataError
from videoexpert.evaluation.calibrate import (
    WORK,
    borrowed_queries,
    calibrate,
    evidence,
    labelled_queries,
)
from videoexpert.testing import tiny_video
from videoexpert.types import Moment, Moments

VIDEOS, QUERIES = 6, 10


@pytest.fixture(autouse=True)
def _a_configuration_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Own data: videos that are copies of one file, each with queries whose window is from 1 to 3 s."""
    folder = tmp_path_factory.mktemp("calibrate")
    (folder / "videos").mkdir()
    first = tiny_video(folder / "videos" / "v0.mp4", 8.0)
    lines = []
    for v in range(VIDEOS):
        if v:
            shutil.copyfile(first, folder / "videos" / f"v{v}.mp4")
        lines += [
            {"video": f"v{v}.mp4", "duration": 8.0, "query": f"event {v} {q}", "moments": [[1, 3]]}
            for q in range(QUERIES)
        ]
    (folder / "own.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


class Braggart:
    """Says 0.99 of all moments and is right in 3 of 10; says 0.9 of what is there and 0.7 of what is not."""

    name, can, fit = "braggart", frozenset({"ground"}), None

    def __init__(self):
        self.opened = []

    def describe(self):
        return {"model": "braggart"}

    def take_fit(self, fit):
        self.fit = fit

    def open(self, path, *, start=None, end=None, num_frames=None):
        self.opened.append(path.stem)
        return Bragging(path)


class Bragging:
    duration, start = 8.0, 0.0

    def __init__(self, path):
        self.path, self.number = str(path), path.stem[1:]

    def ground(self, queries, top_k=5):
        return [self._one(query) for query in queries]

    def _one(self, query):
        _, video, number = query.split()
        right = int(number) < 3
        found = Moment(1.0, 3.0, 0.99) if right else Moment(5.0, 8.0, 0.99)
        return Moments(query, (found,), 0.9 if video == self.number else 0.7, curve=(0.5,))


def test_boasting_is_taken_off(world):
    found = calibrate(Braggart(), world / "own.jsonl", world / "videos")
    told = found.report
    assert (told["queries"], told["videos"], told["moments"], told["right"]) == (60, 6, 60, 18)
    assert (told["present_queries"], told["absent_queries"], told["presence_auc"]) == (60, 60, 100.0)
    assert told["score_ece"]["before"] == pytest.approx(69.0)
    assert told["score_ece"]["after"] < 3
    assert told["presence_ece"]["after"] < told["presence_ece"]["before"]
    there, gone = (
        found.fit.moments(Moments("q", (Moment(0, 1, 0.99),), presence)) for presence in (0.9, 0.7)
    )
    assert there[0].score == pytest.approx(0.3, abs=0.02)
    assert (there.absent, gone.absent) == (False, True)
    assert not list((settings.config_folder() / WORK).iterdir())


def test_a_stopped_run_goes_on_and_ends_the_same(world):
    whole = calibrate(Braggart(), world / "own.jsonl", world / "videos")

    class Stopped(Braggart):
        def open(self, path, **options):
            if len(self.opened) == 3:
                raise KeyboardInterrupt
            return super().open(path, **options)

    with pytest.raises(KeyboardInterrupt):
        calibrate(Stopped(), world / "own.jsonl", world / "videos")
    second = Braggart()
    assert calibrate(second, world / "own.jsonl", world / "videos") == whole
    assert second.opened == ["v3", "v4", "v5"]


def test_borrowed_queries_are_of_other_videos_and_say_something_else(world):
    own = labelled_queries(read("jsonl", world / "own.jsonl"))
    borrowed = borrowed_queries(own, seed=1)
    assert len(borrowed) == len(own)
    assert borrowed == borrowed_queries(own, seed=1) != borrowed_queries(own, seed=2)
    for sample in borrowed:
        assert sample.windows == ()
        assert sample.query.split()[1] != sample.video[1]


def test_too_little_is_said(world, tmp_path):
    lines = (world / "own.jsonl").read_text().splitlines()
    few, alone = tmp_path / "few.jsonl", tmp_path / "alone.jsonl"
    few.write_text("\n".join(lines[:9]) + "\n")
    alone.write_text("\n".join(lines[:10]) + "\n")
    with pytest.raises(DataError, match="9 labelled queries to find, expected at least 10"):
        labelled_queries(read("jsonl", few))
    with pytest.raises(DataError, match="only 0 queries can be asked"):
        borrowed_queries(labelled_queries(read("jsonl", alone)), 0)
    with pytest.raises(DataError, match="0 moments of 0 queries were answered"):
        evidence(labelled_queries(read("jsonl", alone)), {})


def run(capsys, *arguments):
    capsys.readouterr()
    code = main([str(a) for a in arguments])
    return code, *capsys.readouterr()


def ground(capsys, world, *model):
    code, out, _ = run(capsys, "ground", world / "videos" / "v0.mp4", "event 0 1", *model, "--format", "json")
    assert code == 0
    return json.loads(out)


def test_the_command_for_a_contrastive_model(world, capsys):
    model = ("--model", "contrastive:", "--model-option", "rate=1", "--device", "cpu")
    assert ground(capsys, world, *model)["calibrated"] is False
    common = ("--annotations", world / "own.jsonl", "--videos", world / "videos", *model)
    code, out, err = run(capsys, "calibrate", *common, "--format", "json")
    assert (code, err.count("is unlike the videos")) == (0, FEW)
    assert f"Warning: {VIDEOS - FEW} more like these, about other videos." in err
    document = json.loads(out)
    assert document["file"] == str(settings.config_folder() / FILE)
    assert document["fitted_on"]["queries"] == 60
    assert ground(capsys, world, *model)["calibrated"] is True
    assert ground(capsys, world, *model[:2])["calibrated"] is False  # another rate is another model
    code, out, _ = run(capsys, "calibrate", *common, "--limit", 20)
    assert out.startswith("shipped CLIP: 20 labelled queries on 2 videos\n")
    assert max(map(len, out.splitlines()[:-1])) < 95
    assert "moment right" in out


def test_a_server_is_calibrated_by_its_models_name(world, capsys, monkeypatch):
    monkeypatch.delenv("VIDEOEXPERT_API_KEY", raising=False)
    sure = random.Random(0)

    def answer(_, body):
        question = body["messages"][0]["content"][-1]["text"]
        right = any(f"event 0 {n}" in question for n in range(5))
        text = "[[1, 3]]" if right else "[[6, 7]]"
        chance = -0.05 if right else -0.05 - sure.random()
        pieces = [{"token": text, "logprob": chance}]
        return completion(text, logprobs={"content": pieces})

    for port in range(2):
        server = Server()
        server.answer = answer
        try:
            model = ("--model", f"{server.url}#m", "--model-option", "fps=0.5")
            if port == 0:
                code, _, err = run(
                    capsys,
                    "calibrate",
                    "--annotations",
                    world / "own.jsonl",
                    "--videos",
                    world / "videos",
                    *model,
                )
                assert (code, err) == (0, "")
            document = ground(capsys, world, *model)
            assert document["calibrated"] is True
            (query,) = document["queries"]
            assert query["told"]["score"] == "digits"
            assert 0 < query["moments"][0]["score"] < 0.9  # exp(-0.05) is 0.95, and few answers were right
        finally:
            server.close()


def test_a_broken_video_is_told_and_the_others_fit(world, tmp_path, capsys):
    shutil.copytree(world / "videos", tmp_path / "videos")
    (tmp_path / "videos" / "v2.mp4").write_bytes(b"no video")
    common = ("--annotations", world / "own.jsonl", "--videos", tmp_path / "videos", "--device", "cpu")
    code, out, err = run(capsys, "calibrate", *common, "--model", "contrastive:", "--format", "json")
    assert code == 1
    assert "v2.mp4" in err
    assert json.loads(out)["fitted_on"]["present_queries"] == 50


def test_the_shipped_model_is_calibrated_anew_on_top_of_its_own(world, capsys):
    code, _, _ = run(
        capsys, "calibrate", "--annotations", world / "own.jsonl", "--videos", world / "videos", "--limit", 20
    )
    assert code == 0
    plain, made = session.load_unfitted(None, device="cpu"), session.load(device="cpu")
    assert made.config.score_temperature != plain.config.score_temperature
