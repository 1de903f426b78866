"""A tiny random model on disk, a tiny video, and the command line as a function."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from videoexpert.apps.cli import main
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.library.build import index
from videoexpert.library.encoders import encoder_of
from videoexpert.session import load
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video

SECONDS = 8.0


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


@pytest.fixture
def call(capsys) -> Callable[..., Done]:
    """Runs ``videoexpert`` with these arguments, in this process."""

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(a) for a in arguments])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "model"
    return checkpoint.save(tiny_model(num_frames=16), tiny_tokenizer(), folder)


@pytest.fixture
def model_that_finds_nothing(model, tmp_path) -> Path:
    """The same model with a threshold that no event reaches."""
    folder = tmp_path / "absent"
    shutil.copytree(model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"absent_below": 1.0}))
    return folder


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("videos") / "a.mp4", SECONDS)


@pytest.fixture(scope="session")
def library(tmp_path_factory, video) -> Path:
    """A library of the shipped video and the tiny one, for the shipped model; ``videos`` beside it has both."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "videos").mkdir()
    shutil.copy(SHIPPED_VIDEO, folder / "videos" / "demo.mp4")
    shutil.copy(video, folder / "videos" / "other.mp4")
    index([folder / "videos"], folder / "lib", encoder_of(load()))
    return folder / "lib"
