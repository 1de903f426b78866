"""Own clips to a model folder by one command."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

import videoexpert
from training_world import write_records
from videoexpert.annotations.samples import Sample
from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_MODEL
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import DataError, InputError
from videoexpert.language.words import Words
from videoexpert.locks import LOCK, held
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.training.familiarity import LEAST, learn
from videoexpert.training.finetune import finetune, make_recipe, split
from videoexpert.types import VisualTokens


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for i in range(3):
        tiny_video(folder / f"clip{i}.mp4", 4.0, seed=i)
    rows = [
        {"video": f"clip{i}.mp4", "query": query, "moments": [[i, i + 1.5]]}
        for i in range(3)
        for query in ("a bar moves", "it falls")
    ]
    return folder, write_records(folder / "own.jsonl", rows)


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    return checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path_factory.mktemp("start") / "model")


def test_one_command_from_clips_to_a_model(clips, start, tmp_path, capsys):
    folder, annotations = clips
    out = tmp_path / "run"
    command = [
        "finetune",
        str(annotations),
        "--videos",
        str(folder),
        "--model",
        str(start),
        "--out",
        str(out),
    ]
    command += [
        "--set",
        "training.steps=4",
        "--set",
        "training.save_every=4",
        "--set",
        "training.log_every=2",
    ]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert printed.out == f"model in {out / 'model'}\n"
    told = printed.err.splitlines()
    assert any(line.startswith("6 samples to train on; 0 of other videos") for line in told)
    steps = [line for line in told if line.startswith("step ")]
    assert [line.split(",")[0] for line in steps] == ["step 2 of 4", "step 4 of 4"]
    assert all(", loss " in line and line.endswith(" left") for line in steps)
    assert "kept the last step, 4: nothing was held out to choose by" in told
    assert not [line for line in told if "{" in line]  # none of the Trainer's own
    log = [x for x in json.loads((out / "log.json").read_text()) if "loss" in x]
    assert [line["step"] for line in log] == [2, 4]
    expert = videoexpert.load(out / "model", device="cpu")
    moments = expert.open(folder / "clip0.mp4").ground("a bar moves")
    assert all(0 <= m.start <= m.end <= 4 for m in moments)
    before, _ = checkpoint.load(start)
    changed = (expert.model.head.projection[0].weight - before.head.projection[0].weight).abs().max()
    assert changed > 0
    assert main(command) == 0  # a second call finds it done
    assert "finished" in capsys.readouterr().err


def test_one_lock_from_the_first_video_to_the_model(clips, start, tmp_path):
    folder, annotations = clips
    locks: list[int] = []

    def look(*_: object) -> None:
        locks.append((tmp_path / "run" / LOCK).stat().st_ino)
        with pytest.raises(InputError, match="in use by process"), held(tmp_path / "run"):
            pass

    options = ["training.steps=2", "training.save_every=1", "training.log_every=1"]
    finetune(annotations, folder, start, tmp_path / "run", overrides=options, log=look, progress=look)
    assert len(locks) > 5  # videos, samples, parameters, steps, the model
    assert len(set(locks)) == 1
    assert not (tmp_path / "run" / LOCK).exists()


def test_the_new_model_knows_its_clips_and_all_that_the_first_one_knew(tmp_path):
    first = tiny_model()
    width = first.config.vision_width
    draw = torch.Generator().manual_seed(0)
    seen = [
        VisualTokens(torch.randn(12, width, generator=draw), torch.randn(6, width, generator=draw), 5.0)
        for _ in range(LEAST)
    ]
    first.familiarity = learn(first.vision, first.config, seen, reference=0)
    start = checkpoint.save(first, tiny_tokenizer(), tmp_path / "start")
    for i in range(LEAST):
        tiny_video(tmp_path / f"clip{i}.mp4", 2.0, seed=i)
    rows = [{"video": f"clip{i}.mp4", "query": "it falls", "moments": [[0, 1]]} for i in range(LEAST)]
    annotations = write_records(tmp_path / "own.jsonl", rows)
    folder = finetune(
        annotations, tmp_path, start, tmp_path / "run", overrides=["training.steps=1"], log=lambda _: None
    )
    known = checkpoint.load(folder)[0].familiarity
    assert len(known.trainings) == 2
    before = first.familiarity.trainings[0]
    assert known.trainings[0].probability(seen[0]) == pytest.approx(before.probability(seen[0]), rel=1e-6)


def test_a_tenth_of_the_videos_is_held_out_whole():
    samples = [
        Sample(f"{v}-{q}", f"v{v}", "grounding", 5.0, "x", ((1, 2),)) for v in range(40) for q in range(3)
    ]
    training, held = split(samples, seed=1)
    assert len({s.video for s in held}) == 4
    assert len(held) == 12
    assert not {s.video for s in held} & {s.video for s in training}
    assert len(training) + len(held) == len(samples)
    assert split(samples, seed=1) == (training, held) != split(samples, seed=2)
    assert split(samples[:30], seed=1) == (samples[:30], [])  # ten videos are too few


def test_defaults_by_hand(tmp_path):
    moment = Sample("q", "v", "grounding", 9.0, "x", ((1, 2),))
    recipe = make_recipe("m", tmp_path, samples=160, held=[moment], width=4096)
    assert recipe.training.steps == 400  # forty times 160 in batches of 16
    assert recipe.training.save_every == 40
    assert recipe.training.metric == "mIoU"
    absent = replace(moment, windows=())
    assert make_recipe("m", tmp_path, 160, [absent], 4096).training.metric == "loss"
    assert recipe.training.learning_rate == pytest.approx(1e-4)
    assert recipe.training.patience == 4
    small = make_recipe("m", tmp_path, samples=3, held=[], width=128)
    assert (small.training.batch_size, small.training.steps) == (3, 40)
    assert small.training.learning_rate == 5e-4
    assert small.training.patience is None
    with pytest.raises(DataError, match=r"training\.stps"):
        make_recipe("m", tmp_path, samples=3, held=[], width=128, overrides=["training.stps=1"])


def test_no_readable_video_is_said(start, tmp_path):
    annotations = write_records(
        tmp_path / "own.jsonl", [{"video": "gone.mp4", "query": "x", "moments": [[0, 1]]}]
    )
    (tmp_path / "videos").mkdir()
    said: list[str] = []
    with pytest.raises(DataError, match="none of the 1 videos can be read"):
        finetune(annotations, tmp_path / "videos", start, tmp_path / "run", log=said.append)
    assert "gone.mp4" in said[0]


def test_words_of_the_clips_are_known_afterwards(clips, tmp_path):
    folder, annotations = clips
    options = ["training.steps=1", "training.save_every=1", "training.log_every=1"]
    made = finetune(annotations, folder, None, tmp_path / "run", overrides=options, log=lambda _: None)
    config, tokenizer = checkpoint.read_config(made), checkpoint.load(made)[1]
    assert config.taught_words == ["bar", "falls"]
    assert Words(tokenizer, config.taught_words).unknown("it falls on a bar of gold") == ("gold",)
    assert checkpoint.load(SHIPPED_MODEL)[0].config.taught_words is None
