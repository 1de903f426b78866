"""Has the model seen such videos? A video's tokens against those of its training, as a number in [0, 1].

For each token a quadratic discriminant gives the log-odds that it comes from the training videos rather than from
videos of nowhere (synthetic/elsewhere.py). A video's score is the mean over its T-tokens plus the mean over its
S-tokens; a logistic curve fitted on held-out videos makes a probability of it. Our addition; training/familiarity.py
fits it.

A plain Mahalanobis distance does not do: a tower trained on few things maps all it has not seen close to the mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..errors import CheckpointError
from ..types import VisualTokens

FILE = "familiarity.safetensors"
_KINDS = ("temporal", "spatial")


@dataclass(frozen=True)
class Discriminant:
    """Log-odds of one token: ``z' curvature z + slope' z + offset`` of ``z = (token - mean) basis``.

    mean (C,), basis (C, K), curvature (K, K) symmetric, slope (K,), offset ()
    """

    mean: Tensor
    basis: Tensor
    curvature: Tensor
    slope: Tensor
    offset: Tensor

    def __post_init__(self) -> None:
        if self.basis.ndim != 2 or not all(
            t.is_floating_point() and t.isfinite().all() for t in vars(self).values()
        ):
            raise ValueError("a discriminant holds finite real numbers, and a basis of two axes")
        wide, narrow = self.basis.shape
        shapes = [tuple(t.shape) for t in (self.mean, self.curvature, self.slope, self.offset)]
        if shapes != [(wide,), (narrow, narrow), (narrow,), ()]:
            raise ValueError(f"a discriminant on {wide} -> {narrow} cannot have parts of shapes {shapes}")

    def __call__(self, tokens: Tensor) -> Tensor:
        """(..., C) -> (...,)."""
        z = (tokens.detach().float().cpu() - self.mean) @ self.basis
        return ((z @ self.curvature) * z).sum(-1) + z @ self.slope + self.offset


@dataclass(frozen=True)
class Known:
    """Videos of one training. ``spatial`` is None for models without S-tokens.

    P(known) = sigmoid(score / temperature + bias)
    """

    temporal: Discriminant
    spatial: Discriminant | None
    temperature: float = 1.0
    bias: float = 0.0

    def score(self, tokens: VisualTokens) -> float:
        """Log-odds of a video before calibration."""
        return float(self.scores(tokens.temporal, tokens.spatial))

    def probability(self, tokens: VisualTokens) -> float:
        """That the video is one of these, in [0, 1]."""
        return float(self.probabilities(tokens.temporal, tokens.spatial))

    def scores(self, temporal: Tensor, spatial: Tensor) -> Tensor:
        """``score`` of videos, (..., N, C) and (..., M, C) -> (...,)."""
        found = self.temporal(temporal).mean(-1)
        if self.spatial is not None and spatial.shape[-2]:
            found = found + self.spatial(spatial).mean(-1)
        return found

    def probabilities(self, temporal: Tensor, spatial: Tensor) -> Tensor:
        """That videos are some of these, in [0, 1]; shapes as in ``scores``."""
        logits = self.scores(temporal, spatial).double() / self.temperature + self.bias
        # what is beyond all numbers is nothing like the training
        return logits.nan_to_num(-60.0).clamp(-60.0, 60.0).sigmoid()


@dataclass(frozen=True)
class Familiarity:
    """All that a model was trained on: its own videos, and those of the model it started from."""

    trainings: tuple[Known, ...]

    def __call__(self, tokens: VisualTokens) -> float:
        """In [0, 1]; below types.FAMILIAR the model was never shown videos like this one."""
        return self.of_many([tokens])[0]

    def of_many(self, videos: Sequence[VisualTokens]) -> list[float]:
        """The same of many videos; those with equally many tokens go together."""
        shapes: dict[tuple[int, int], list[int]] = {}
        for place, video in enumerate(videos):
            shapes.setdefault((len(video.temporal), len(video.spatial)), []).append(place)
        found = [0.0] * len(videos)
        for places in shapes.values():
            temporal = torch.stack([videos[place].temporal.float() for place in places])
            spatial = torch.stack([videos[place].spatial.float() for place in places])
            best = torch.stack([known.probabilities(temporal, spatial) for known in self.trainings]).amax(0)
            for place, value in zip(places, best.tolist(), strict=True):
                found[place] = value
        return found

    def with_training(self, known: Known) -> Familiarity:
        """The same after one more training."""
        return Familiarity((*self.trainings, known))

    def to_bytes(self) -> bytes:
        """The file of a model folder."""
        tensors: dict[str, Tensor] = {}
        for number, known in enumerate(self.trainings):
            for kind in _KINDS:
                part = getattr(known, kind)
                if part is not None:
                    tensors |= {f"{number}.{kind}.{k}": v.contiguous() for k, v in vars(part).items()}
            tensors[f"{number}.calibration"] = torch.tensor([known.temperature, known.bias])
        return save(tensors, metadata={"format": "pt", "trainings": str(len(self.trainings))})

    @classmethod
    def from_bytes(cls, data: bytes, name: str | Path) -> Familiarity:
        """Raises CheckpointError for bytes that are none of ``to_bytes``."""
        try:
            tensors = load(data)
            count = len({key.split(".")[0] for key in tensors})
            return cls(tuple(_known(tensors, number) for number in range(count)))
        except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(
                f"{name} does not hold what familiarity needs ({error}); copy the model folder again."
            ) from error


def _known(tensors: Mapping[str, Tensor], number: int) -> Known:
    parts: dict[str, Discriminant | None] = {}
    for kind in _KINDS:
        own = {
            key.rsplit(".", 1)[1]: value
            for key, value in tensors.items()
            if key.startswith(f"{number}.{kind}.")
        }
        parts[kind] = Discriminant(**own) if own else None
    temperature, bias = (float(value) for value in tensors[f"{number}.calibration"])
    temporal = parts["temporal"]
    if temporal is None or not (temperature > 0 and math.isfinite(temperature) and math.isfinite(bias)):
        raise ValueError(f"training {number} is incomplete")
    return Known(temporal, parts["spatial"], temperature, bias)


__all__ = ["FILE", "Discriminant", "Familiarity", "Known"]
