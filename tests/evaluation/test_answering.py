"""Videos asked together, by several processes, or again after a kill: always the same bytes."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
import torch

from videoexpert.annotations.readers import read
from videoexpert.backends.expert import Expert
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import VideoError
from videoexpert.evaluation import answering, runner
from videoexpert.evaluation.runner import evaluate
from videoexpert.evaluation.systems import BackendSystem
from videoexpert.synthetic.write import WorldRecipe, annotation_files
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import VisualTokens

BENCHMARKS = {"charades-sta": "test", "nextgqa": "test", "youcook2": "validation"}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    recipe = WorldRecipe(videos=5, seed=5, test_share=1.0)
    scripts = [recipe.script(i) for i in range(5)]
    for name, text in annotation_files(recipe, scripts).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, newline="")
    return folder


def source(world: Path, benchmark: str) -> Path:
    return world / ("youcook2/youcookii_annotations_trainval.json" if benchmark == "youcook2" else benchmark)


class Made:
    """An Expert whose videos are made from their names; counts how many it answers in one call."""

    def __init__(self, together: int = 2, broken: str = "") -> None:
        torch.manual_seed(0)
        self.expert = Expert(tiny_model(num_frames=4), tiny_tokenizer(), "tiny")
        self.name, self.can, self.videos_together, self.broken = "tiny", self.expert.can, together, broken
        self.calls: list[int] = []

    def describe(self):
        return {"model": self.name}

    def open(self, path, *, start=None, end=None, num_frames=None):
        if str(path) == self.broken:
            raise VideoError(f"{path} is broken.")
        config, rng = self.expert.config, torch.Generator().manual_seed(sum(str(path).encode()))
        temporal = torch.randn(4, config.vision_width, generator=rng)
        spatial = torch.randn(config.num_spatial_tokens, config.vision_width, generator=rng)
        return self.expert.open_tokens(VisualTokens(temporal, spatial, 20.0))

    def ground_many(self, videos, queries, top_k):
        self.calls.append(len(videos))
        return self.expert.ground_many(videos, queries, top_k)

    def caption_many(self, videos):
        return self.expert.caption_many(videos, 6)

    def ask_many(self, videos, questions):
        return self.expert.ask_many(videos, questions, 6)


def run(world: Path, benchmark: str, out: Path, backend: Made | None = None):
    system = BackendSystem(backend or Made())
    return evaluate(benchmark, system, source(world, benchmark), None, out, split=BENCHMARKS[benchmark])


def assert_same_bytes(one: Path, other: Path) -> None:
    """Predictions and run to the byte; the result but for the name of its folder."""
    for name in ("predictions.jsonl", "run.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    ours, theirs = ((out / "result.json").read_text().replace(str(out), "OUT") for out in (one, other))
    assert ours == theirs


def rows(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("benchmark", BENCHMARKS)
def test_videos_asked_together_answer_as_alone(benchmark, world, tmp_path):
    together, alone = Made(), Made(together=1)
    run(world, benchmark, tmp_path / "together", together)
    run(world, benchmark, tmp_path / "alone", alone)
    assert together.calls == [2, 2, 1]
    assert set(alone.calls) == {1}
    pairs = list(zip(rows(tmp_path / "together"), rows(tmp_path / "alone"), strict=True))
    assert len(pairs) == len(read(benchmark, source(world, benchmark), split=BENCHMARKS[benchmark]).samples)
    for one, other in pairs:
        one_moments, other_moments = one.pop("moments"), other.pop("moments")
        assert one.pop("presence", 0) == pytest.approx(other.pop("presence", 0), abs=1e-5)
        assert one == other
        for a, b in zip(one_moments, other_moments, strict=True):
            assert a.pop("text", "") == b.pop("text", "")
            assert a == pytest.approx(b, abs=1e-4)  # seconds of a video of twenty: fractions to 1e-5


class Watched(Made):
    """Looks how far opening is whenever the language model is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.opened, self.asked, self.changed = 0, 0, threading.Condition()

    def open(self, path, **options):
        video = super().open(path, **options)
        with self.changed:
            self.opened += 1
            self.changed.notify_all()
        return video

    def ground_many(self, videos, queries, top_k):
        with self.changed:  # while this group is asked, all of the next one is opened, and no more
            self.asked += len(videos)
            assert self.changed.wait_for(lambda: self.opened == min(5, self.asked + 2), 60)
        return super().ground_many(videos, queries, top_k)


class Failing(Made):
    """One of its videos does to the decoder what nobody expected."""

    def open(self, path, **options):
        if str(path) == self.broken:
            raise RuntimeError("the decoder lost its way")
        return super().open(path, **options)


def test_the_next_videos_are_opened_while_the_language_model_answers(world, tmp_path, monkeypatch):
    """The bytes are those of a run that opens a video when it asks it."""
    backend = Watched()
    run(world, "charades-sta", tmp_path / "ahead", backend)
    assert backend.calls == [2, 2, 1]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("open_")]
    when_asked = lambda system, find, groups: answering._ahead(  # noqa: E731
        groups, partial(answering._answer, system, find), 1
    )
    monkeypatch.setattr(answering, "_opened_ahead", when_asked)
    run(world, "charades-sta", tmp_path / "plain")
    assert_same_bytes(tmp_path / "ahead", tmp_path / "plain")


@pytest.mark.parametrize("broken", [0, 3, 4])
@pytest.mark.parametrize("kind", ["broken", "fails"])
def test_a_video_that_cannot_be_opened_ahead_fails_alone(kind, broken, world, tmp_path):
    """An error that says so, and one that nobody expected; the others answer as ever."""
    run(world, "charades-sta", tmp_path / "whole")
    name = list(dict.fromkeys(row["video"] for row in rows(tmp_path / "whole")))[broken]
    backend = (Made if kind == "broken" else Failing)(broken=name)
    told = run(world, "charades-sta", tmp_path / "one", backend)
    assert list(told.failed) == [name]
    left = {row["id"]: row for row in rows(tmp_path / "one")}
    for row in rows(tmp_path / "whole"):
        assert (row["id"] in left) == (row["video"] != name)
        if row["video"] != name:
            assert left[row["id"]]["presence"] == pytest.approx(row["presence"], abs=1e-5)


@pytest.mark.parametrize("keep", [0, 1, 3, 5, 8])
def test_a_run_that_was_killed_ends_with_the_bytes_of_one_that_was_not(keep, world, tmp_path):
    run(world, "charades-sta", tmp_path / "whole")
    whole = (tmp_path / "whole" / "predictions.jsonl").read_bytes()
    run(world, "charades-sta", tmp_path / "cut")
    lines = whole.splitlines(keepends=True)
    (tmp_path / "cut" / "predictions.jsonl").write_bytes(b"".join(lines[:keep]) + lines[keep][:9] + b"\xc3")
    run(world, "charades-sta", tmp_path / "cut")
    assert_same_bytes(tmp_path / "cut", tmp_path / "whole")


def test_a_broken_video_is_told_and_the_others_of_its_group_are_answered(world, tmp_path):
    samples = read("charades-sta", world / "charades-sta", split="test").samples
    broken = samples[0].video
    outcome = run(world, "charades-sta", tmp_path, Made(broken=broken))
    assert outcome.failed == {broken: f"{broken} is broken."}
    assert {row["video"] for row in rows(tmp_path)} == {s.video for s in samples} - {broken}
    assert not run(world, "charades-sta", tmp_path).failed  # it is there now
    run(world, "charades-sta", tmp_path / "whole")
    assert rows(tmp_path) == rows(tmp_path / "whole")


class Share(answering.Ranks):
    """One of two processes, run one after the other."""

    def __init__(self, rank: int) -> None:
        self.rank, self.world = rank, 2
        self.gathered = 0

    def gather(self, value):
        self.gathered += 1
        if self.rank == 1 and self.gathered == 2:  # has answered its share; the first is not there yet
            raise KeyboardInterrupt
        return [value]


def test_two_processes_share_the_videos_and_write_the_same_bytes(world, tmp_path, monkeypatch):
    run(world, "charades-sta", tmp_path / "one")
    second, first = Made(), Made()
    monkeypatch.setattr(runner, "Ranks", lambda: Share(1))
    with pytest.raises(KeyboardInterrupt):
        run(world, "charades-sta", tmp_path / "two", second)
    assert [f.name for f in (tmp_path / "two").iterdir()] == ["predictions.1.jsonl"]
    part = (tmp_path / "two" / "predictions.1.jsonl").read_bytes()
    monkeypatch.setattr(runner, "Ranks", lambda: Share(0))
    monkeypatch.setattr(answering, "_append", shared_append(answering._append, part))
    run(world, "charades-sta", tmp_path / "two", first)
    assert sorted([*second.calls, *first.calls]) == [1, 2, 2]
    assert len(second.calls) == 1
    assert_same_bytes(tmp_path / "two", tmp_path / "one")
    assert sorted(f.name for f in (tmp_path / "two").iterdir()) == [
        "predictions.jsonl",
        "result.json",
        "run.json",
    ]


def shared_append(append, part: bytes):
    """``append`` of the first process, during which the second's file comes in."""

    def appended(told, predictions, progress):
        predictions.with_name("predictions.1.jsonl").write_bytes(part)
        return append(told, predictions, progress)

    return appended


def test_what_another_number_of_processes_left_is_not_lost(world, tmp_path):
    run(world, "charades-sta", tmp_path)
    whole = (tmp_path / "predictions.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (tmp_path / "predictions.jsonl").write_bytes(b"".join(lines[:2]))
    (tmp_path / "predictions.1.jsonl").write_bytes(b"".join(lines[2:]))
    again = Made()
    run(world, "charades-sta", tmp_path, again)
    assert again.calls == []
    assert (tmp_path / "predictions.jsonl").read_bytes() == whole
    assert not (tmp_path / "predictions.1.jsonl").exists()


@pytest.mark.slow
def test_torchrun_ends_with_the_bytes_of_one_process(world, tmp_path):
    model = checkpoint.save(tiny_model(num_frames=4), tiny_tokenizer(), tmp_path / "model")
    videos = tmp_path / "videos"
    videos.mkdir()
    for i, sample in enumerate(
        {s.video: s for s in read("charades-sta", world / "charades-sta", split="test").samples}
    ):
        tiny_video(videos / f"{sample}.mp4", 4.0, seed=i)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port)]
    for name, launch in (("one", []), ("two", torchrun), ("two", torchrun)):
        if (tmp_path / "two").exists():  # as a kill leaves it: a part, and a line cut short
            whole = (tmp_path / "two" / "predictions.jsonl").read_bytes()
            (tmp_path / "two" / "result.json").unlink()
            (tmp_path / "two" / "predictions.jsonl").unlink()
            (tmp_path / "two" / "predictions.1.jsonl").write_bytes(whole[: len(whole) // 2])
        command = [sys.executable, *launch, "-m", "videoexpert.apps.cli", "eval", "charades-sta"]
        command += ["--annotations", str(world / "charades-sta"), "--split", "test", "--videos", str(videos)]
        command += ["--model", str(model), "--out", str(tmp_path / name), "--device", "cpu"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, check=False, timeout=300
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("corrected convention") == 1  # the first process alone speaks
    assert_same_bytes(tmp_path / "two", tmp_path / "one")
