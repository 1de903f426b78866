"""Prefixes of open videos, bounded by bytes: the least recently asked goes first."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Hashable
from functools import cached_property

import torch
from torch import Tensor

from ..errors import InputError
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


DEVICE_VARIABLE, HOST_VARIABLE = "VIDEOEXPERT_PREFIX_BYTES", "VIDEOEXPERT_PREFIX_HOST_BYTES"


def _bytes_of(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if text and not text.isdecimal():
        raise InputError(f"{variable} is {text!r}, expected a whole number of bytes, at least 0.")
    return int(text) if text else default


class PrefixStore:
    """Prefixes by key, at most ``limit`` bytes of them on the model's device. Threads may share it.

    Of those that have to go, up to ``host_limit`` bytes wait in main memory, pinned where there is a GPU, and come back
    when they are asked; 0: none, their videos are opened anew. So is, for every call, one larger than the limit.
    """

    def __init__(self, limit: int, host_limit: int = 0) -> None:
        self.limit, self.host_limit = limit, host_limit
        self._lock = threading.Lock()
        self._here, self._waiting = _Shelf(), _Shelf()

    @classmethod
    def of_environment(cls, limit: int) -> PrefixStore:
        """One with the limits that $VIDEOEXPERT_PREFIX_BYTES and $VIDEOEXPERT_PREFIX_HOST_BYTES set, else these.

        Raises InputError for one that is no number of bytes.
        """
        return cls(_bytes_of(DEVICE_VARIABLE, limit), _bytes_of(HOST_VARIABLE, 0))

    @property
    def nbytes(self) -> int:
        """Bytes of the prefixes on the device."""
        return self._here.nbytes

    @property
    def host_nbytes(self) -> int:
        """Bytes of those that wait in main memory."""
        return self._waiting.nbytes

    def __len__(self) -> int:
        return len(self._here.prefixes) + len(self._waiting.prefixes)

    def get(self, key: Hashable) -> Prefix | None:
        """The prefix, from now on the most recently asked; None where the store has none."""
        with self._lock:
            found = self._here.take(key)
            if found is None:
                waiting = self._waiting.take(key)
                found = None if waiting is None else waiting.back()
            if found is not None:
                self._keep(key, found)
            return found

    def put(self, key: Hashable, prefix: Prefix) -> None:
        """Keep a prefix; the least recently asked make room for it."""
        with self._lock:
            self._here.take(key)
            self._waiting.take(key)
            self._keep(key, prefix)

    def _keep(self, key: Hashable, prefix: Prefix) -> None:
        self._here.add(key, prefix)
        while self._here.nbytes > self.limit:
            oldest, gone = self._here.oldest()
            if gone.nbytes <= self.host_limit:
                self._waiting.add(oldest, gone.in_main_memory())
        while self._waiting.nbytes > self.host_limit:
            self._waiting.oldest()

    def drop(self, key: Hashable) -> None:
        """Let one go, if it is there."""
        with self._lock:
            self._here.take(key)
            self._waiting.take(key)

    def clear(self) -> None:
        """Let all go."""
        with self._lock:
            self._here, self._waiting = _Shelf(), _Shelf()


class _Shelf:
    """Prefixes in the order in which they were asked, and their bytes."""

    def __init__(self) -> None:
        self.prefixes: OrderedDict[Hashable, Prefix] = OrderedDict()
        self.nbytes = 0

    def add(self, key: Hashable, prefix: Prefix) -> None:
        self.prefixes[key] = prefix
        self.nbytes += prefix.nbytes

    def take(self, key: Hashable) -> Prefix | None:
        found = self.prefixes.pop(key, None)
        self.nbytes -= found.nbytes if found else 0
        return found

    def oldest(self) -> tuple[Hashable, Prefix]:
        key, gone = self.prefixes.popitem(last=False)
        self.nbytes -= gone.nbytes
        return key, gone
