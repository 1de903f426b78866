"""Our model on visual tokens from a feature store: no video is decoded, and an answer costs milliseconds."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InputError
from ..features.lighthouse import ClipFeatures
from ..features.store import FeatureStore, video_key
from .base import OpenVideo
from .expert import Expert


class StoredExpert:
    """An Expert that opens videos by their key in a store."""

    def __init__(self, expert: Expert, store: FeatureStore | ClipFeatures) -> None:
        self.expert, self.store = expert, store
        self.name, self.can, self.videos_together = expert.name, expert.can, expert.videos_together
        self.ground_many, self.caption_many, self.ask_many = (
            expert.ground_many,
            expert.caption_many,
            expert.ask_many,
        )

    def describe(self) -> dict[str, Any]:
        return {**self.expert.describe(), "features": self.store.encoder.digest}

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> OpenVideo:
        """The stored video, or its part, of that key.

        Raises MissingVideoError, a DataError, for one that the store lacks, InputError for half a part or
        another number of frames.
        """
        if (start is None) != (end is None) or num_frames is not None:
            raise InputError(
                "a stored video is opened as it was encoded; name its start and its end, or neither."
            )
        clip = None if start is None or end is None else (start, end)
        return self.expert.open_tokens(self.store[video_key(os.fspath(path), clip)], os.fspath(path))


__all__ = ["StoredExpert"]
