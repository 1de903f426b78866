"""The recipe of a training run on annotated videos; everything that is wrong with one is said at once."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from ..annotations.readers import BENCHMARKS
from ..config import PRESETS, VideoExpertConfig
from ..errors import InputError
from .fields import Seed

# Fields of VideoExpertConfig that the base models or the tokenizer decide.
DERIVED = (
    "vision_config",
    "language_config",
    "vision_name",
    "language_name",
    "loc_token_id",
    "weights",
    "preset",
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class ModelRecipe(_Part):
    """Where the model comes from: ``start``, a folder of ours, or a new one on ``vision`` and ``language``."""

    start: str | None = None
    vision: str | None = None  # folder or hub id
    language: str | None = None
    preset: str | None = None  # of a new model; None: paper
    config: dict[str, Any] = Field(default_factory=dict)  # fields of VideoExpertConfig, for a new model
    train: Literal["all", "adapter"] = "all"  # "adapter": only the linear map of the visual tokens


class SourceRecipe(_Part):
    """One annotation file with the feature store of its videos."""

    benchmark: str  # a name that `videoexpert data check` knows
    annotations: str
    features: str  # folder written by `videoexpert encode`, or of public features, a file VIDEO.npz each
    clip_seconds: float = Field(2.0, gt=0)  # seconds covered by a row of such a public file
    split: str | None = None
    weight: float = Field(1.0, gt=0)  # its share of the training samples, relative to the other sources
    caption_queries: bool = False  # each dense caption also as a grounding query
    extra: dict[str, str] = Field(default_factory=dict)  # what the reader takes beside the file


class EvaluationRecipe(_Part):
    """One benchmark that `videoexpert ablate` scores a variant on, from a feature store."""

    benchmark: str  # a name that `videoexpert eval` knows
    annotations: str
    features: str
    split: str | None = None


class TrainingRecipe(_Part):
    """Budget and optimiser; the defaults are the paper's where it gives any (Section IV, "Implementation Details")."""

    steps: int | None = Field(None, gt=0)
    epochs: float | None = Field(None, gt=0)  # over all samples together, whatever their weights
    batch_size: int = Field(128, gt=0)  # samples a step, over all processes
    micro_batch: int = Field(8, gt=0)  # samples a process holds at once
    learning_rate: float = Field(1e-4, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    warm_up: float = Field(0.03, ge=0, lt=1)  # share of the steps
    precision: Literal["bf16", "float32"] = "bf16"
    gradient_checkpointing: bool = False
    packed: bool = True  # samples of one video share one visual prefix
    questions_per_video: int = Field(4, gt=0)  # drawn together, whether packed or not
    workers: int = Field(0, ge=0)  # processes that prepare batches
    log_every: int = Field(10, gt=0)
    save_every: int = Field(
        500, gt=0
    )  # steps between checkpoints; each is validated if there is a validation set
    keep: int = Field(2, gt=0)  # checkpoints kept beside the best
    metric: Literal["mIoU", "R1@0.5", "loss"] = "loss"  # of the validation set; what best means
    patience: int | None = Field(None, gt=0)  # validations without a better one before the run stops
    wandb: bool = False


class Recipe(_Part):
    """A training run."""

    kind: Literal["train"]
    seed: Seed = 0
    model: ModelRecipe
    data: list[SourceRecipe] = Field(min_length=1)
    validation: list[SourceRecipe] = Field(default_factory=list)
    evaluation: list[EvaluationRecipe] = Field(default_factory=list)  # read by `ablate` alone
    training: TrainingRecipe


def cross_faults(raw: dict[str, Any]) -> list[str]:
    """Checks that involve several fields; parts of a wrong type are left to the fields' own checks."""
    faults: list[str] = []
    model, training = raw.get("model"), raw.get("training")
    if isinstance(model, dict):
        faults += _model_faults(model)
    if isinstance(training, dict):
        faults += _training_faults(training, bool(raw.get("validation")))
    for part in ("data", "validation", "evaluation"):
        sources = raw.get(part)
        for index, source in enumerate(sources if isinstance(sources, list) else []):
            benchmark = source.get("benchmark") if isinstance(source, dict) else None
            if benchmark is not None and not (isinstance(benchmark, str) and benchmark in BENCHMARKS):
                faults.append(
                    f"{part}.{index}.benchmark is {benchmark!r}, expected one of {', '.join(BENCHMARKS)}"
                )
    return faults


def _model_faults(model: dict[str, Any]) -> list[str]:
    faults = []
    bases = [name for name in ("vision", "language") if model.get(name)]
    if model.get("start") and bases:
        faults.append("model has both start and " + " and ".join(bases) + ", expected one or the other")
    elif not model.get("start") and len(bases) < 2:
        faults.append("model needs start, or both vision and language")
    config, preset = model.get("config") or {}, model.get("preset") or "paper"
    if model.get("start") and (config or model.get("preset")):
        faults.append("model.config and model.preset belong to new models; start brings its own")
    if not isinstance(preset, str) or preset not in PRESETS:
        return [*faults, f"model.preset is {preset!r}, expected one of {', '.join(PRESETS)}"]
    if isinstance(config, dict):
        known = {name for name in VideoExpertConfig.__annotations__ if name not in DERIVED}
        unknown = [name for name in config if name not in known]
        faults += [f"model.config.{name} is not a field that a recipe can set" for name in unknown]
        try:
            VideoExpertConfig.from_preset(preset, **{k: v for k, v in config.items() if k in known})
        except (InputError, TypeError, ValueError) as error:
            faults.append(f"model.config: {error}")
    return faults


def _training_faults(training: dict[str, Any], validated: bool) -> list[str]:
    faults = []
    given = [name for name in ("steps", "epochs") if training.get(name) is not None]
    if len(given) != 1:
        faults.append(
            f"training has {' and '.join(given) or 'neither steps nor epochs'}, expected one of both"
        )
    numbers = {
        name: training.get(name, TrainingRecipe.model_fields[name].default)
        for name in ("batch_size", "micro_batch", "log_every", "save_every")
    }
    if all(isinstance(value, int) and value > 0 for value in numbers.values()):
        for whole, part in (("batch_size", "micro_batch"), ("save_every", "log_every")):
            if numbers[whole] % numbers[part]:
                faults.append(
                    f"training.{whole} is {numbers[whole]}, expected a multiple of {part} ({numbers[part]})"
                )
    if training.get("patience") is not None and not validated:
        faults.append("training.patience needs a validation set")
    return faults
