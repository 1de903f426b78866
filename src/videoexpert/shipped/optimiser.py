"""Optimisers of the from-scratch stages: Muon on hidden matrices, AdamW on the rest."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

from ..runtime import clean_start

FEW = 10  # steps; for fewer, starting another process costs more than it saves


class Muon(torch.optim.Optimizer):
    """Momentum, then the nearest orthogonal matrix by Newton-Schulz (Jordan et al., 2024), for 2-D weights.

    torch.optim.Muon iterates in bfloat16, which CPUs without bfloat16 units run some twenty times slower than
    float32; here the iteration is in float32 and batched over weights of one shape. Updates are scaled to the size
    of AdamW's (0.2 * sqrt(larger side)), so one learning rate serves both.
    """

    def __init__(
        self, params: Iterable[nn.Parameter], lr: float, momentum: float = 0.95, weight_decay: float = 0.01
    ):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for p in group["params"]:
                if p.grad is not None:
                    by_shape[p.shape].append(p)
            for shape, params in by_shape.items():
                updates = []
                for p in params:
                    assert p.grad is not None
                    state = self.state[p]
                    if not state:
                        state["momentum"] = torch.zeros_like(p)
                    state["momentum"].lerp_(p.grad, 1 - group["momentum"])
                    updates.append(p.grad.lerp(state["momentum"], group["momentum"]))  # Nesterov
                scale = 0.2 * math.sqrt(max(shape)) * group["lr"]
                for p, update in zip(params, orthogonalise(torch.stack(updates)), strict=True):
                    p.mul_(1 - group["lr"] * group["weight_decay"]).add_(update, alpha=-scale)


def orthogonalise(matrices: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """(K, a, b) to matrices of the same singular vectors with singular values near one (quintic Newton-Schulz)."""
    x = matrices.float()
    flip = x.shape[1] > x.shape[2]
    x = x.mT if flip else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return x.mT if flip else x


def build_optimiser(model: nn.Module, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for 2-D weights inside blocks, AdamW for embeddings, norms, biases, read-outs and convolutions."""
    hidden: list[nn.Parameter] = []
    other: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            inside = ".layers." in name and parameter.ndim == 2
            (hidden if inside else other).append(parameter)
    optimisers: list[torch.optim.Optimizer] = [Muon(hidden, learning_rate)] if hidden else []
    if other:
        optimisers.append(torch.optim.AdamW(other, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.01))
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["initial_lr"] = group["lr"]
    return optimisers


def set_learning_rate(optimisers: list[torch.optim.Optimizer], factor: float) -> None:
    """Scale every group to ``factor`` of its initial rate."""
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["initial_lr"] * factor


def cosine_factor(step: int, steps: int, *, warm_up: float) -> float:
    """Linear warm-up over the first share of the steps, then half a cosine down to 2%."""
    first = max(1, round(warm_up * steps))
    if step < first:
        return (step + 1) / first
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * (step - first) / max(1, steps - first)))


def drawn_beside(batches: Dataset[Any], steps: range, module: str) -> DataLoader[Any]:
    """Batches by their numbers, drawn by another process while the last one trains; ``module`` is what it imports."""
    if len(steps) < FEW:
        return DataLoader(batches, batch_size=None, sampler=steps)
    return DataLoader(
        batches,
        batch_size=None,
        sampler=steps,
        num_workers=1,
        prefetch_factor=4,
        multiprocessing_context=clean_start(module),
    )
