"""VideoExpert: a video language model that says when as well as what.

>>> import videoexpert
>>> expert = videoexpert.load()
>>> video = expert.open("kitchen.mp4")
>>> video.ground("a person opens the fridge")

Names load on first use: importing this package does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from . import display

__version__ = "0.1.0"

_HOMES = {
    "load": "session",
    "Expert": "session",
    "Video": "session",
    "Library": "library.find",
    "Backend": "backends.base",
    "OpenVideo": "backends.base",
    "VideoExpertConfig": "config",
    "VideoExpertModel": "model",
    "Frames": "types",
    "VisualTokens": "types",
    "Moment": "types",
    "Moments": "types",
    "Highlights": "types",
    "Captions": "types",
    "Answer": "types",
    "Evidence": "types",
    "Sighting": "backends.watch",
    "VideoExpertError": "errors",
    "InputError": "errors",
    "UnsupportedError": "errors",
    "TrainingError": "errors",
    "ServerError": "errors",
    "VideoError": "errors",
    "CheckpointError": "errors",
    "DataError": "errors",
    "WriteError": "errors",
    "DependencyError": "errors",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604  # the keys are strings

if TYPE_CHECKING:
    from .config import VideoExpertConfig as VideoExpertConfig
    from .model import VideoExpertModel as VideoExpertModel
    from .session import Expert as Expert
    from .session import Video as Video
    from .session import load as load


display.use(lambda: importlib.import_module(".notebook", __name__))


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'videoexpert' has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
