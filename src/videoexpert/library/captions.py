"""Captions that a model writes while a video is indexed, from the tokens that are stored anyway."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..backends.expert import Expert
from .shards import Shard

Told = list[tuple[float, float, str]]


def captions_of(backend: Any) -> Callable[[Path, Shard], Told]:
    """(start, end, words) of the events of a video, in seconds, in the order of time."""

    def tell(path: Path, shard: Shard) -> Told:
        if not shard.tokens or not isinstance(backend, Expert):
            return [(m.start, m.end, m.text or "") for m in backend.open(path).caption()]
        windows = [backend.open_tokens(tokens, str(path)) for tokens in shard.tokens]
        # windows overlap: each describes the events whose middle is before the middle of its overlap with the next
        ends = [
            (one.start_s + one.duration_s + other.start_s) / 2
            for one, other in zip(shard.tokens, shard.tokens[1:], strict=False)
        ]
        found, begin = [], 0.0
        for told, end in zip(backend.caption_many(windows), [*ends, float("inf")], strict=True):
            found += [(m.start, m.end, m.text or "") for m in told if begin <= (m.start + m.end) / 2 < end]
            begin = end
        return found

    return tell
