"""``train --dry-run``: what would train, how long sequences get, memory and steps; no weights are needed."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from .. import pretrained
from ..annotations.samples import Sample
from ..checkpoints import folder as checkpoint
from ..config import VideoExpertConfig
from ..errors import CheckpointError, DataError, InputError
from ..language.prompter import Prompter
from ..language.vocabulary import add_loc_token
from ..model import VideoExpertModel
from ..recipes import Recipe, SourceRecipe
from ..types import VisualTokens
from ..vision.towers import tower_config
from .mixture import TrainingSource, example, plan, read_samples, token_key, unusable
from .run import make_schedule
from .trainer import set_trained

GROUPS = {
    "experts (LoRA)": (".lora_A", ".lora_B"),
    "<LOC> rows": (".loc_row",),
    "adapter": ("adapter.",),
    "temporal head": ("head.",),
}
MEASURED = 200  # samples of a source that are tokenised
# Bytes that a block of a transformer keeps of each token and unit of width for the backward pass in half precision,
# attention scores left out as fused attention does (Korthikanti et al., 2022, Section 4.1)
BLOCK_BYTES = 34
# Floating-point operations a second that a GPU of 24 GB is taken to sustain, by precision: a seventh of the 71 TFLOP/s
# that an RTX 3090 has in bfloat16, as small models keep a GPU less busy. An assumption, not a measurement.
SUSTAINED = {"bf16": 10e12, "float32": 4e12}


@dataclass
class DryRun:
    """Everything found; ``missing`` names what a run needs and is not here, ``notes`` what could not be checked."""

    groups: dict[str, tuple[int, int]] = field(default_factory=dict)  # name -> tensors, parameters
    frozen: int = 0
    visual_tokens: tuple[int, int] | None = None  # N, M
    prefix_tokens: int | None = None
    text_tokens: dict[str, tuple[float, int]] = field(default_factory=dict)  # source -> mean, most
    samples: dict[str, int] = field(default_factory=dict)
    per_video: dict[str, float] = field(default_factory=dict)  # samples a video of each training source
    steps: int | None = None
    accumulation: int | None = None
    memory: dict[str, float] = field(default_factory=dict)  # GiB a process
    operations: float | None = None  # floating-point operations of the whole run in each process
    sustained: float = SUSTAINED["bf16"]
    missing: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def trained(self) -> int:
        return sum(count for _, count in self.groups.values())

    def lines(self) -> list[str]:
        """As printed."""
        found = []
        for name, (tensors, count) in self.groups.items():
            found.append(f"trains   {name}: {count:,} parameters in {tensors} tensors")
        if self.groups:
            found.append(f"trains   {self.trained:,} parameters in all; {self.frozen:,} stay frozen")
        if self.visual_tokens:
            n, m = self.visual_tokens
            before = "" if self.prefix_tokens is None else f"{self.prefix_tokens} before the video, "
            found.append(f"tokens   {before}{n} temporal and {m} spatial a video")
        for name, (mean, most) in self.text_tokens.items():
            found.append(f"tokens   {mean:.0f} of text a sample in {name}, at most {most}")
        for name, count in self.samples.items():
            found.append(f"data     {name}: {count:,} samples")
        if self.steps is not None:
            found.append(f"steps    {self.steps:,}, each of {self.accumulation} micro-batches a process")
        if self.memory:
            parts = ", ".join(f"{name} {gib:.2f}" for name, gib in self.memory.items())
            found.append(f"memory   about {sum(self.memory.values()):.2f} GiB a process: {parts}")
        if self.operations is not None:
            rate = f"{self.sustained / 1e12:.0f} TFLOP/s, which a GPU of 24 GB is taken to sustain"
            found.append(f"time     about {_spoken(self.operations / self.sustained)} at {rate}")
        return [*found, *self._remarks()]

    def _remarks(self) -> list[str]:
        found = []
        if self.memory or self.operations is not None:
            found.append("note     memory and time are estimates by formula, not measured")
        found += [f"note     {note}" for note in self.notes]
        if self.missing:
            found += [f"missing  {what}" for what in self.missing]
            found.append("note     docs/sources.md says where data and base models come from")
        return found


def dry_run(recipe: Recipe, world: int = 1) -> DryRun:
    """Build the model without weights, read the annotations, draw the plan. Features are only looked for."""
    found = DryRun()
    opened = _config(recipe, found)
    config, tokenizer = opened if opened else (None, None)
    model = None
    if config is not None:
        with torch.device("meta"):
            model = VideoExpertModel(config)
        found.visual_tokens = (config.num_frames, config.num_spatial_tokens)
        _count(model, recipe, found)
    prompter = Prompter(config, tokenizer) if config is not None and tokenizer is not None else None
    if prompter is not None:
        found.prefix_tokens = len(prompter.prefix_ids)
    sources = [s for r in recipe.data if (s := _source(r, config, prompter, found))]
    for source in sources:
        videos = len({token_key(sample) for sample in source.samples})
        found.per_video[source.name] = len(source.samples) / videos
    for validation in recipe.validation:
        _source(validation, config, prompter, found)
    found.missing += [
        f"the features {folder}: make them with `videoexpert encode`, or copy public ones there (docs/features.md)"
        for folder in dict.fromkeys(source.features for source in (*recipe.data, *recipe.validation))
        if not Path(folder).is_dir()
    ]
    found.missing = list(dict.fromkeys(found.missing))  # training and validation name the same files
    _steps(recipe, sources, world, found)
    if model is not None:
        found.memory = _memory(recipe, model, found)
        found.operations = _operations(recipe, model, found)
        found.sustained = SUSTAINED[recipe.training.precision]
    return found


def _config(recipe: Recipe, found: DryRun) -> tuple[VideoExpertConfig, Any] | None:
    """The config of the model, and its tokenizer where there is one."""
    made = recipe.model
    if made.start is not None:
        if not Path(made.start).is_dir():
            found.missing.append(f"the model folder {made.start}")
            return None
        return checkpoint.read_config(Path(made.start)), _tokenizer(made.start, found)
    bases = []
    for name in (str(made.vision), str(made.language)):
        try:
            bases.append(pretrained.config_of(name))
        except CheckpointError as error:
            found.missing.append(f"the base model {str(error).rstrip('.')}")
    if len(bases) < 2:
        return None
    vision, language = bases[0].to_dict(), bases[1]
    tokenizer = _tokenizer(str(made.language), found)
    fields: dict[str, Any] = {
        "vision_config": _tower(vision),
        "language_config": language.to_dict(),
        **made.config,
    }
    config = VideoExpertConfig.from_preset(made.preset or "paper", **fields)
    # without a tokenizer the first id after the vocabulary is used instead
    config.loc_token_id = add_loc_token(tokenizer, config.loc_text) if tokenizer else int(language.vocab_size)
    return config, tokenizer


def _tower(vision: dict[str, Any]) -> dict[str, Any]:
    """The vision tower's own config out of that of a two-tower model."""
    try:
        return tower_config(vision).to_dict()
    except InputError as error:
        raise CheckpointError(f"the recipe's vision model cannot be used: {error}") from error


def _tokenizer(path: str, found: DryRun) -> Any:
    try:
        return pretrained.tokenizer_of(path)
    except CheckpointError as error:
        found.notes.append(f"{str(error).rstrip('.')}; so text is not counted")
        return None


def _count(model: VideoExpertModel, recipe: Recipe, found: DryRun) -> None:
    names = set(set_trained(model, recipe.model.train))
    for name, parameter in model.named_parameters():
        if name not in names:
            found.frozen += parameter.numel()
            continue
        group = next((g for g, marks in GROUPS.items() if _marked(name, marks)), "vocabulary")
        tensors, count = found.groups.get(group, (0, 0))
        found.groups[group] = (tensors + 1, count + parameter.numel())


def _marked(name: str, marks: tuple[str, ...]) -> bool:
    return any(name.endswith(mark) if mark.startswith(".") else name.startswith(mark) for mark in marks)


def _source(
    recipe: SourceRecipe, config: Any, prompter: Prompter | None, found: DryRun
) -> TrainingSource | None:
    name = f"{recipe.benchmark} ({recipe.annotations})"
    try:
        samples = read_samples(recipe)
    except DataError as error:
        found.missing.append(str(error).rstrip("."))
        return None
    if config is not None:
        samples = [sample for sample in samples if unusable(sample, config) is None]
    found.samples[name] = len(samples)
    if prompter is not None and samples:
        lengths = [_text_tokens(prompter, sample) for sample in samples[:: max(1, len(samples) // MEASURED)]]
        found.text_tokens[name] = (sum(lengths) / len(lengths), max(lengths))
    return TrainingSource(name, tuple(samples), {}, recipe.weight) if samples else None


def _text_tokens(prompter: Prompter, sample: Sample) -> int:
    end = max((end for _, end in sample.windows), default=1.0)
    nothing = torch.zeros(1, 1)
    shown = VisualTokens(nothing, nothing, sample.duration_s or max(end, 1.0))
    return len(example(prompter, sample, shown).segment.ids)


def _steps(recipe: Recipe, sources: list[TrainingSource], world: int, found: DryRun) -> None:
    total = sum(len(source.samples) for source in sources)
    complete = len(sources) == len(recipe.data)
    if recipe.training.steps is None and not complete:
        found.notes.append("epochs need all annotations, so the number of steps is not known")
        return
    schedule = make_schedule(recipe, total, world)
    found.steps, found.accumulation = schedule.steps, schedule.accumulation
    if complete and sources:  # the plan of one step shows that the mixture can be drawn
        per_video = recipe.training.questions_per_video
        plan(sources, micro_batch=recipe.training.micro_batch, count=1, questions_per_video=per_video, seed=0)


def _positions(recipe: Recipe, found: DryRun) -> tuple[float, float]:
    """Positions of a micro-batch, and those of the text of one sample."""
    training = recipe.training
    answers = max((mean for mean, _ in found.text_tokens.values()), default=100.0)
    visual = sum(found.visual_tokens or (0, 0)) + (found.prefix_tokens or 0)
    # packed, the questions of a video that are drawn together share its prefix
    most = float(training.questions_per_video if training.packed else 1)
    together = [min(most, count) for count in found.per_video.values()] or [most]
    rows = training.micro_batch * sum(1 / count for count in together) / len(together)
    return max(rows, 1) * visual + training.micro_batch * answers, answers


def _operations(recipe: Recipe, model: VideoExpertModel, found: DryRun) -> float | None:
    """Of all steps: two a weight and position forward, two for the gradient of activations, and again to recompute.

    Frozen weights have no gradients of their own; attention scores, a few percent here, are left out.
    """
    if found.steps is None or found.accumulation is None:
        return None
    positions, answers = _positions(recipe, found)
    language = model.language.base_model
    inner = sum(p.numel() for p in language.parameters()) - language.get_input_embeddings().weight.numel()
    text = model.language.config.get_text_config()
    head = text.hidden_size * text.vocab_size * recipe.training.micro_batch * answers
    passes = 6 if recipe.training.gradient_checkpointing else 4
    return float(passes * (inner * positions + head) * found.steps * found.accumulation)


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds < 5400 else f"{seconds / 3600:.1f} hours"


def _memory(recipe: Recipe, model: VideoExpertModel, found: DryRun) -> dict[str, float]:
    """GiB: frozen weights; trained weights, gradients and AdamW's two moments in float32; kept activations."""
    training, text = recipe.training, model.language.config.get_text_config()
    each = 2 if training.precision == "bf16" else 4
    width, layers, vocabulary = text.hidden_size, text.num_hidden_layers, text.vocab_size
    positions, answers = _positions(recipe, found)
    block = BLOCK_BYTES * width * positions * each / 2
    kept = layers * width * positions * each + block if training.gradient_checkpointing else layers * block
    logits = 3 * training.micro_batch * answers * vocabulary * 4  # logits, their log-softmax, their gradient
    parts = {
        "frozen weights": found.frozen * each,
        "trained weights and optimiser": found.trained * 16,
        "activations": kept + logits,
    }
    return {name: amount / 2**30 for name, amount in parts.items()}


__all__ = ["DryRun", "dry_run"]
