"""One expert as a plain PEFT LoRA folder: adapter_config.json, adapter_model.safetensors.

An expert is an ordinary LoRA; what is ours is the gate that decides which token it acts on. PEFT has no such
gate: its folder acts on every token. So the spatial one gives the base model our states at text, while the
temporal one is for study or for exchange. What else was trained (<LOC>, the head, and with
``train_vocabulary: all`` both vocabulary matrices) is not part of a LoRA folder.
"""

from __future__ import annotations

import json
from pathlib import Path

from safetensors.torch import save_file
from torch import Tensor

from .. import files
from ..errors import InputError
from ..language.experts import ExpertLinear, expert_layers
from ..model import VideoExpertModel

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
EXPERTS = ("temporal", "spatial")


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
