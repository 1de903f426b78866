"""``load``: a name, a folder or a hub id to a backend that opens videos.

>>> expert = load()
>>> video = expert.open("kitchen.mp4")
>>> video.ground("a person opens the fridge")
"""

from __future__ import annotations

from pathlib import Path

import torch

from . import assets
from .backends.expert import Expert, Video
from .checkpoints import folder as checkpoint
from .config import VideoExpertConfig
from .errors import CheckpointError
from .runtime import pick_device
from .video.pictures import VideoWarning


def load(
    model: str | Path | None = None, *, device: str = "auto", dtype: torch.dtype | None = None
) -> Expert:
    """A model ready for use: the one shipped in the package, a folder, or a hub id.

    ``device``: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps".
    Raises CheckpointError for a folder that holds no model of ours, InputError for an unknown device.
    """
    if model is None:
        shipped_config()
    folder = assets.SHIPPED_MODEL if model is None else model
    found, tokenizer = checkpoint.load(folder, device=pick_device(device), dtype=dtype)
    name = "shipped" if model is None else str(model)
    return Expert(found, tokenizer, name, checkpoint.digest(folder))


def shipped_config() -> VideoExpertConfig:
    """The config of the model in the package; raises CheckpointError where the package carries none."""
    if not assets.SHIPPED_MODEL.is_dir():
        raise CheckpointError(
            "this installation carries no model; reinstall videoexpert, or name a model folder or hub id "
            "(--model on the command line)."
        )
    return checkpoint.read_config(assets.SHIPPED_MODEL)


__all__ = ["Expert", "Video", "VideoWarning", "load", "shipped_config"]
