"""More foreign files: feature stores, settings of pictures, familiarity, transcripts, imports, predictions, locks.

Predictions here are of every benchmark and form. The kind of a case is its first line.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from fuzz import mutations
from fuzz.foreign import as_text, is_sentence
from fuzz.values import damaged
from videoexpert.annotations.importers import import_data
from videoexpert.annotations.readers import read
from videoexpert.errors import VideoExpertError
from videoexpert.features.store import EncoderId, FeatureStore, ShardWriter
from videoexpert.library import transcripts
from videoexpert.locks import LOCK, held
from videoexpert.scoring.score import score
from videoexpert.synthetic.write import WorldRecipe, annotation_files
from videoexpert.types import VisualTokens
from videoexpert.vision.familiarity import Discriminant, Familiarity, Known
from videoexpert.vision.preprocess import Preprocessor

TRUTH = {  # benchmark: its annotations in the world
    "charades-sta": "charades-sta/charades_sta_test.txt",
    "youcook2": "youcook2/youcookii_annotations_trainval.json",
    "nextqa": "nextqa/test.csv",
    "nextgqa": "nextgqa/gsub_test.json",
}
SRT = "1\n00:00:01,000 --> 00:00:02,500\na man <i>runs</i>\n\n2\n00:00:03,000 --> 00:00:04,000\nit falls\n"
VTT = "WEBVTT\n\nid\n00:01.000 --> 00:02.500 align:start\na man <b>runs</b>\n\n00:03.000 --> 00:04.000\nit falls\n"
WHISPER = {"text": "a", "segments": [{"start": 0.5, "end": 2.0, "text": " a man runs"}]}
TASKS = [
    {
        "id": 1,
        "data": {"video": "/data/upload/1/0a1b2c3d-run.mp4"},
        "annotations": [
            {
                "id": 2,
                "was_cancelled": False,
                "result": [
                    {
                        "id": "r",
                        "type": "timelinelabels",
                        "value": {"timelinelabels": ["runs"], "ranges": [{"start": 1, "end": 30}]},
                    },
                    {
                        "type": "labels",
                        "value": {"labels": ["falls"], "start": 1.0, "end": 2.0},
                    },
                ],
            }
        ],
    }
]
SETTINGS = (
    Preprocessor(32).to_dict(),
    {"size": {"shortest_edge": 224}, "crop_size": 224, "resample": 3, "image_mean": [0.5] * 3},
    {"image_processor": {"size": {"height": 64, "width": 64}, "do_center_crop": False}},
)


@dataclass(frozen=True)
class State:
    """What cases start from."""

    truth: dict[str, str]
    store: dict[str, str]
    familiarity: bytes


def prepare(folder: Path) -> State:
    recipe = WorldRecipe(videos=3, seed=5, test_share=1.0)
    texts = annotation_files(recipe, [recipe.script(i) for i in range(3)])
    for part, text in texts.items():
        (folder / "world" / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / "world" / part).write_text(text, newline="")
    store = FeatureStore.create(folder / "store", EncoderId({"reader": 1, "num_frames": 2}))
    with ShardWriter(store) as writer:
        tokens = VisualTokens(torch.zeros(2, 4), torch.zeros(1, 4), 10.0)
        writer.add("a", tokens, "0" * 64)
        writer.add("b", tokens, "1" * 64)
    part = Discriminant(torch.zeros(4), torch.eye(4), torch.eye(4), torch.zeros(4), torch.tensor(0.5))
    return State(
        {name: texts[file] for name, file in TRUTH.items()},
        {file.name: file.read_text() for file in sorted((folder / "store").glob("*.json"))},
        Familiarity((Known(part, None, 2.0, 0.5),)).to_bytes(),
    )


def case(state: State, seed: int) -> bytes:
    kind, rng = list(KINDS)[seed % len(KINDS)], random.Random(seed)
    return kind.encode() + b"\n" + KINDS[kind][0](state, rng)


def check(data: bytes, folder: Path) -> None:
    kind, _, body = data.partition(b"\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            KINDS[kind.decode()][1](body, folder)
    except VideoExpertError as error:
        is_sentence(str(error))


def _json(value: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return mutations.damaged(as_text(value), rng)
    return as_text(damaged(value, rng))


def _named(name: str, body: bytes) -> bytes:
    return name.encode() + b"\n" + body


# --- cases ---


def _store(state: State, rng: random.Random) -> bytes:
    name = rng.choice(sorted(state.store))
    return _named(name, _json(json.loads(state.store[name]), rng))


def _transcript(state: State, rng: random.Random) -> bytes:
    ending = rng.choice(("srt", "vtt", "json"))
    body = _json(WHISPER, rng) if ending == "json" else _cues(ending, rng)
    return _named(ending, body)


def _cues(ending: str, rng: random.Random) -> bytes:
    text = SRT if ending == "srt" else VTT
    if rng.random() < 0.5:
        return mutations.damaged(text.encode(), rng)
    lines = text.split("\n")
    for _ in range(rng.choice((1, 1, 3))):
        place = rng.randrange(len(lines))
        lines[place] = rng.choice(("", "9" * 400, "00:00:99,999 --> -1", " --> ", *lines))
    return "\n".join(lines).encode()


def _import(state: State, rng: random.Random) -> bytes:
    format = rng.choice(("srt", "webvtt", "label-studio"))
    if format == "label-studio":
        return _named(format, _json(TASKS, rng))
    return _named(format, _cues(format, rng))


def _predictions(state: State, rng: random.Random) -> bytes:
    benchmark = rng.choice(sorted(TRUTH))
    return _named(benchmark, _json(rng.choice(_forms(benchmark)), rng))


def _forms(benchmark: str) -> list[Any]:
    """Answers on the world's first video, in the forms that are read."""
    video = "s5v00000"
    moments = [{"start": 0.6, "end": 4.2, "score": 0.5, "text": "it spins"}]
    log = {"video_id": video, "task": "grounding", "answer": "from 28 to 71", "info": {"iou": 0.5}}
    return {
        "charades-sta": [
            [{"id": f"{video}_0", "video": video, "moments": moments}],
            {f"{video}_0": {"timestamp": [[0.6, 4.2]], "query": "white square that spins.", "vid": video}},
            [log],
        ],
        "youcook2": [
            [{"id": video, "video": video, "moments": moments}],
            {"results": {video: [{"sentence": "it spins", "timestamp": [0.6, 4.2]}]}},
            [
                {
                    **log,
                    "task": "captioning",
                    "answer": 'it spins, from 00 to 20. [{"event": "a", "timestamps": "0"}]',
                }
            ],
        ],
        "nextqa": [
            [{"id": f"{video}_0", "choice": 1}],
            {f"{video}_0": {"answer": 1, "prediction": "B"}},
        ],
        "nextgqa": [{f"{video}_0": [10.4, 14.1]}, [{"id": f"{video}_0", "choice": 1, "moments": moments}]],
    }[benchmark]


# --- checks ---


def _check_store(body: bytes, folder: Path) -> None:
    name, _, text = body.partition(b"\n")
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "store", copy)
    (copy / name.decode()).write_bytes(text)
    store = FeatureStore.open(copy)
    for key in store:
        assert math.isfinite(store[key].duration_s)


def _check_settings(body: bytes, folder: Path) -> None:
    (folder / "p.json").write_bytes(body)
    found = Preprocessor.from_file(folder / "p.json")
    assert found.normalise(torch.zeros(1, 3, 2, 2, dtype=torch.uint8)).isfinite().all()
    assert found.image_size**2 <= 2**26


def _check_familiarity(body: bytes, folder: Path) -> None:
    found = Familiarity.from_bytes(body, "familiarity.safetensors")
    for known in found.trainings:
        wide = len(known.temporal.mean)
        if known.spatial is None or len(known.spatial.mean) == wide:
            assert 0 <= found(VisualTokens(torch.ones(2, wide), torch.ones(1, wide), 1.0)) <= 1


def _check_transcript(body: bytes, folder: Path) -> None:
    ending, _, text = body.partition(b"\n")
    file = folder / f"a.{ending.decode()}"
    file.write_bytes(text)
    for start, end, _words in transcripts.read(str(file)):
        assert math.isfinite(start)
        assert math.isfinite(end)


def _check_import(body: bytes, folder: Path) -> None:
    format, _, text = body.partition(b"\n")
    file = folder / f"in.{format.decode()}"
    file.write_bytes(text)
    import_data(format.decode(), file, folder / "out.jsonl", fps=10 if format == b"label-studio" else None)
    assert len(read("jsonl", folder / "out.jsonl"))


def _check_predictions(body: bytes, folder: Path) -> None:
    benchmark, _, text = body.partition(b"\n")
    file = folder / "predictions.json"
    file.write_bytes(text)
    found = score(benchmark.decode(), file, folder / "world" / TRUTH[benchmark.decode()])
    assert json.dumps(found, allow_nan=False)


def _check_lock(body: bytes, folder: Path) -> None:
    place = folder / "locked"
    place.mkdir(exist_ok=True)
    (place / LOCK).write_bytes(body)
    with held(place):
        pass


Make = Callable[[State, random.Random], bytes]
Check = Callable[[bytes, Path], None]
KINDS: dict[str, tuple[Make, Check]] = {
    "store": (_store, _check_store),
    "settings": (lambda _, rng: _json(rng.choice(SETTINGS), rng), _check_settings),
    "familiarity": (lambda state, rng: mutations.damaged(state.familiarity, rng), _check_familiarity),
    "transcript": (_transcript, _check_transcript),
    "import": (_import, _check_import),
    "predictions": (_predictions, _check_predictions),
    "lock": (
        lambda _, rng: _json({"process": "elsewhere:77", "began": 1.0, "birth": "a:1"}, rng),
        _check_lock,
    ),
}
