"""``load``: the one door from a name to a backend that opens videos.

>>> expert = load()
>>> video = expert.open("kitchen.mp4")
>>> video.ground("a person opens the fridge")
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import overload

import torch

from .backends.base import Backend
from .backends.expert import Expert, Video
from .backends.text_times import TextTimesExpert
from .checkpoints import folder as checkpoint
from .config import VideoExpertConfig
from .runtime import pick_device
from .video.pictures import VideoWarning

# What stands before the colon of a model's name, and the module whose ``load(rest, *, device, dtype)`` gives the
# backend. Any other name is a model folder of ours, or one on the hub.
KINDS = {"contrastive": "backends.contrastive"}


@overload
def load(model: None = ..., *, device: str = ..., dtype: torch.dtype | None = ...) -> Expert: ...
@overload
def load(model: str | Path, *, device: str = ..., dtype: torch.dtype | None = ...) -> Backend: ...
def load(
    model: str | Path | None = None, *, device: str = "auto", dtype: torch.dtype | None = None
) -> Backend:
    """A model ready for use: the one shipped in the package, a folder, a hub id, or ``KIND:NAME``.

    ``device``: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".
    Raises CheckpointError for a folder that holds no model of ours, InputError for an unknown device.
    """
    kind, colon, rest = str(model).partition(":")
    if model is not None and colon and kind in KINDS:
        backend: Backend = import_module(f".{KINDS[kind]}", __package__).load(
            rest, device=pick_device(device), dtype=dtype
        )
        return backend
    return load_expert(model, device=device, dtype=dtype)


def load_expert(
    model: str | Path | None = None, *, device: str = "auto", dtype: torch.dtype | None = None
) -> Expert:
    """A model of ours, whose weights, config and tokens are at hand; raises what ``load`` raises."""
    folder = checkpoint.shipped() if model is None else model
    found, tokenizer = checkpoint.load(folder, device=pick_device(device), dtype=dtype)
    name = "shipped" if model is None else str(model)
    kind = TextTimesExpert if found.head is None else Expert
    return kind(found, tokenizer, name, checkpoint.digest(folder))


def shipped_config() -> VideoExpertConfig:
    """The config of the model in the package; raises CheckpointError where the package carries none."""
    return checkpoint.read_config(checkpoint.shipped())


__all__ = ["KINDS", "Expert", "Video", "VideoWarning", "load", "load_expert", "shipped_config"]
