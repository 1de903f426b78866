"""Visual tokens of many windows on disk: memory does not grow with a video's length."""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import Any

import torch
from torch import Tensor

from ..types import Stretch, VisualTokens
from .store import Opened, as_bytes


class Spool:
    """A file without a name that holds tokens as they come; it goes with the process, or with its last window."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # stays open as long as a window needs it
        self._end = 0
        weakref.finalize(self, self._file.close)

    def add(self, tokens: VisualTokens) -> Spooled:
        """Writes the tokens of a window; they are read again whenever its prefix is opened."""
        parts = []
        for tensor in (tokens.temporal, tokens.spatial):
            data = as_bytes(tensor)
            self._file.write(data)
            parts.append((self._end, len(data), tuple(tensor.shape), tensor.dtype))
            self._end += len(data)
        self._file.flush()
        return Spooled(self, parts, tokens.stretch, Opened(tokens).key)

    def read(self, offset: int, size: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """One tensor. Threads may read at a time."""
        if not size:
            return torch.zeros(shape, dtype=dtype)
        data = bytearray(os.pread(self._file.fileno(), size, offset))
        return torch.frombuffer(data, dtype=dtype).reshape(shape)


class Spooled(Opened):
    """A window whose tokens are in a spool."""

    def __init__(self, spool: Spool, parts: list[tuple[Any, ...]], clip: Stretch, key: bytes) -> None:
        self._spool, self._parts, self._clip = spool, parts, clip
        self.key = key

    @property
    def tokens(self) -> VisualTokens:
        """T- and S-tokens, read now."""
        temporal, spatial = (self._spool.read(*part) for part in self._parts)
        clip = self._clip
        return VisualTokens(temporal, spatial, clip.duration_s, clip.start_s, clip.holes)

    @property
    def clip(self) -> Stretch:
        """The part of the video that the tokens are of."""
        return self._clip
