"""One immutable safetensors file a video: embeddings of its frames, and visual tokens of its windows.

embeddings   (F, C) half, unit rows in the space of the tower's text side
times        (F,) float64 seconds
temporal     (V, N, C') half, T-tokens of V windows; V is 0 for an encoder without tokens
spatial      (V, M, C') half
windows      (V, 2) float64, start and duration in seconds
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import files
from ..errors import DataError
from ..types import VisualTokens

FOLDER = "shards"


@dataclass(frozen=True)
class Shard:
    """What an encoder made of one video; shapes above."""

    duration: float
    embeddings: torch.Tensor
    times: torch.Tensor
    tokens: tuple[VisualTokens, ...] = ()

    def __post_init__(self) -> None:
        if self.embeddings.ndim != 2 or self.times.shape != self.embeddings.shape[:1]:
            raise ValueError(
                f"embeddings must be (F, C) and times (F,), got {tuple(self.embeddings.shape)} "
                f"and {tuple(self.times.shape)}"
            )


def shard_path(folder: Path, content: str, encoder: int) -> Path:
    """Path of a video's shard; two letters of its content spread a million files over folders."""
    return folder / FOLDER / content[:2] / f"{content}-{encoder}.safetensors"


def write_shard(path: Path, shard: Shard) -> int:
    """Write a shard whole or not at all; the same shard gives the same bytes. Returns its size.

    Raises WriteError.
    """
    tensors = {
        "embeddings": shard.embeddings.to(torch.float16).contiguous(),
        "times": shard.times.to(torch.float64).contiguous(),
    }
    if shard.tokens:
        tensors["temporal"] = torch.stack([t.temporal for t in shard.tokens]).to("cpu", torch.float16)
        tensors["spatial"] = torch.stack([t.spatial for t in shard.tokens]).to("cpu", torch.float16)
        spans = [(t.start_s, t.duration_s) for t in shard.tokens]
        tensors["windows"] = torch.tensor(spans, dtype=torch.float64)
    files.make_folder(path.parent)
    with files.whole_file(path) as part:
        save_file(tensors, part, metadata={"duration": repr(shard.duration)})
    return path.stat().st_size


def read_shard(path: Path) -> Shard:
    """All of a shard. Raises DataError for one that is missing or damaged."""
    try:
        with safe_open(path, "pt") as file:
            found = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # not a mapping
            duration = float((file.metadata() or {})["duration"])
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise DataError(
            f"the shard {path.name} cannot be read ({error}); run `videoexpert library verify`."
        ) from error
    tokens = [
        VisualTokens(temporal.float(), spatial.float(), float(length), float(start))
        for temporal, spatial, (start, length) in zip(
            found.get("temporal", ()), found.get("spatial", ()), found.get("windows", ()), strict=True
        )
    ]
    return Shard(duration, found["embeddings"], found["times"], tuple(tokens))


def read_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(F, C) float16 rows and (F,) float64 seconds. Raises DataError."""
    try:
        with safe_open(path, "np") as file:
            return file.get_tensor("embeddings"), file.get_tensor("times")
    except (OSError, SafetensorError) as error:
        raise DataError(
            f"the shard {path.name} cannot be read ({error}); run `videoexpert library verify`."
        ) from error
