"""Foreign files but videos: annotations, predictions, configs, recipes, weights, prompts. One sentence, or sound use.

The kind of a case is its first line. Kinds take turns by seed, so that one child checks them all.
"""

from __future__ import annotations

import json
import math
import random
import shutil
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from fuzz import mutations
from fuzz.values import HOSTILE, damaged
from videoexpert.annotations.readers import read
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import VideoExpertError
from videoexpert.files import parse_yaml
from videoexpert.language import prompt
from videoexpert.language.prompter import Prompter
from videoexpert.recipes.load import from_mapping
from videoexpert.scoring.score import score
from videoexpert.synthetic.write import WorldRecipe, annotation_files
from videoexpert.testing import LOC, tiny_config, tiny_model, tiny_tokenizer

name = "foreign"
KINDS = ("annotations", "predictions", "config", "recipe", "weights", "prompt", "tokenizer")
READ = {  # benchmark: its file in the world
    "charades-sta": "charades-sta/charades_sta_test.txt",
    "qvhighlights": "qvhighlights/highlight_val_release.jsonl",
    "jsonl": "moments.jsonl",
}
RECIPE = {
    "kind": "train",
    "model": {"vision": "clip", "language": "llama", "config": {"num_frames": 8}},
    "data": [{"benchmark": "jsonl", "annotations": "a.jsonl", "features": "store", "weight": 1.0}],
    "training": {"steps": 10, "batch_size": 8, "micro_batch": 4, "save_every": 10},
}
WORDS = (
    "<LOC>",
    "</s>",
    "<s>",
    "<pad>",
    "<unk>",
    "<",
    ">",
    "a man",
    "\ue001",
    "\ue000Q0\ue000",
    "{query}",
    "%s",
    "\\1",
)


@dataclass(frozen=True)
class State:
    """What cases start from: texts of files, and a model folder in the child's folder."""

    texts: dict[str, str]
    config: dict[str, Any]
    weights: bytes
    tokenizer: str


def prepare(folder: Path) -> State:
    recipe = WorldRecipe(videos=3, seed=5, test_share=1.0)
    texts = dict(annotation_files(recipe, [recipe.script(i) for i in range(3)]))
    texts["moments.jsonl"] = (
        json.dumps({"id": "a", "video": "v", "query": "he runs", "moments": [[1.0, 2.0]]}) + "\n"
    )
    for part, text in texts.items():
        (folder / "world" / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / "world" / part).write_text(text, newline="")
    model = checkpoint.save(tiny_model(), tiny_tokenizer(), folder / "model")
    return State(
        texts,
        json.loads((model / "config.json").read_text()),
        (model / "model.safetensors").read_bytes(),
        (model / "tokenizer.json").read_text(),
    )


def case(state: State, seed: int) -> bytes:
    kind, rng = KINDS[seed % len(KINDS)], random.Random(seed)
    return kind.encode() + b"\n" + _MAKE[kind](state, rng)


def check(data: bytes, folder: Path) -> None:
    kind, _, body = data.partition(b"\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _CHECK[kind.decode()](body, folder)
    except VideoExpertError as error:
        is_sentence(str(error))


def is_sentence(said: str) -> None:
    """Fails for a message that does not end, or goes on without end."""
    assert said.endswith((".", "?", ")", "others")) or "\n" in said, f"no sentence: {said!r}"
    assert len(said) < 5000 or " faults (" in said, f"{len(said)} characters: {said[:100]!r}"


# --- cases ---


def as_text(value: Any) -> bytes:
    """JSON, with what UTF-8 cannot hold."""
    return json.dumps(value).encode("utf-8", "surrogatepass")


def _lines(text: str, rng: random.Random) -> bytes:
    """One line of JSON lines damaged where it keeps its structure, or bytes anywhere."""
    lines = text.splitlines()
    if rng.random() < 0.3 or not lines[0].startswith("{"):
        return mutations.damaged(text.encode(), rng)
    made = [line.encode() for line in lines]
    for place in rng.sample(range(len(lines)), min(len(lines), rng.choice((1, 1, 3)))):
        made[place] = as_text(damaged(json.loads(lines[place]), rng))
    return b"\n".join(made) + b"\n"


def _annotations(state: State, rng: random.Random) -> bytes:
    benchmark = rng.choice(sorted(READ))
    return benchmark.encode() + b"\n" + _lines(state.texts[READ[benchmark]], rng)


def _predictions(state: State, rng: random.Random) -> bytes:
    rows = []
    for line in state.texts[READ["qvhighlights"]].splitlines():
        row = json.loads(line)
        rows.append(
            {
                "qid": row["qid"],
                "query": row["query"],
                "vid": row["vid"],
                "pred_relevant_windows": [[0, 2, 0.9]],
            }
        )
    return _lines("\n".join(map(json.dumps, rows)), rng)


def _config(state: State, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return mutations.damaged(as_text(state.config), rng)
    return as_text(damaged(state.config, rng))


def _recipe(state: State, rng: random.Random) -> bytes:
    changed = damaged(RECIPE, rng)
    if rng.random() < 0.3:
        return mutations.damaged(yaml.safe_dump(RECIPE).encode(), rng)
    return as_text(changed)


def _weights(state: State, rng: random.Random) -> bytes:
    (size,) = struct.unpack("<Q", state.weights[:8])
    header = json.loads(state.weights[8 : 8 + size])
    if rng.random() < 0.5:
        return mutations.damaged(state.weights, rng)
    key = rng.choice(sorted(set(header) - {"__metadata__"}))
    part = {key: header[key]}
    changed = damaged(part, rng)
    if isinstance(changed, dict):
        header.pop(key)
        header |= changed
    text = as_text(header)
    told = rng.choice((len(text), len(text), len(text), 0, 2**63, len(text) * 2))
    return struct.pack("<Q", told) + text + state.weights[8 + size :]


def _prompt(state: State, rng: random.Random) -> bytes:
    strings = [value for value in HOSTILE if isinstance(value, str)]
    parts = [
        rng.choice((*WORDS, *strings, chr(rng.randrange(1, 0x3000)))) for _ in range(rng.randrange(1, 6))
    ]
    return rng.choice(("", " ")).join(parts).encode("utf-8", "surrogatepass")


def _tokenizer(state: State, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return mutations.damaged(state.tokenizer.encode(), rng)
    return as_text(damaged(json.loads(state.tokenizer), rng))


# --- checks ---


def _check_annotations(body: bytes, folder: Path) -> None:
    benchmark, _, text = body.partition(b"\n")
    file = folder / Path(READ[benchmark.decode()]).name
    file.write_bytes(text)
    for sample in read(benchmark.decode(), file):
        for start, end in sample.windows:
            assert math.isfinite(start), sample
            assert 0 <= start <= end < math.inf, sample
        assert sample.video.encode(), sample


def _check_predictions(body: bytes, folder: Path) -> None:
    file = folder / "predictions.jsonl"
    file.write_bytes(body)
    found = score("qvhighlights", file, folder / "world" / READ["qvhighlights"])
    for key, value in found["metrics"].items():
        assert value is None or 0 <= value <= 100, (key, value)
    assert json.dumps(found, allow_nan=False)


def _load(folder: Path, file: str, body: bytes) -> Any:
    copy = folder / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(folder / "model", copy)
    (copy / file).write_bytes(body)
    return checkpoint.load(copy)


def _check_config(body: bytes, folder: Path) -> None:
    model, _ = _load(folder, "config.json", body)
    assert model.config.num_frames >= 1
    assert 0 <= model.config.nms_iou <= 1


def _check_recipe(body: bytes, folder: Path) -> None:
    raw = parse_yaml(body.decode("utf-8", "replace"), "recipe.yaml")
    if isinstance(raw, dict):
        found = from_mapping(raw, "recipe.yaml")
        assert 0 < found.training.learning_rate < math.inf


def _check_weights(body: bytes, folder: Path) -> None:
    model, _ = _load(folder, "model.safetensors", body)
    assert all(tensor.dtype == torch.float32 for tensor in model.parameters())


def _check_prompt(body: bytes, folder: Path) -> None:
    text = body.decode("utf-8", "surrogatepass")
    from videoexpert.backends.base import check_queries, check_question

    check_queries([text])
    check_question(text, [text, "b"])
    prompter = Prompter(tiny_config(), tiny_tokenizer())
    grounded = prompter.grounding(text)
    assert list(grounded.ids).count(LOC) == len(grounded.loc_positions) == 1
    for form in ("letter", "text"):
        config = tiny_config(choice_format=form)
        asked = prompt.question_with_choices(text, [text, "b"], config, grounded=True)
        made = prompter.segment(asked, prompt.choice_answer(0, True, config, [text, "b"]))
        assert len(made.loc_positions) == list(made.ids).count(LOC) == 1
        assert list(made.ids).count(2) == 1
        assert not {0, 1} & set(made.ids)


def _check_tokenizer(body: bytes, folder: Path) -> None:
    _, tokenizer = _load(folder, "tokenizer.json", body)
    Prompter(tiny_config(), tokenizer).grounding("a man runs")


_MAKE = {
    "annotations": _annotations,
    "predictions": _predictions,
    "config": _config,
    "recipe": _recipe,
    "weights": _weights,
    "prompt": _prompt,
    "tokenizer": _tokenizer,
}
_CHECK = {
    "annotations": _check_annotations,
    "predictions": _check_predictions,
    "config": _check_config,
    "recipe": _check_recipe,
    "weights": _check_weights,
    "prompt": _check_prompt,
    "tokenizer": _check_tokenizer,
}
