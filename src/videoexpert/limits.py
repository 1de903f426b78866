"""Every limit on what is read in one piece, in one place; each has an environment variable that moves it.

A limit keeps one hostile or mistaken input from taking the machine. ``VIDEOEXPERT_MAX_`` and the field's name in
capitals overrides it, and each error that a limit causes names that variable.
"""

from __future__ import annotations

import inspect
import os
import re
from dataclasses import dataclass, fields
from typing import Any

from .errors import InputError, VideoExpertError

PREFIX = "VIDEOEXPERT_MAX_"
# seeds that random, numpy, torch and transformers all take; not to be moved
MOST_SEED = 2**32 - 1


@dataclass(frozen=True)
class Limits:
    """The limits in force; ``limits()`` reads them with what the environment sets."""

    text_bytes: int = 512 * 2**20
    """Bytes of one annotation, prediction or recipe file."""

    decompressed_bytes: int = 512 * 2**20
    """Bytes that one gzip file, or one array of an .npz, may grow to."""

    yaml_values: int = 1_000_000
    """Values of one YAML document, its aliases written out."""

    layers: int = 1_000
    """Layers of a network, or heads of one of them, that the config of a model may ask for."""

    reply_bytes: int = 16 * 2**20
    """Bytes of one reply of a model's server."""

    query_characters: int = 2_000
    """Characters of one query, question or choice."""

    choices: int = 64
    """Choices of one question."""

    queries: int = 10_000
    """Queries in one call."""

    video_seconds: int = 1_000_000
    """Length of a video that an annotation may speak of: over eleven days."""

    windows: int = 10_000
    """Windows in one prediction."""

    clips: int = 100_000
    """Clips of one video that are rated for highlights."""

    new_tokens: int = 32_768
    """Tokens of one answer that a model may write."""

    moments: int = 100_000
    """Moments asked for with one query."""

    picture_pixels: int = 8192 * 8192
    """Pixels of one picture of a video, or of a picture file."""

    frames: int = 16_384
    """Frames of a video, or of one of its windows, looked at in one pass."""

    streamed_frames: int = 1_000_000
    """Frames in which a whole video is read at a rate."""

    video_windows: int = 10_000
    """Windows into which one video is cut."""

    remote_bytes: int = 64 * 2**30
    """Bytes of one video that is fetched from an object store."""

    decoder_bytes: int = 4 * 2**30
    """Memory of the process in which a server decodes one video."""

    def check(self, name: str, value: float, what: str, error: type[VideoExpertError] = InputError) -> None:
        """Raises ``error`` where ``value`` is above the limit ``name``; ``what`` begins the sentence."""
        most = getattr(self, name)
        if value > most:
            raise error(f"{what}, at most {most:,} are allowed; set {variable(name)} to allow more.")


def variable(name: str) -> str:
    """The environment variable of a limit."""
    return PREFIX + name.upper()


def table() -> str:
    """Every limit as a row of Markdown, with what it bounds; docs/security.md shows it."""
    text = inspect.getsource(Limits)
    said = dict(re.findall(r'(\w+): int = [^\n]+\n +"""([^"]+)"""', text))
    rows = [f"| `{variable(f.name)}` | {f.default:,} | {said[f.name].rstrip('.')} |" for f in fields(Limits)]
    return "\n".join(["| variable | default | bounds |", "|---|---|---|", *rows]) + "\n"


def limits() -> Limits:
    """The limits in force now. Raises InputError where a variable does not hold a whole number above 0."""
    found: dict[str, Any] = {}
    for field in fields(Limits):
        text = os.environ.get(variable(field.name))
        if text is None:
            continue
        plain = text.strip().replace("_", "")
        if not re.fullmatch(r"0*[1-9]\d{0,17}", plain, re.ASCII):
            raise InputError(f"{variable(field.name)} is {text!r}, expected a whole number above 0.")
        found[field.name] = int(plain)
    return Limits(**found)


__all__ = ["MOST_SEED", "Limits", "limits", "table", "variable"]
