"""Whether what the package carries was trained on videos like this one: its CLIP is the shipped model's own tower."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from ..checkpoints import folder as checkpoint
from ..features.clips import Clip
from ..features.encode import TokenEncoder
from ..vision.familiarity import Familiarity


def package_familiarity(
    path: str | os.PathLike[str], start: float | None = None, end: float | None = None
) -> float | None:
    """As of the shipped model's ``Video.familiarity``; None where the package does not know. Raises as ``open``."""
    encoder, known = _shipped()
    if known is None:
        return None
    (tokens,) = encoder.encode([encoder.read(Clip("", Path(path), start, end))])
    return known(tokens)


@lru_cache(maxsize=1)
def _shipped() -> tuple[TokenEncoder, Familiarity | None]:
    model, _ = checkpoint.load(checkpoint.shipped())
    return TokenEncoder.of(model), model.familiarity


__all__ = ["package_familiarity"]
