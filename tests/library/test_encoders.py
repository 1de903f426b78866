"""Encoders: an expert's T-tokens are its tower's embeddings; the shipped model finds its own video by sentence."""

from __future__ import annotations

import shutil
import warnings

import pytest
import torch

from library.conftest import write
from videoexpert.assets import SHIPPED_VIDEO
from videoexpert.errors import InputError, ModelWarning, UnsupportedError
from videoexpert.library.build import index
from videoexpert.library.encoders import TowerEncoder, encoder_of
from videoexpert.library.find import Library
from videoexpert.session import load


@pytest.fixture(scope="module")
def expert():
    return load()


@pytest.fixture(scope="module")
def encoder(expert):
    return encoder_of(expert, 2.0)


def test_the_frames_of_an_expert_are_those_of_its_tower(expert, encoder):
    ours = encoder.encode(SHIPPED_VIDEO)
    theirs = TowerEncoder(encoder.tower, 2.0).encode(SHIPPED_VIDEO)
    assert ours.duration == pytest.approx(theirs.duration, abs=0.01)
    near = [int((theirs.times - time).abs().argmin()) for time in ours.times]
    likeness = (ours.embeddings.float() * theirs.embeddings[near].float()).sum(-1)
    # not the same pictures, but neighbours of the same moment
    assert likeness.median() > 0.95
    assert torch.allclose(ours.embeddings.float().norm(dim=-1), torch.ones(len(near)), atol=1e-3)
    assert len(ours.tokens) == 1
    assert float(ours.times.diff().min()) >= 0.49


def test_the_shipped_model_finds_the_moment_among_other_videos(tmp_path, expert, encoder):
    folder = tmp_path / "videos"
    for name, colours in (("a", ["red"]), ("b", ["green", "blue"]), ("c", ["blue", "red"])):
        write(folder / f"{name}.mp4", colours)
    shutil.copy(SHIPPED_VIDEO, folder / "demo.mp4")
    index([folder], tmp_path / "lib", encoder)
    library = Library(tmp_path / "lib", encoder, expert)
    hits = library.search("the purple triangle moves right", method="rerank").hits
    best = hits[0]
    assert best.path.endswith("demo.mp4")
    # calibrated as of each video alone, and so they compare: the model's score of the moment times its presence
    for hit in hits:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ModelWarning)  # plain colours are unlike its world
            answer = expert.open(hit.path).ground("the purple triangle moves right")
        assert hit.score == pytest.approx(answer[0].score * answer.presence, abs=0.05)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert best.score > 2 * hits[1].score
    alone = expert.open(SHIPPED_VIDEO).ground("the purple triangle moves right")[0]
    assert best.start == pytest.approx(alone.start, abs=0.3)
    assert best.end == pytest.approx(alone.end, abs=0.3)


def test_wrong_encoders(expert):
    with pytest.raises(InputError, match="rate is 0"):
        encoder_of(expert, 0.0)

    class Blind:
        name = "blind"

    with pytest.raises(UnsupportedError, match="contrastive:NAME"):
        encoder_of(Blind())
