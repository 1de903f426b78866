"""From a recipe to a trained model folder, in one process or many; a killed run resumes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback, set_seed

from .. import files
from ..checkpoints import folder as checkpoint
from ..errors import InputError
from ..escapes import quantity
from ..features.lighthouse import open_features
from ..language.prompter import Prompter
from ..language.words import Words
from ..locks import LOCK, held
from ..model import VideoExpertModel
from ..recipes import RECIPE, Recipe, SourceRecipe, claim
from ..runtime import rank_of_process
from ..vision.familiarity import Familiarity
from . import familiarity
from .mixture import (
    MicroBatches,
    Pick,
    TokenSource,
    TrainingSource,
    open_source,
    plan,
    read_samples,
    token_key,
)
from .progress import Telling
from .sharded import make_shardable
from .trainer import (
    VideoExpertTrainer,
    arguments,
    callbacks,
    checkpoint_steps,
    clean,
    enable_gradient_checkpointing,
    set_trained,
)

MODEL, LOG = "model", "log.json"
DATA = "data"  # what `finetune` prepares in the run's folder
Stores = Mapping[str, TokenSource]  # by the name that a source gives under ``features``


@dataclass(frozen=True)
class Schedule:
    """How a run divides: ``steps`` updates of ``accumulation`` micro-batches in each of ``world`` processes."""

    steps: int
    accumulation: int
    world: int

    @property
    def micro_batches(self) -> int:
        return self.steps * self.accumulation * self.world


def train(
    recipe: Recipe, out: Path, *, stores: Stores | None = None, log: Callable[[str], None] = print
) -> Path:
    """Train (or resume) in ``out``; the finished model folder is ``out/model``.

    ``stores`` replace feature stores on disk. Raises InputError for an ``out`` that another recipe began,
    or in which another process trains,
    DataError for data that cannot be trained on, CheckpointError for base models that cannot be loaded.
    """
    if rank_of_process()[0] != 0:
        return train_held(recipe, out, stores, _silent)
    files.make_folder(out)
    with held(out):
        begin(recipe, out)
        return train_held(recipe, out, stores, log)


def train_held(
    recipe: Recipe, out: Path, stores: Stores | None = None, log: Callable[[str], None] = print
) -> Path:
    """As ``train``, in an ``out`` that the caller has begun and holds the lock of."""
    if (out / MODEL).is_dir() and (out / LOG).exists():
        log(f"{out} is finished")
        return out / MODEL
    trainer = make_trainer(recipe, out, stores=stores, log=log)
    steps = checkpoint_steps(out)
    if steps:
        log(f"goes on after step {steps[-1]}")
    trainer.train(resume_from_checkpoint=str(out / f"checkpoint-{steps[-1]}") if steps else None)
    return finish(trainer, out, log)


def make_trainer(
    recipe: Recipe, out: Path, *, stores: Stores | None = None, log: Callable[[str], None] = print
) -> VideoExpertTrainer:
    """All that a run needs, before its first step; raises as ``train`` does."""
    world = rank_of_process()[1]
    set_seed(recipe.seed)  # the new parts start the same in every process and every run
    model, tokenizer = open_model(recipe)
    names = set_trained(model, recipe.model.train)
    make_shardable(model)
    if recipe.training.gradient_checkpointing:
        enable_gradient_checkpointing(model)
    prompter = Prompter(model.config, tokenizer)
    sources = open_sources(recipe.data, model, stores)
    for source in sources:
        log(described(source))
    schedule = make_schedule(recipe, sum(len(source.samples) for source in sources), world)
    batches = batches_of(recipe, sources, schedule.micro_batches, prompter)
    valid = validation_of(recipe, model, prompter, stores)
    count = sum(p.numel() for p in model.parameters() if p.requires_grad)
    log(
        f"{count:,} parameters in {quantity(len(names), 'tensor')} train for {quantity(schedule.steps, 'step')}"
    )
    trainer = VideoExpertTrainer(
        model,
        tokenizer,
        batches,
        valid,
        args=arguments(recipe, out, schedule.steps, schedule.accumulation),
        callbacks=[
            *callbacks(recipe.training),
            *([_ValidateLast()] if valid else []),
            Telling(log, recipe.training.metric),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def begin(recipe: Recipe, out: Path) -> None:
    """Take ``out`` for this recipe: clean up after a killed process, refuse another recipe's run."""
    files.make_folder(out)
    with files.writing(out):  # before hours of work: TensorBoard, for one, writes to names in UTF-8 alone
        str(out).encode()
    clean(out)
    if not (out / RECIPE).exists() and any(entry.name not in (DATA, LOCK) for entry in out.iterdir()):
        raise InputError(f"{out} holds other files, expected a new folder or a run to go on with.")
    claim(recipe, out)


def open_model(recipe: Recipe) -> tuple[VideoExpertModel, Any]:
    """The model a recipe starts from, with its tokenizer; bases in the recipe's precision."""
    made = recipe.model
    dtype = torch.bfloat16 if recipe.training.precision == "bf16" else torch.float32
    if made.start is None:
        assert made.vision is not None
        assert made.language is not None
        return checkpoint.assemble(
            made.vision, made.language, preset=made.preset or "paper", dtype=dtype, **made.config
        )
    model, tokenizer = checkpoint.load(made.start, dtype=dtype)
    config, start = model.config, Path(made.start)
    if config.weights == "adapter" and start.is_dir():  # names seen from the folder we start from
        config.vision_name = checkpoint._base_path(start, config.vision_name, "vision_name")
        config.language_name = checkpoint._base_path(start, config.language_name, "language_name")
    elif config.weights == "full":
        config.vision_name = config.language_name = None  # its bases may have been trained as well
    return model, tokenizer


def open_sources(
    recipes: Sequence[SourceRecipe], model: VideoExpertModel, stores: Stores | None
) -> list[TrainingSource]:
    """Every source with its tokens; stores are opened once and must fit the model."""
    opened: dict[tuple[str, float], TokenSource] = {}
    found = []
    for recipe in recipes:
        key = (recipe.features, recipe.clip_seconds)
        if recipe.features in (stores or {}):
            opened[key] = (stores or {})[recipe.features]
        elif key not in opened:
            opened[key] = open_features(recipe.features, model.config, recipe.clip_seconds)
        found.append(open_source(recipe, read_samples(recipe), opened[key], model.config))
    return found


def make_schedule(recipe: Recipe, samples: int, world: int) -> Schedule:
    """Raises InputError where the batch does not divide among the processes."""
    training = recipe.training
    together = training.micro_batch * world
    if training.batch_size % together:
        raise InputError(
            f"a batch of {training.batch_size} does not divide into micro-batches of {training.micro_batch} on "
            f"{world} processes; change training.micro_batch or training.batch_size."
        )
    steps = training.steps or math.ceil((training.epochs or 1) * samples / training.batch_size)
    return Schedule(steps, training.batch_size // together, world)


def batches_of(
    recipe: Recipe, sources: Sequence[TrainingSource], count: int, prompter: Prompter
) -> MicroBatches:
    """The training data of a run."""
    training = recipe.training
    planned = plan(
        sources,
        micro_batch=training.micro_batch,
        count=count,
        questions_per_video=training.questions_per_video,
        seed=recipe.seed,
    )
    return MicroBatches(sources, planned, prompter, packed=training.packed, seed=recipe.seed)


def validation_of(
    recipe: Recipe, model: VideoExpertModel, prompter: Prompter, stores: Stores | None
) -> MicroBatches | None:
    """Every validation sample once, in the first wording; the last micro-batch may hold fewer."""
    if not recipe.validation:
        return None
    sources = open_sources(recipe.validation, model, stores)
    picks = [(i, place) for i, source in enumerate(sources) for place in range(len(source.samples))]
    size = recipe.training.micro_batch
    planned = [[Pick(*p) for p in picks[i : i + size]] for i in range(0, len(picks), size)]
    return MicroBatches(sources, planned, prompter, packed=recipe.training.packed, seed=0, fixed_wording=True)


def finish(trainer: VideoExpertTrainer, out: Path, log: Callable[[str], None] = print) -> Path:
    """Write ``out/model``, the best or the last, what it has seen, and the log."""
    model, config = trainer.bare, trainer.bare.config
    adapter_only = bool(config.vision_name and config.language_name)
    tensors = trainer.tensors(trainer.trained if adapter_only else None)
    if trainer.args.should_save:
        trainer.rotate(out)  # a kill between writing a checkpoint and removing the one before it left both
        model.familiarity = _familiarity(trainer, log)
        config.taught_words = _taught_words(trainer)
        checkpoint.save(model, trainer.tokenizer, out / MODEL, adapter_only=adapter_only, tensors=tensors)
        files.write_json(out / LOG, trainer.state.log_history)
    trainer.accelerator.wait_for_everyone()
    return out / MODEL


def _familiarity(trainer: VideoExpertTrainer, log: Callable[[str], None]) -> Familiarity | None:
    """What the model knows after this training, from the tokens that it was trained on."""
    model, batches = trainer.bare, trainer.train_dataset
    assert isinstance(batches, MicroBatches)
    tokens = {token_key(s): source.tokens for source in batches.sources for s in source.samples}
    keys = familiarity.sample(sorted(tokens), batches.seed)
    # spread over processes, the tower's weights are not at hand outside a training step
    compare = trainer.accelerator.num_processes == 1 and familiarity.affordable(model.vision)
    return familiarity.learn(
        model.vision,
        model.config,
        [tokens[key][key] for key in keys],
        model.familiarity,
        reference=familiarity.REFERENCE if compare else 0,
        seed=batches.seed,
        log=log,
    )


def _taught_words(trainer: VideoExpertTrainer) -> list[str] | None:
    """Words that the model knows after this training though its tokenizer does not take them whole."""
    batches, before = trainer.train_dataset, trainer.bare.config.taught_words or []
    assert isinstance(batches, MicroBatches)
    samples = (sample for source in batches.sources for sample in source.samples)
    texts = (t for s in samples for t in (s.query, s.answer, *s.choices, *s.captions) if t)
    return [*before, *Words(trainer.tokenizer, before).new(texts)] or None


def described(source: TrainingSource) -> str:
    """One line on what a source gives and what of it was left out."""
    videos = len({(sample.video, sample.clip) for sample in source.samples})
    text = f"{source.name}: {quantity(len(source.samples), 'sample')} of {quantity(videos, 'video')}"
    text += f", weight {source.weight:g}"
    dropped = ", ".join(f"{count} with {reason}" for reason, count in (source.left_out or {}).items())
    return f"{text}; left out: {dropped}" if dropped else text


class _ValidateLast(TrainerCallback):
    """The last step is validated, whatever the interval."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.global_step >= state.max_steps:
            control.should_evaluate = control.should_save = True


def _silent(_: str) -> None:
    """The log of all processes but the first."""


__all__ = [
    "DATA",
    "Schedule",
    "begin",
    "described",
    "finish",
    "make_schedule",
    "make_trainer",
    "open_model",
    "open_sources",
    "train",
    "train_held",
]
