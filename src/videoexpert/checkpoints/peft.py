"""One expert as a plain PEFT LoRA folder, and back: adapter_config.json, adapter_model.safetensors.

An expert is an ordinary LoRA; what is ours is the gate that decides which token it acts on. PEFT has no such
gate: its folder acts on every token. So the spatial one gives the base model our states at text, while the
temporal one is for study or for exchange. What else was trained (<LOC>, the head, and with
``train_vocabulary: all`` both vocabulary matrices) is not part of a LoRA folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import files
from ..errors import CheckpointError, InputError
from ..language.experts import ExpertLinear, expert_layers
from ..model import VideoExpertModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
EXPERTS = ("temporal", "spatial")
# Switches of PEFT under which A and B mean something else than B A * alpha / r.
_VARIANTS = ("use_rslora", "use_dora", "fan_in_fan_out", "modules_to_save", "alpha_pattern", "rank_pattern")


def export_peft(model: VideoExpertModel, folder: str | Path, expert: str = "spatial") -> Path:
    """Write one expert as a LoRA folder that PEFT loads onto the base language model.

    PEFT's alpha is our scale times the expert's own rank, so that alpha / r is our scale however the ranks
    are divided. A shared LoRA (``experts: shared``) is written whole under either name. Raises InputError for
    another ``expert``, one of rank 0, or a folder that is not empty.
    """
    out = Path(folder)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already, expected a new folder; give another OUT.")
    tensors: dict[str, Tensor] = {}
    layers = dict(expert_layers(model.language))
    for name, layer in layers.items():
        rows = _rows(layer, expert)
        tensors[_key(name, "A")] = layer.lora_A[rows].detach().cpu().contiguous()
        tensors[_key(name, "B")] = layer.lora_B[:, rows].detach().cpu().contiguous()
    rank = len(next(iter(tensors.values())))
    if rank == 0:
        raise InputError(
            f"the {expert} expert has rank 0, so there is nothing to export; name the other one."
        )
    alpha = next(iter(layers.values())).scale * rank
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.config.language_name,
        "r": rank,
        "lora_alpha": int(alpha) if alpha == int(alpha) else alpha,
        "lora_dropout": model.config.lora_dropout,
        "target_modules": sorted(layers),
        "bias": "none",
        "inference_mode": True,
    }
    with files.whole_folder(out) as part:
        (part / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_file(tensors, part / WEIGHTS, metadata={"format": "pt"})
    return out


@torch.no_grad()
def import_peft(model: VideoExpertModel, folder: str | Path, expert: str = "spatial") -> None:
    """Read a LoRA folder into one expert of ``model``; the other stays. Exact for a folder of ours.

    Where the folder's alpha / r is another than our scale, B is multiplied so that the expert computes the
    same. Raises CheckpointError for a folder that is incomplete, of another kind, rank or set of layers, and
    InputError while the model is folded.
    """
    place = Path(folder)
    config, tensors = _read(place)
    layers = dict(expert_layers(model.language))
    if any(layer.folded for layer in layers.values()):
        raise InputError("an expert cannot be read into a folded model; call unfold() first.")
    wanted = {_key(name, side): name for name in layers for side in "AB"}
    if set(wanted) != set(tensors):
        missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
        raise CheckpointError(
            f"{place} does not fit this language model: {len(missing)} weights missing ({_first(missing)}), "
            f"{len(extra)} unexpected ({_first(extra)}); give a LoRA of all its linear layers."
        )
    for name, layer in layers.items():
        rows = _rows(layer, expert)
        for side, ours in (("A", layer.lora_A[rows]), ("B", layer.lora_B[:, rows])):
            theirs = tensors[_key(name, side)]
            if theirs.shape != ours.shape:
                raise CheckpointError(
                    f"{_key(name, side)} in {place} has shape {tuple(theirs.shape)}, expected "
                    f"{tuple(ours.shape)}; give a LoRA of the {expert} expert's rank and of this base model."
                )
    for name, layer in layers.items():
        rows, ratio = _rows(layer, expert), config["lora_alpha"] / config["r"] / layer.scale
        layer.lora_A[rows] = tensors[_key(name, "A")].to(layer.lora_A)
        b = tensors[_key(name, "B")].to(layer.lora_B)
        layer.lora_B[:, rows] = b if ratio == 1.0 else b * ratio


def _read(folder: Path) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(f"{folder} has no {name}, expected a PEFT LoRA folder; copy it again.")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{folder} cannot be read ({error}); copy it again.") from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise CheckpointError(f"{folder / CONFIG} is not of a LoRA, expected peft_type 'LORA'; give another.")
    numbers = [config.get(name) for name in ("r", "lora_alpha")]
    if not all(isinstance(number, int | float) and number > 0 for number in numbers):
        raise CheckpointError(
            f"{folder / CONFIG} has r and lora_alpha {numbers}, expected numbers above 0; copy it again."
        )
    variant = [name for name in _VARIANTS if config.get(name)]
    if variant:
        raise CheckpointError(
            f"{folder} is a LoRA with {variant[0]}, expected a plain one; train it without."
        )
    return config, tensors


def _rows(layer: ExpertLinear, expert: str) -> slice:
    """Rank dimensions that act on the expert's tokens."""
    if expert not in EXPERTS:
        raise InputError(f"expert is {expert!r}, expected one of {', '.join(EXPERTS)}.")
    total = len(layer.lora_A)
    if layer.experts == "shared":
        return slice(0, total)
    return slice(0, layer.temporal_rank) if expert == "temporal" else slice(layer.temporal_rank, total)


def _key(module: str, side: str) -> str:
    """PEFT's name of one matrix: the wrapper's prefix, then the module's name in the base model."""
    return f"base_model.model.{module}.lora_{side}.weight"


def _first(names: list[str]) -> str:
    return names[0] if names else "none"
