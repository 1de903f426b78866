"""A model spread over processes by accelerate's FSDP 2: what is asked of it, and checkpoints as of any other run.

Weights and optimiser states are gathered to be written and spread again to be read, so that a run begun with
FSDP resumes without it, or with another number of processes. All processes call these functions together.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor, distribute_tensor

from ..errors import InputError
from ..model import VideoExpertModel


def make_shardable(model: VideoExpertModel) -> None:
    """Tells accelerate which parts are gathered one at a time: blocks of either base model, the vocabulary.

    The vision tower does not run in training; its blocks are named so that they are not gathered with the rest.
    """
    classes = {type(module).__name__ for module in model.modules()}
    named = [name for tower in (model.language, model.vision.model) for name in tower._no_split_modules or ()]
    model._no_split_modules = [name for name in named if name in classes]  # CLIP names its text tower's, too
    # transformers finds neither in a model that holds another; set on the instance, as FSDP alone asks
    own = vars(model)
    own["get_input_embeddings"] = model.language.get_input_embeddings
    own["get_output_embeddings"] = model.language.get_output_embeddings


def check_plugin(plugin: Any) -> None:
    """Raises InputError for FSDP 1, which flattens frozen and trained weights of different types into one.

    What is cast to bfloat16 is left to autocast, as in every other run: FSDP's own policy would cast the trained
    weights and the head, which reads float32.
    """
    if plugin.fsdp_version != 2:
        raise InputError(
            f"accelerate is set to FSDP {plugin.fsdp_version}, expected fsdp_version: 2; "
            "take recipes/accelerate/fsdp.yaml."
        )
    plugin.mixed_precision_policy = None


def gathered_weights(model: VideoExpertModel, names: Collection[str] | None, keep: bool) -> dict[str, Tensor]:
    """Weights by name, whole on the CPU where a process is to ``keep`` them; ``names`` None: all of them."""
    found: dict[str, Tensor] = {}
    once: dict[int, Tensor] = {}  # tied matrices are gathered once and stay one
    for name, tensor in model.state_dict(keep_vars=True).items():
        if names is None or name in names:
            if id(tensor) not in once:
                once[id(tensor)] = gathered(tensor, keep)
            found[name] = once[id(tensor)]
    return found


def gathered(tensor: Tensor, keep: bool = True) -> Tensor:
    """The whole of a spread tensor, on the CPU; empty where a process need not ``keep`` it."""
    if not isinstance(tensor, DTensor):
        return tensor
    whole = tensor.full_tensor().detach()
    return whole.cpu() if keep else whole.new_empty(0)


def spread(whole: Tensor, like: Tensor) -> Tensor:
    """This process's share of a tensor that every process holds whole, laid out as ``like``."""
    if not isinstance(like, DTensor):
        return whole
    placed = whole.to(device=like.device, dtype=like.dtype)
    return distribute_tensor(placed, like.device_mesh, like.placements, src_data_rank=None)


def gathered_state(optimizer: torch.optim.Optimizer, keep: bool) -> dict[str, Any]:
    """``optimizer.state_dict()`` with whole tensors, the same as without FSDP."""
    packed = optimizer.state_dict()
    return packed | {"state": _each(packed["state"], lambda _, value: gathered(value, keep))}


def load_state(optimizer: torch.optim.Optimizer, packed: dict[str, Any]) -> None:
    """Read what ``gathered_state`` or an unspread optimiser's ``state_dict`` gave."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def share(index: int, value: Tensor) -> Tensor:
        like = parameters[index]
        return spread(value, like) if value.shape == like.shape else value  # a step count has no shape

    optimizer.load_state_dict(packed | {"state": _each(packed["state"], share)})


def _each(
    state: dict[int, dict[str, Any]], work: Callable[[int, Tensor], Tensor]
) -> dict[int, dict[str, Any]]:
    """A new optimiser state with ``work(index of the parameter, tensor)`` in place of each tensor."""
    return {
        index: {k: work(index, v) if isinstance(v, Tensor) else v for k, v in entry.items()}
        for index, entry in state.items()
    }


__all__ = ["check_plugin", "gathered_state", "gathered_weights", "load_state", "make_shardable", "spread"]
