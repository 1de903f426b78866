"""Model folders. Loading never guesses: the config records how a checkpoint was trained.

    config.json          VideoExpertConfig
    model.safetensors    all weights ("full"), or only what was trained ("adapter")
    tokenizer files      with <LOC> added
    preprocessor_config.json   size, mean and standard deviation of the pictures
    familiarity.safetensors    what the tokens of its training videos look like; older folders lack it

An adapter-only folder names its base models (``vision_name``, ``language_name``): a folder beside it, a
path, or a hub id.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from .. import files, hub, pretrained
from ..config import VideoExpertConfig
from ..errors import CheckpointError, InputError
from ..language.time_text import TIME_TOKENS
from ..language.vocabulary import add_loc_token
from ..model import VideoExpertModel
from ..vision.encoder import VisionEncoder
from ..vision.familiarity import FILE as FAMILIARITY
from ..vision.familiarity import Familiarity
from ..vision.preprocess import Preprocessor
from .weights import check_fit, read_weights, some, untied

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
PREPROCESSOR = "preprocessor_config.json"


def assemble(
    vision: str | Path,
    language: str | Path,
    *,
    preset: str = "paper",
    dtype: torch.dtype | None = None,
    **fields: Any,
) -> tuple[VideoExpertModel, Any]:
    """A new model on pretrained bases: (model, tokenizer). ``fields`` are those of VideoExpertConfig.

    Raises CheckpointError when a base model cannot be loaded, InputError where ``times: tokens`` is asked of a
    language model that has no words for times.
    """
    encoder = load_vision(vision)
    base, tokenizer = load_language(language, dtype)
    if fields.get("times") == "tokens" and not set(TIME_TOKENS) <= set(tokenizer.get_vocab()):
        raise InputError(
            f"times are tokens, but the vocabulary of {language} has no {TIME_TOKENS[0]} to {TIME_TOKENS[-1]}; add "
            "them with add_time_tokens and resize_token_embeddings, save it, and set train_vocabulary to all."
        )
    config = VideoExpertConfig.from_preset(
        preset,
        **{
            "vision_config": encoder.to_config(),
            "language_config": base.config.to_dict(),
            "vision_name": str(vision),
            "language_name": str(language),
            **fields,
        },
    )
    config.loc_token_id = add_loc_token(tokenizer, config.loc_text)
    return VideoExpertModel(config, vision=encoder, language=base), tokenizer


def load_vision(path_or_id: str | Path) -> VisionEncoder:
    """The vision encoder of a folder or hub id; raises as ``VisionEncoder.from_pretrained`` does."""
    with _bars_on_terminals_only():
        return VisionEncoder.from_pretrained(path_or_id)


def load_language(path_or_id: str | Path, dtype: torch.dtype | None = None) -> tuple[Any, Any]:
    """(causal language model, tokenizer) of a folder or hub id.

    Raises CheckpointError for a model that transformers cannot load, or that lacks a weight: transformers
    would fill the gap with random numbers.
    """
    tokenizer = pretrained.tokenizer_of(path_or_id)
    with _bars_on_terminals_only():
        base, report = pretrained.model_of(
            AutoModelForCausalLM, path_or_id, "language model", dtype=dtype or "auto"
        )
    missing = set(report["missing_keys"])
    if missing:
        raise CheckpointError(
            f"{path_or_id} lacks {len(missing)} weights of the language model ({some(missing)}); download "
            "it again."
        )
    return base, tokenizer


def save(
    model: VideoExpertModel,
    tokenizer: Any,
    folder: str | Path,
    *,
    adapter_only: bool = False,
    tensors: dict[str, torch.Tensor] | None = None,
) -> Path:
    """Write a model folder as a whole or not at all.

    ``tensors`` replace the model's own if those are spread over processes.
    Raises CheckpointError for ``adapter_only`` without names of the base models.
    """
    config, out = model.config, Path(folder)
    if adapter_only and not (config.vision_name and config.language_name):
        raise CheckpointError(
            "an adapter-only folder must name its base models; set vision_name and language_name in the "
            "config, or save the full model."
        )
    if tensors is None:
        keep = set(model.trained_names()) if adapter_only else None
        tensors = {k: v for k, v in model.state_dict().items() if keep is None or k in keep}
    tensors = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    with files.whole_folder(out) as part:
        stored = config.to_dict() | {"weights": "adapter" if adapter_only else "full"}
        for part_of in ("vision_config", "language_config"):  # do not leak the base model's local path
            stored[part_of] = {k: v for k, v in stored[part_of].items() if k != "_name_or_path"}
        if adapter_only:
            stored |= {field: _portable(stored[field], out) for field in ("vision_name", "language_name")}
        VideoExpertConfig.from_dict(stored).save_pretrained(part)
        save_file(untied(tensors), part / WEIGHTS, metadata={"format": "pt"})
        tokenizer.save_pretrained(part)
        (part / PREPROCESSOR).write_text(json.dumps(model.vision.preprocessor.to_dict(), indent=2) + "\n")
        if model.familiarity is not None:
            (part / FAMILIARITY).write_bytes(model.familiarity.to_bytes())
    return out


def load(
    folder: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype | None = None
) -> tuple[VideoExpertModel, Any]:
    """(model in eval mode, tokenizer) of a folder written by ``save``, or of such a folder on the hub.

    Weights keep float32 on the CPU; elsewhere ``dtype`` (default float32) is that of the base models.
    Raises CheckpointError with one sentence for anything missing, unexpected or of another shape.
    """
    path = _local(folder)
    pretrained.check_folder(folder, path)
    config = read_config(path)
    check_fit(config, path / WEIGHTS)
    if config.weights == "adapter":
        encoder = load_vision(_base_path(path, config.vision_name, "vision_name"))
        base, _ = load_language(
            _base_path(path, config.language_name, "language_name"), dtype or torch.float32
        )
        model = VideoExpertModel(config, vision=encoder, language=base)
        expected = set(model.trained_names())
    else:
        with pretrained.told(path / CONFIG, "built into a model"):
            model = VideoExpertModel(config)
        expected = set(model.state_dict())
    read_weights(model, path / WEIGHTS, expected)
    if (path / PREPROCESSOR).exists():
        model.vision.preprocessor = Preprocessor.from_file(path / PREPROCESSOR)
    if (path / FAMILIARITY).exists():
        model.familiarity = Familiarity.from_bytes((path / FAMILIARITY).read_bytes(), path / FAMILIARITY)
    tokenizer = pretrained.tokenizer_of(path)
    found = tokenizer.convert_tokens_to_ids(config.loc_text)
    if found != config.loc_token_id:
        raise CheckpointError(
            f"the tokenizer of {path} gives {config.loc_text} the id {found}, the config says "
            f"{config.loc_token_id}; use the tokenizer saved with the model."
        )
    placed: Any = model  # transformers' own types for .to() do not hold
    if dtype is not None and config.weights == "full":
        placed.vision.to(dtype)
        placed.language.to(dtype)
    return placed.to(device).eval(), tokenizer


def shipped() -> Path:
    """The model folder in the package; raises CheckpointError where the package carries none."""
    return hub.shipped()


def digest(folder: str | Path) -> str:
    """First 16 hexadecimal digits of the SHA-256 of a model folder's weights file."""
    return files.digest(_local(folder) / WEIGHTS)[:16]


def read_config(folder: Path) -> VideoExpertConfig:
    """The config of a model folder; raises CheckpointError when it is none of ours."""
    file = folder / CONFIG
    if not file.is_file():
        raise CheckpointError(
            f"{folder} is not a model folder: it has no {CONFIG}; give a folder saved by videoexpert."
        )
    fields = pretrained.read_object(file)
    if fields.get("model_type") != "videoexpert":
        raise CheckpointError(
            f"{folder} holds a model of type {fields.get('model_type')!r}, expected 'videoexpert'; "
            "use `videoexpert convert` for the authors' checkpoints."
        )
    if "auto_map" in fields:
        raise CheckpointError(
            f"{file} asks to run code of the folder's own (auto_map), which videoexpert never does; take auto_map out."
        )
    pretrained.check_fields(file, fields)
    with pretrained.told(file, "read as a config"):  # transformers trips over some values of its own fields
        return VideoExpertConfig.checked(fields)


def _local(folder: str | Path) -> Path:
    return hub.locate(folder, (*hub.SMALL, hub.WEIGHTS))


def _base_path(folder: Path, name: str | None, field: str) -> str:
    """A base model beside or inside the folder, else the name unchanged."""
    if not name:
        raise CheckpointError(
            f"{folder / CONFIG} has no {field}; an adapter-only folder must name its base models."
        )
    for place in (folder / name, folder.parent / name):
        if place.is_dir():
            return str(place)
    return name


@contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    """transformers draws its bars into files and pipes too, where they bury what the command says."""
    quiet = logging.is_progress_bar_enabled() and not sys.stderr.isatty()
    if quiet:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if quiet:
            logging.enable_progress_bar()


def _portable(name: str, out: Path) -> str:
    """The name under which the folder ``out`` finds a base model from any working directory.

    A folder beside ``out`` by its place from there, so that both can move together; any other folder by its
    absolute path; anything that is not a folder here (a hub id, or a name already relative to ``out``) unchanged.
    """
    if not Path(name).is_dir():
        return name
    place, beside = Path(name).resolve(), out.parent.resolve()
    return place.relative_to(beside).as_posix() if place.is_relative_to(beside) else str(place)


__all__ = ["assemble", "load", "load_language", "load_vision", "read_config", "save", "shipped"]
