"""``load``: the one door from a name to a backend that opens videos.

>>> expert = load()
>>> video = expert.open("kitchen.mp4")
>>> video.ground("a person opens the fridge")
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, overload

import torch

from . import hub, settings
from .backends.base import Backend
from .backends.cascade import Cascade
from .backends.catalogue import kind_of, refusal
from .backends.expert import Expert, Video
from .backends.fitted import with_stored_fit
from .backends.options import checked
from .backends.text_times import TextTimesExpert
from .checkpoints import folder as checkpoint
from .config import VideoExpertConfig
from .errors import CheckpointError, InputError
from .runtime import pick_device

# The part before the colon of a model's name, and the function (module and name under this package) that gives the
# backend: ``f(rest, *, device, dtype, ...)``, its other keyword arguments being the options of ``load``. Any other
# name is a model folder, or a model on the hub, and its config says whose it is.
KINDS = {
    "contrastive": ("backends.contrastive", "load"),
    "chat": ("backends.chat.load", "load"),
}


@overload
def load(
    model: None = ..., *, device: str = ..., dtype: torch.dtype | str | None = ..., **options: Any
) -> Expert: ...
@overload
def load(
    model: str | Path, *, device: str = ..., dtype: torch.dtype | str | None = ..., **options: Any
) -> Backend: ...
def load(
    model: str | Path | None = None,
    *,
    device: str = "auto",
    dtype: torch.dtype | str | None = None,
    verify: str | Path | Backend | None = None,
    verify_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Backend:
    """A model ready for use: a folder, a hub id, an address, ``KIND:NAME``, or ``shipped``, the one in the package.

    Without a name it is $VIDEOEXPERT_MODEL, what `videoexpert models use` chose, or the shipped one.

    device    "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", "mps"
    dtype     of the weights, "bfloat16" or torch.bfloat16
    options   those of the backend: backends/chat/load.py names a chat model's
    verify    a second model (a name as ``model``, with ``verify_options``, or one that is loaded) that decides inside
              the moments that the first one proposes: backends/cascade.py

    An address is ``http://HOST:PORT/v1#NAME`` of a server that speaks OpenAI's protocol. What `videoexpert calibrate`
    fitted for the model is applied. Raises CheckpointError for a folder that holds no model, InputError for an unknown
    device or option.
    """
    model = chosen(model)
    found = with_stored_fit(load_unfitted(model, device=device, dtype=dtype, **options), model)
    if verify is None:
        if verify_options:
            raise InputError("verify_options belong to verify; name the second model, or leave them out.")
        return found
    if isinstance(verify, (str, Path)):
        verify = load(verify, device=device, **(verify_options or {}))
    return Cascade(found, verify)


def chosen(model: str | Path | None) -> str | Path | None:
    """The model of a name; None: the one in the package."""
    model = settings.default_model() if model is None else model
    return None if str(model) == settings.SHIPPED and not Path(str(model)).is_dir() else model


def load_unfitted(
    model: str | Path | None,
    *,
    device: str = "auto",
    dtype: torch.dtype | str | None = None,
    **options: Any,
) -> Backend:
    """``load`` of a ``chosen`` model with its scores as they are: what `videoexpert calibrate` starts from."""
    if str(model).startswith(("http://", "https://")):
        from .backends.chat.load import load_endpoint

        if dtype is not None:
            raise InputError(f"dtype is {dtype}, but the server of {model} decides that; leave it out.")
        return load_endpoint(str(model), **checked(load_endpoint, options, "a model behind a server"))
    kind, name = _kind_of(model)
    if kind is None:
        checked(load_expert, options, "a VideoExpert")
        return load_expert(model, device=device, dtype=as_dtype(dtype))
    module, function = KINDS[kind]
    make = getattr(import_module(f".{module}", __package__), function)
    backend: Backend = make(
        name, device=pick_device(device), dtype=as_dtype(dtype), **checked(make, options, f"a {kind} model")
    )
    return backend


def _kind_of(model: str | Path | None) -> tuple[str | None, str | Path]:
    """The kind that gives the backend (None: a model of ours), and the model's name without it.

    Raises CheckpointError where a hub id or a folder's config cannot be read.
    """
    if model is None:
        return None, ""
    kind, colon, rest = str(model).partition(":")
    if colon and kind in KINDS:
        return kind, rest
    config = hub.read_config(model)
    found = kind_of(config)
    if found is None:
        raise CheckpointError(refusal(str(model), config))
    return (None if found == "videoexpert" else found), model


def check_name(model: str) -> None:
    """Raises CheckpointError for a name that ``load`` would refuse, judged by its config; weights are not read."""
    if model != settings.SHIPPED and not model.startswith(("http://", "https://")):
        kind, name = _kind_of(model)
        if kind is not None and name:
            hub.read_config(name)


def as_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    """The dtype of that name. Raises InputError for one that is none."""
    found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
    if found is not None and not (isinstance(found, torch.dtype) and found.is_floating_point):
        found, dtype = None, str(dtype)
    if found is None and dtype is not None:
        raise InputError(f"dtype is {dtype!r}, expected float32, bfloat16 or float16.")
    return found


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


__all__ = [
    "KINDS",
    "Expert",
    "Video",
    "check_name",
    "chosen",
    "load",
    "load_expert",
    "load_unfitted",
    "shipped_config",
]
