"""``finetune``: own clips and one JSON lines file to a model folder, with defaults that suit a few hundred of them.

OUT/data/    features of the videos, and the lines that train and that are held out
OUT/model/   the finished model; anything else in OUT is the run's (trainer.py)
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import assets, files, locks, session
from ..annotations.samples import Sample
from ..annotations.schema import read_samples, write_samples
from ..checkpoints import folder as checkpoint
from ..errors import DataError
from ..escapes import quantity
from ..features.clips import clips_of
from ..features.encode import Summary, TokenEncoder, encode_to_store
from ..features.store import FeatureStore
from ..recipes import Recipe, from_mapping
from ..runtime import pick_device
from ..types import FAMILIAR
from ..vision.familiarity import Familiarity
from .run import DATA, begin, train_held

HELD_SHARE = 0.1  # of the videos; they decide which checkpoint is kept
MIN_HELD = 3  # fewer videos than this say nothing: all of them train
EPOCHS = 40.0
BATCH = 16
CHECKS = 10  # validations in a run
PATIENCE = 4
MOST_LEARNING_RATE = 5e-4  # at 1e-3 small models learn new words no better and forget more of the old


def finetune(
    annotations: Path,
    videos: Path,
    model: str | Path | None,
    out: Path,
    *,
    overrides: Sequence[str] = (),
    seed: int = 0,
    log: Callable[[str], None] = print,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Check, split, encode, train; returns ``out/model``. Started again after a kill, it resumes.

    ``model`` None is the shipped one; ``overrides`` are those of ``train``; ``progress`` is called with the number of
    videos encoded and that of all. Raises DataError for faults of the file, or where no video of it can be read;
    InputError for an ``out`` that another run began.
    """
    samples = read_samples(annotations)
    if model is None:
        session.shipped_config()
    start = assets.SHIPPED_MODEL if model is None else model
    loaded, _ = checkpoint.load(start, device=pick_device("auto"))
    training, held = split(samples, seed)
    width = loaded.language.get_input_embeddings().weight.shape[1]
    recipe = make_recipe(start, out, len(training), held, width, seed, overrides)
    files.make_folder(out)
    with locks.held(out):
        begin(recipe, out)
        clips = clips_of(videos, annotations, "jsonl")
        summary = _encode(clips, TokenEncoder.of(loaded), out / DATA / "features", progress)
        for reason in summary.failed.values():
            log(f"left out: {reason}")
        if not summary.encoded + summary.kept:
            raise DataError(f"none of the {len(clips)} videos can be read; check --videos.")
        _warn_of_unlike(loaded.familiarity, FeatureStore.open(out / DATA / "features"), log)
        del loaded
        write_samples(training, out / DATA / "train.jsonl")
        if held:
            write_samples(held, out / DATA / "valid.jsonl")
        log(
            f"{quantity(len(training), 'sample')} to train on; "
            f"{len(held)} of other videos decide which checkpoint is kept"
        )
        return train_held(recipe, out, log=log)


def _encode(
    clips: Any, encoder: TokenEncoder, store: Path, progress: Callable[[int, int], None] | None
) -> Summary:
    done, total = 0, len(clips)

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(min(done, total), total)

    summary = encode_to_store(clips, encoder, store, progress=advance)
    if progress is not None:
        progress(total, total)  # what was there before needs no encoding
    return summary


def _warn_of_unlike(known: Familiarity | None, store: FeatureStore, log: Callable[[str], None]) -> None:
    """Fine-tuning teaches words and times; it leaves the vision tower as it is."""
    if known is None:
        return
    unlike = sum(known(store[key]) < FAMILIAR for key in store)
    if unlike:
        log(
            f"{unlike} of {quantity(len(store), 'video')} {'is' if unlike == 1 else 'are'} unlike "
            "those that this model was trained on: it may not see what is "
            "in them, and fine-tuning does not teach it to; start from a model whose vision tower knows such videos"
        )


def split(samples: Sequence[Sample], seed: int) -> tuple[list[Sample], list[Sample]]:
    """(training, held out); no video is in both. Nothing is held out of a few videos."""
    videos = sorted({sample.video for sample in samples})
    count = round(HELD_SHARE * len(videos))
    if count < MIN_HELD:
        return list(samples), []
    held = set(random.Random(seed).sample(videos, count))
    return [s for s in samples if s.video not in held], [s for s in samples if s.video in held]


def make_recipe(
    start: str | Path,
    out: Path,
    samples: int,
    held: Sequence[Sample],
    width: int,
    seed: int = 0,
    overrides: Sequence[str] = (),
) -> Recipe:
    """Forty times over the data in batches of 16, validated ten times.

    The learning rate is the paper's at D = 4096 and grows as the model narrows. The checkpoint of the best moments
    is kept: the losses of a few held-out samples rise with certainty long before the moments get worse.
    """
    batch = min(BATCH, samples)
    steps = max(1, round(EPOCHS * samples / batch))
    every = max(1, steps // CHECKS)
    source = {
        "benchmark": "jsonl",
        "annotations": str(out / DATA / "train.jsonl"),
        "features": str(out / DATA / "features"),
    }
    raw: dict[str, Any] = {
        "kind": "train",
        "seed": seed,
        "model": {"start": str(start)},
        "data": [source],
        "validation": [{**source, "annotations": str(out / DATA / "valid.jsonl")}] if held else [],
        "training": {
            "steps": steps,
            "batch_size": batch,
            "micro_batch": batch,
            "learning_rate": min(MOST_LEARNING_RATE, 1e-4 * 4096 / width),
            "precision": "bf16" if torch.cuda.is_available() else "float32",
            "log_every": every,
            "save_every": every,
            "keep": 1,
            "metric": "mIoU" if any(sample.windows for sample in held) else "loss",
            "patience": PATIENCE if held else None,
        },
    }
    recipe: Recipe = from_mapping(raw, "finetune", overrides)
    return recipe


__all__ = ["finetune", "make_recipe", "split"]
