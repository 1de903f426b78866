"""A disk that is full, forbids or breaks at a write: one sentence, nothing half, and the next run as if undisturbed."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from authors import write_bases, write_checkpoint
from training_world import write_records
from videoexpert.apps.cli import main
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.features.store import FeatureStore
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video

CODES = {
    errno.ENOSPC: "no space is left",
    errno.EPERM: "permission is denied",
    errno.EIO: "input/output error",
}


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    checkpoint.save(tiny_model(), tiny_tokenizer(), folder / "model")
    (folder / "videos").mkdir()
    tiny_video(folder / "videos" / "a.mp4", 4.0)
    tiny_video(folder / "videos" / "b.mp4", 4.0, seed=1)
    (folder / "captions.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\na man runs\n")
    (folder / "authors").mkdir()
    write_bases(folder / "bases")
    write_checkpoint(folder / "authors")
    own = {"video": "a.mp4", "query": "it falls", "moments": [[1, 2]]}
    write_records(folder / "own.jsonl", [own, {**own, "video": "b.mp4"}])
    (folder / "sta.txt").write_text("a 1.0 2.0##it falls.\n")
    write_records(
        folder / "sta.jsonl",
        [{"qid": "a_0", "vid": "a", "query": "it falls.", "pred_relevant_windows": [[1, 2, 0.5]]}],
    )
    return folder


def commands(world: Path, out: Path) -> dict[str, list[str]]:
    model, videos = ["--model", str(world / "model")], str(world / "videos")
    ground = ["ground", f"{videos}/a.mp4", "it falls", *model]
    return {
        "encode": ["encode", "--videos", videos, "--out", str(out), *model],
        "export": [*ground, "--out", str(out / "found.srt")],
        "lines": ["ground", videos, "it falls", *model, "--out", str(out / "found.jsonl")],
        "plot": [*ground, "--plot", str(out / "found.png")],
        "import": ["data", "import", "srt", str(world / "captions.srt"), str(out / "made.jsonl")],
        "synth": ["synth", str(out), "--videos", "2"],
        "convert": [
            *("convert", str(world / "authors"), str(out / "model")),
            *("--language", str(world / "bases" / "language"), "--vision", str(world / "bases" / "vision")),
        ],
        "finetune": [
            *("finetune", str(world / "own.jsonl"), "--videos", videos, "--out", str(out), *model),
            *("--set", "training.steps=2", "--set", "training.save_every=1", "--set", "training.log_every=1"),
        ],
        "panels": [
            *("panels", "charades-sta", "--annotations", str(world / "sta.txt"), "--videos", videos),
            *("--predictions", str(world / "sta.jsonl"), "--out", str(out)),
        ],
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in ("convert", "finetune", "panels")]


def compared(name: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """What two runs share to the byte: of a training the model and the data, not logs with their hours."""
    return {f: d for f, d in files.items() if name != "finetune" or f.startswith(("model/", "data/"))}


@pytest.mark.parametrize("name", [*SLOW, "encode", "export", "lines", "plot", "import", "synth"])
def test_a_write_that_fails_costs_nothing_once_the_disk_is_free(name, world, tmp_path, monkeypatch, capsys):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    synced, sync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(handle), sync(handle))[1])
    assert main(commands(world, whole)[name]) == 0
    expected = contents(whole)
    assert expected
    assert synced
    for place, (code, words) in enumerate(CODES.items()):
        # the first, a middle and the last of what is put on the disk
        fatal = (0, len(synced) // 2, len(synced) - 1)[place]
        calls = []

        def fail(handle, fatal=fatal, code=code, calls=calls):
            calls.append(handle)
            if len(calls) > fatal:
                raise OSError(code, os.strerror(code))
            sync(handle)

        monkeypatch.setattr(os, "fsync", fail)
        capsys.readouterr()
        result, said = main(commands(world, broken)[name]), capsys.readouterr().err
        if result:  # some file systems refuse it for folders, which is no fault
            assert words in said
            assert "Traceback" not in said
        assert not [file for file in contents(broken) if file.endswith(".part")]
        assert all(
            expected[file] == data
            for file, data in compared(name, contents(broken)).items()
            if not file.endswith(".jsonl")
        )
    monkeypatch.setattr(os, "fsync", sync)
    if name == "encode":  # shards of a run that was cut are numbered on: the tokens are compared
        assert main(commands(world, broken)[name]) == 0
        ours, theirs = FeatureStore.open(broken), FeatureStore.open(whole)
        assert sorted(ours) == sorted(theirs) == ["a", "b"]
        for video in theirs:
            assert torch.equal(ours[video].temporal, theirs[video].temporal)
            assert torch.equal(ours[video].spatial, theirs[video].spatial)
        return
    if name == "convert" and (broken / "model").exists():  # the last thing that failed came after the move
        assert contents(broken) == expected
        shutil.rmtree(broken / "model")  # it writes new folders only
    assert main(commands(world, broken)[name]) == 0
    assert compared(name, contents(broken)) == compared(name, expected)
