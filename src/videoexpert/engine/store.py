"""Prefixes of open videos, bounded by bytes: the least recently asked goes first."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Hashable
from functools import cached_property

import torch
from torch import Tensor

from ..language.passes import Prefix
from ..types import Stretch, VisualTokens


class Opened:
    """Visual tokens of an open video: what its prefix is computed from, and again where the store let it go."""

    def __init__(self, tokens: VisualTokens) -> None:
        self._tokens = tokens

    @property
    def tokens(self) -> VisualTokens:
        """T- and S-tokens."""
        return self._tokens

    @property
    def clip(self) -> Stretch:
        """The part of the video that the tokens are of."""
        return self.tokens.stretch

    @cached_property
    def key(self) -> bytes:
        """Digest of the tokens. They follow from the file's content, the clip and the encoder's config."""
        tokens, digest = self.tokens, hashlib.blake2b(digest_size=16)
        for tensor in (tokens.temporal, tokens.spatial):
            digest.update(repr((tuple(tensor.shape), str(tensor.dtype))).encode())
            digest.update(as_bytes(tensor))
        return digest.digest()


def as_bytes(tensor: Tensor) -> bytes:
    """The tensor's numbers as they are in memory."""
    return tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes()


class PrefixStore:
    """Prefixes by key, at most ``limit`` bytes of them. Threads may share it.

    A prefix that is larger than the limit by itself is not kept: its video is opened anew for every call.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._lock = threading.Lock()
        self._prefixes: OrderedDict[Hashable, Prefix] = OrderedDict()
        self._bytes = 0

    @property
    def nbytes(self) -> int:
        """Bytes of all prefixes kept."""
        return self._bytes

    def __len__(self) -> int:
        return len(self._prefixes)

    def get(self, key: Hashable) -> Prefix | None:
        """The prefix, from now on the most recently asked; None where the store has none."""
        with self._lock:
            found = self._prefixes.get(key)
            if found is not None:
                self._prefixes.move_to_end(key)
            return found

    def put(self, key: Hashable, prefix: Prefix) -> None:
        """Keep a prefix; the least recently asked make room for it."""
        with self._lock:
            before = self._prefixes.pop(key, None)
            self._bytes += prefix.nbytes - (before.nbytes if before else 0)
            self._prefixes[key] = prefix
            while self._bytes > self.limit:
                _, gone = self._prefixes.popitem(last=False)
                self._bytes -= gone.nbytes

    def drop(self, key: Hashable) -> None:
        """Let one go, if it is there."""
        with self._lock:
            gone = self._prefixes.pop(key, None)
            self._bytes -= gone.nbytes if gone else 0

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._prefixes.clear()
            self._bytes = 0
