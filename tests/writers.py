"""Every command that writes, on a tiny world, and what two runs of one have in common to the byte."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import torch
import yaml

from authors import write_bases, write_checkpoint
from training_world import write_records
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.features.clips import clips_of
from videoexpert.features.encode import TokenEncoder, encode_to_store
from videoexpert.features.store import FeatureStore
from videoexpert.library.manifest import Manifest
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video

TRAINING = {
    "steps": 2,
    "save_every": 1,
    "log_every": 1,
    "batch_size": 2,
    "micro_batch": 2,
    "precision": "float32",
}


def build(folder: Path) -> Path:
    """What the commands read."""
    model = tiny_model()
    checkpoint.save(model, tiny_tokenizer(), folder / "model")
    (folder / "videos").mkdir()
    tiny_video(folder / "videos" / "a.mp4", 4.0)
    tiny_video(folder / "videos" / "b.mp4", 4.0, seed=1)
    (folder / "captions.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\na man runs\n")
    (folder / "authors").mkdir()
    write_bases(folder / "bases")
    write_checkpoint(folder / "authors")
    own = {"video": "a.mp4", "query": "it falls", "moments": [[1, 2]]}
    annotations = write_records(folder / "own.jsonl", [own, {**own, "video": "b.mp4"}])
    (folder / "sta.txt").write_text("a 1.0 2.0##it falls.\nb 1.0 3.0##it runs.\n")
    write_records(
        folder / "sta.jsonl",
        [{"qid": "a_0", "vid": "a", "query": "it falls.", "pred_relevant_windows": [[1, 2, 0.5]]}],
    )
    encode_to_store(
        clips_of(folder / "videos", annotations, "jsonl"), TokenEncoder.of(model), folder / "tokens"
    )
    source = {"benchmark": "jsonl", "annotations": str(annotations), "features": str(folder / "tokens")}
    recipe = {
        "kind": "train",
        "model": {"start": str(folder / "model")},
        "data": [source],
        "training": TRAINING,
    }
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return folder


def commands(world: Path, out: Path) -> dict[str, list[str]]:
    """The arguments of each command, which writes into the folder ``out``."""
    model, videos = ["--model", str(world / "model")], str(world / "videos")
    ground = ["ground", f"{videos}/a.mp4", "it falls", *model]
    return {
        "encode": ["encode", "--videos", videos, "--out", str(out), *model],
        "export": [*ground, "--out", str(out / "found.srt")],
        "lines": ["ground", videos, "it falls", *model, "--out", str(out / "found.jsonl")],
        "plot": [*ground, "--plot", str(out / "found.png")],
        "import": ["data", "import", "srt", str(world / "captions.srt"), str(out / "made.jsonl")],
        "synth": ["synth", str(out), "--videos", "2"],
        "eval": [
            *("eval", "charades-sta", "--annotations", str(world / "sta.txt"), "--videos", videos),
            *("--out", str(out), *model),
        ],
        "index": ["index", videos, "--library", str(out), "--model", "shipped"],
        "convert": [
            *("convert", str(world / "authors"), str(out / "model")),
            *("--language", str(world / "bases" / "language"), "--vision", str(world / "bases" / "vision")),
        ],
        "train": ["train", str(world / "recipe.yaml"), "--out", str(out)],
        "finetune": [
            *("finetune", str(world / "own.jsonl"), "--videos", videos, "--out", str(out), *model),
            *(f"--set=training.{field}={TRAINING[field]}" for field in ("steps", "save_every", "log_every")),
        ],
        "panels": [
            *("panels", "charades-sta", "--annotations", str(world / "sta.txt"), "--videos", videos),
            *("--predictions", str(world / "sta.jsonl"), "--out", str(out)),
        ],
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def compared(name: str, files: dict[str, bytes]) -> dict[str, bytes]:
    """What two runs share to the byte: of a training the model and the data, not logs with their hours; no database."""
    if name in ("train", "finetune"):
        return {f: d for f, d in files.items() if f.startswith(("model/", "data/"))}
    if name == "eval" and "result.json" in files:  # the result names the file of its predictions
        result = json.loads(files["result.json"])
        del result["run"]["predictions"]
        return {**files, "result.json": json.dumps(result).encode()}
    return {f: d for f, d in files.items() if name != "index" or f.startswith("shards/")}


def undisturbed(name: str, ours: Path, whole: Path) -> None:
    """Fails unless a folder that was disturbed and one that was not hold the same."""
    found, expected = contents(ours), contents(whole)
    if name in ("train", "finetune"):  # TensorBoard's logs are a file a start
        found, expected = (
            {f: d for f, d in files.items() if not f.startswith("runs/")} for files in (found, expected)
        )
    if name == "encode":  # shards of a run that was cut are numbered on: the tokens are compared
        mine, theirs = FeatureStore.open(ours), FeatureStore.open(whole)
        assert sorted(mine) == sorted(theirs) == ["a", "b"]
        for video in theirs:
            assert torch.equal(mine[video].temporal, theirs[video].temporal)
            assert torch.equal(mine[video].spatial, theirs[video].spatial)
    else:
        assert found.keys() == expected.keys(), name
        assert compared(name, found) == compared(name, expected), name
    if name == "index":
        # an open database has files beside it, which the next comparison would find
        with closing(Manifest(ours)) as one, closing(Manifest(whole)) as other:
            assert [v.paths for v in one.videos(1).values()] == [v.paths for v in other.videos(1).values()]
    assert not [file for file in found if file.endswith((".part", ".old")) or ".lock" in file], name
