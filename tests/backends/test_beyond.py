"""What is said where a video is looked at otherwise than the model was trained."""

from __future__ import annotations

import json
import warnings
from types import SimpleNamespace

import pytest

from videoexpert.apps.cli import main
from videoexpert.backends.beyond import beyond_training
from videoexpert.backends.expert import Expert
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import ModelWarning
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video

CONFIG = SimpleNamespace(trained_seconds=20.0, num_frames=64)


def test_a_length_that_training_showed_needs_no_word():
    assert beyond_training(CONFIG, {"windows": 1, "window": 40.0, "frames": 64}) == ()
    assert beyond_training(CONFIG, {"windows": 30, "window": 20.0, "frames": 30 * 64}) == ()
    assert beyond_training(None, {"windows": 1, "window": 4000.0, "frames": 2}) == ()
    assert beyond_training(CONFIG, None) == ()


def test_far_more_seconds_or_frames_are_told():
    (long,) = beyond_training(CONFIG, {"windows": 1, "window": 600.0, "frames": 64})
    assert "videos of about 20 s and looked at 10:00.0 in one piece, a frame every 9.4 s" in long
    assert "--window auto (open_long in Python)" in long
    for frames in (31, 129):
        (told,) = beyond_training(CONFIG, {"windows": 2, "window": 20.0, "frames": 2 * frames})
        assert f"trained with 64 frames and looked at {frames}" in told
    unknown = SimpleNamespace(trained_seconds=None, num_frames=64)
    assert beyond_training(unknown, {"windows": 1, "window": 6000.0, "frames": 64}) == ()


def test_open_warns_once_and_its_answer_says_the_same(tmp_path):
    model = tiny_model(num_frames=8)
    model.config.trained_seconds = 5.0
    expert, path = Expert(model, tiny_tokenizer(), "tiny"), tiny_video(tmp_path / "a.mp4", 12.0)
    with pytest.warns(ModelWarning) as told:
        video = expert.open(path, num_frames=2)
    length, frames = map(str, (one.message for one in told))
    assert [length, frames] == [
        f"{path}: {note}." for note in beyond_training(expert.config, video.looked_at)
    ]
    assert "trained on videos of about 5 s and looked at 12.0 s in one piece" in length
    assert "trained with 8 frames and looked at 2" in frames
    assert all(one.filename == __file__ for one in told)  # the caller's line, not the library's
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expert.open_long(path)  # windows of the length that it knows


def test_the_command_says_it_once(tmp_path, capsys):
    model = tiny_model(num_frames=8)
    model.config.trained_seconds = 5.0
    folder = checkpoint.save(model, tiny_tokenizer(), tmp_path / "model")
    path = tiny_video(tmp_path / "a.mp4", 12.0)
    options = ["--model", str(folder), "--window", "off", "--format", "json"]
    assert main(["ground", str(path), "it falls", *options]) == 0
    told = capsys.readouterr()
    (note,) = json.loads(told.out)["warnings"]
    assert told.err == f"Warning: {path}: {note}.\n"
