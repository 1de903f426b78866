"""The one loop of the from-scratch stages: scheduled, clipped, logged and saved at each interval, resumed exactly."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from .. import files
from .optimiser import build_optimiser, cosine_factor, set_learning_rate

WARM_UP = 0.03  # share of the steps

Batch = TypeVar("Batch")


def log_interval(steps: int) -> int:
    """Steps of a from-scratch stage between lines of its log, each with a saved state to resume from."""
    return min(100, max(1, steps // 4))


def run_stage(
    parts: Mapping[str, nn.Module],
    steps: int,
    learning_rate: float,
    batches: Callable[[range], Iterable[Batch]],
    losses: Callable[[int, Batch], tuple[Tensor, Mapping[str, Tensor]]],
    state_file: Path,
    *,
    clipped: Sequence[nn.Parameter] = (),
    name: str = "step",
    check: Callable[[], str] | None = None,
    log: Callable[[str], None] = print,
) -> None:
    """Train ``parts`` for ``steps`` steps, or for those that ``state_file`` still lacks.

    ``batches`` gives one batch for each step of a range; ``losses`` takes a step and its batch and returns the loss
    and what the log shows, means over the interval. The gradient of ``clipped`` is cut to a norm of one. ``check``
    adds its words to each line. Whoever calls seeds torch and chooses what requires gradients.
    """
    optimisers = build_optimiser(nn.ModuleList(parts.values()), learning_rate)
    first = _resume(parts, optimisers, state_file, steps)
    every = log_interval(steps)
    began, cpu = time.time(), time.process_time()
    sums: dict[str, float] = {}
    _training(parts)
    for step, batch in zip(range(first, steps), batches(range(first, steps)), strict=True):
        set_learning_rate(optimisers, cosine_factor(step, steps, warm_up=WARM_UP))
        loss, shown = losses(step, batch)
        loss.backward()
        nn.utils.clip_grad_norm_(clipped, 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        for key, value in shown.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach()) / every
        if (step + 1) % every == 0 or step == steps - 1:
            said = " ".join(f"{key} {value:.4f}" for key, value in sums.items())
            found = f" | {check()}" if check else ""
            log(
                f"{name} {step + 1} {said}{found} | {time.time() - began:.0f} s, cpu {time.process_time() - cpu:.0f}"
            )
            sums = {}
            _save(parts, optimisers, state_file, step + 1)
            _training(parts)


def _training(parts: Mapping[str, nn.Module]) -> None:
    for part in parts.values():
        part.train()


def _resume(
    parts: Mapping[str, nn.Module], optimisers: list[torch.optim.Optimizer], state_file: Path, steps: int
) -> int:
    """The step to continue with; everything is restored to the state before that step."""
    if not state_file.exists():
        return 0
    saved = torch.load(state_file, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(saved[name])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return min(steps, int(saved["step"]))


def _save(
    parts: Mapping[str, nn.Module], optimisers: list[torch.optim.Optimizer], state_file: Path, step: int
) -> None:
    states = {name: part.state_dict() for name, part in parts.items()}
    with files.whole_file(state_file) as part_file:
        torch.save({**states, "optimisers": [o.state_dict() for o in optimisers], "step": step}, part_file)
