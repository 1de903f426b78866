"""Tensors of a model folder: nothing missing, nothing unexpected, no shape or kind of number changed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from .. import pretrained
from ..config import VideoExpertConfig
from ..errors import CheckpointError
from ..model import VideoExpertModel

PLAUSIBLE = 4  # times the numbers in a file; a config that asks for more is looked at closely
_NO_SIZES = ("_id", "max_position_embeddings", "num_hidden_layers", "image_size")
FLOATING = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


def check_fit(config: VideoExpertConfig, file: Path) -> None:
    """Raises CheckpointError unless the sizes that a config asks for are those of its weights.

    Before any memory is taken: a config that asks for a network of terabytes is refused by the size of its file.
    """
    if not file.is_file():
        raise CheckpointError(f"{file.parent} has no {file.name}; copy the model folder again.")
    try:
        with safe_open(file, framework="pt") as stored:
            shapes = {name: torch.Size(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise CheckpointError(f"{file} cannot be read ({error}); copy the model folder again.") from error
    if largest(config.to_dict()) <= PLAUSIBLE * sum(shape.numel() for shape in shapes.values()):
        return
    with pretrained.told(file.parent / "config.json", "built into a model"), torch.device("meta"):
        sizes = {name: tensor.shape for name, tensor in VideoExpertModel(config).state_dict().items()}
    for name, shape in shapes.items():
        if name in sizes and shape != sizes[name]:
            raise CheckpointError(
                f"{name} in {file} has shape {tuple(shape)}, the config asks for {tuple(sizes[name])}."
            )
    stored_numbers = sum(shape.numel() for shape in shapes.values())
    missing = sizes.keys() - shapes.keys()
    if config.weights == "full" and sum(sizes[name].numel() for name in missing) > PLAUSIBLE * stored_numbers:
        raise CheckpointError(
            f"{file} lacks {len(missing)} tensors ({some(missing)}); copy the model folder again."
        )


def largest(fields: Mapping[str, Any]) -> float:
    """About how many numbers the largest part of a network has: the product of its layers and two largest sizes."""
    sizes: list[float] = [1.0, 1.0]
    layers = 1.0
    waiting: list[Mapping[str, Any]] = [fields]
    while waiting:
        part = waiting.pop()
        waiting += [value for value in part.values() if isinstance(value, Mapping)]
        numbers = {
            k: float(min(v, 10**18))
            for k, v in part.items()
            if isinstance(v, int) and not isinstance(v, bool)
        }
        layers = max(layers, numbers.get("num_hidden_layers", 1.0))
        sizes += [value for name, value in numbers.items() if not name.endswith(_NO_SIZES)]
        sizes.append(numbers.get("head_dim", 1.0) * numbers.get("num_attention_heads", 1.0))
        if numbers.get("patch_size", 0.0) > 0:
            sizes.append((numbers.get("image_size", 0.0) / numbers["patch_size"]) ** 2)
    first, second = sorted(sizes)[-2:]
    return layers * first * second


def read_weights(model: VideoExpertModel, file: Path, expected: set[str]) -> None:
    """Copy every expected tensor from a file. Raises CheckpointError."""
    state = model.state_dict()
    try:
        with safe_open(file, framework="pt") as stored:
            names = set(stored.keys())
            tied = {
                k
                for k in expected - names
                if any(state[k] is state[n] or _same(state[k], state[n]) for n in names & set(state))
            }
            missing, extra = expected - names - tied, names - expected
            if missing or extra:
                raise CheckpointError(
                    f"{file} does not fit its config: {len(missing)} tensors missing ({some(missing)}), "
                    f"{len(extra)} unexpected ({some(extra)})."
                )
            for name in names:
                state[name].copy_(_sound(name, stored.get_tensor(name), state[name].shape, file))
    except SafetensorError as error:
        raise CheckpointError(f"{file} cannot be read ({error}); copy the model folder again.") from error


def _sound(name: str, tensor: torch.Tensor, shape: torch.Size, file: Path) -> torch.Tensor:
    if tensor.shape != shape:
        raise CheckpointError(
            f"{name} in {file} has shape {tuple(tensor.shape)}, the config asks for {tuple(shape)}."
        )
    if tensor.dtype not in FLOATING:
        kind = str(tensor.dtype).removeprefix("torch.")
        raise CheckpointError(
            f"{name} in {file} holds {kind}, expected float16, bfloat16 or float32: quantised weights would be "
            "read as wrong numbers; save the model in one of these."
        )
    return tensor


def some(names: set[str]) -> str:
    """The first few of many names."""
    return ", ".join(sorted(names)[:3]) + (", ..." if len(names) > 3 else "") or "none"


def _same(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape


def untied(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors that share memory once: safetensors stores no ties."""
    seen: set[tuple[int, torch.Size]] = set()
    kept = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.shape)
        if key not in seen:
            seen.add(key)
            kept[name] = tensor
    return kept


__all__ = ["check_fit", "read_weights", "some", "untied"]
