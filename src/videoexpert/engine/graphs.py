"""A decoding step recorded once and replayed: on a GPU one launch in place of hundreds.

A step that is recorded may read and change tensors, but must not ask for their values, and all its shapes are those of
the first time. ``decode`` keeps to that where shapes are static.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..errors import InputError

Step = Callable[[Tensor], Tensor]
Record = Callable[[Step, Tensor], Step]


def cuda_graph(step: Step, tokens: Tensor) -> Step:
    """``step`` as a CUDA graph for tokens (R,) like these; recording computes nothing. Run a step before: it warms up.

    What a replay gives is overwritten by the next one. Raises InputError without a GPU.
    """
    check_graphs(tokens.device)
    given, graph = tokens.clone(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        told = step(given)

    def replay(tokens: Tensor) -> Tensor:
        given.copy_(tokens)
        graph.replay()
        return told

    return replay


def check_graphs(device: torch.device) -> None:
    """Raises InputError where there are no CUDA graphs."""
    if device.type != "cuda":
        raise InputError(f"the model is on {device.type}, expected a GPU: CUDA graphs are made nowhere else.")
