"""Names to chat backends: a folder or hub id to a local model, an address to one that a server runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from .backend import ChatBackend, Scoring
from .endpoint import TIMEOUT_S, connect
from .local import load_talker
from .prompts import prompts_for
from .talk import Talker


def load(
    name: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: torch.dtype | None = None,
    load_in_4bit: bool = False,
    prompts: str | None = None,
    score: str = "digits",
    samples: int = 5,
    fps: float | None = None,
    max_frames: int | None = None,
    frame_pixels: int | None = None,
    total_pixels: int | None = None,
) -> ChatBackend:
    """A local image-text-to-text model of transformers.

    load_in_4bit   NF4 weights (an NVIDIA GPU and bitsandbytes)
    prompts        "spans", "span" or "thought"; by default what a model of this name was trained with
    score          "digits", or "agreement" of ``samples`` sampled answers
    fps, max_frames, frame_pixels, total_pixels    as in ``Budget``; by default what such models take

    Raises CheckpointError, InputError and DependencyError as ``load_talker``, InputError for a wrong option.
    """
    scoring = Scoring(score, samples)
    prompts_for(str(name), prompts)  # before gigabytes are read
    talker = load_talker(name, device=device, dtype=dtype, load_in_4bit=load_in_4bit)
    return _backend(talker, prompts, scoring, fps, max_frames, frame_pixels, total_pixels)


def load_endpoint(
    address: str,
    *,
    key_variable: str | None = None,
    workers: int = 8,
    attempts: int = 5,
    timeout_s: float = TIMEOUT_S,
    prompts: str | None = None,
    score: str = "digits",
    samples: int = 5,
    fps: float | None = None,
    max_frames: int | None = None,
    frame_pixels: int | None = None,
    total_pixels: int | None = None,
) -> ChatBackend:
    """A model behind ``http://HOST:PORT/v1#NAME``.

    key_variable   environment variable with the key; by default VIDEOEXPERT_API_KEY where it is set
    workers        requests under way at once
    attempts, timeout_s   for one request, in all; seconds of silence after which it failed

    The other options are those of ``load``. Raises InputError and ServerError as ``connect``.
    """
    scoring = Scoring(score, samples)
    talker = connect(
        address, key_variable=key_variable, workers=workers, attempts=attempts, timeout_s=timeout_s
    )
    return _backend(talker, prompts, scoring, fps, max_frames, frame_pixels, total_pixels)


def _backend(
    talker: Talker,
    prompts: str | None,
    scoring: Scoring,
    fps: float | None,
    max_frames: int | None,
    frame_pixels: int | None,
    total_pixels: int | None,
) -> ChatBackend:
    given = {"fps": fps, "max_frames": max_frames, "frame_pixels": frame_pixels, "total_pixels": total_pixels}
    budget = replace(talker.budget, **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    return ChatBackend(talker, prompts_for(talker.name, prompts), budget, scoring)
