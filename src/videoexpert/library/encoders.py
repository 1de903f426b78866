"""What turns a video into a shard: frame embeddings for recall, and visual tokens for the expert."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch.nn.functional import normalize

from ..assets import SHIPPED_CLIP
from ..backends.expert import Expert
from ..errors import CheckpointError, InputError, UnsupportedError
from ..types import VisualTokens
from ..video.glance import glance
from ..video.stream import read_windows, stream_frames
from ..vision.image_text import ImageTextTower, load_tower
from .shards import Shard

RATE = 1.0
# seconds of video that an expert's frames are spread over, and how far two windows overlap
WINDOW_S, OVERLAP_S = 30.0, 5.0
# pictures that are encoded together
BATCH = 32


class LibraryEncoder(Protocol):
    """``fields`` name all that the shard depends on: libraries keep what two encoders made apart."""

    fields: dict[str, Any]
    width: int

    def encode(self, path: str | os.PathLike[str]) -> Shard:
        """One pass over a video. Raises VideoError."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """(Q, C) unit rows in the space of the embeddings."""
        ...

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        """(N, 3, h, w) uint8 pictures to (N, C) unit rows in the same space."""
        ...


class TowerEncoder:
    """Frames at ``rate`` a second through a contrastive tower; no tokens, so nothing can be reranked."""

    def __init__(self, tower: ImageTextTower, rate: float = RATE) -> None:
        _check_rate(rate)
        self.tower, self.rate, self.width = tower, rate, tower.width
        self.fields = {**_tower_fields(tower), "rate": rate}
        self.encode_texts, self.encode_images = tower.encode_texts, tower.encode_images

    def encode(self, path: str | os.PathLike[str]) -> Shard:
        """One pass over a video; BATCH pictures in memory. Raises VideoError."""
        rows, times, waiting = [], [], []
        for time_s, picture in stream_frames(path, self.rate, resize=self.tower.resize):
            times.append(time_s)
            waiting.append(picture)
            if len(waiting) == BATCH:
                rows.append(self.tower.encode_images(torch.stack(waiting)))
                waiting = []
        if waiting:
            rows.append(self.tower.encode_images(torch.stack(waiting)))
        return Shard(glance(path).duration_s, torch.cat(rows), torch.tensor(times, dtype=torch.float64))


class ExpertEncoder:
    """Windows through an expert's vision tower: T- and S-tokens, and its T-tokens at ``rate`` a second as embeddings.

    A T-token is the class token behind CLIP's projection, which is CLIP's embedding of the frame but for its length. So
    one pass gives both. ``tower`` is the CLIP model that the vision tower is a half of; its text half reads queries.
    """

    def __init__(
        self, expert: Expert, tower: ImageTextTower, rate: float = RATE, window_s: float = WINDOW_S
    ) -> None:
        _check_rate(rate)
        if window_s <= OVERLAP_S:
            raise InputError(
                f"window_s is {window_s}, expected more than the {OVERLAP_S:g} s by which windows overlap."
            )
        self.expert, self.tower, self.rate, self.window_s, self.width = (
            expert,
            tower,
            rate,
            window_s,
            tower.width,
        )
        self.fields = {
            **_tower_fields(tower),
            "rate": rate,
            "tokens": expert.digest,
            "frames": expert.config.num_frames,
            "window": window_s,
        }
        self.encode_texts, self.encode_images = tower.encode_texts, tower.encode_images

    def encode(self, path: str | os.PathLike[str]) -> Shard:
        """One pass over a video; the windows of one moment in memory. Raises VideoError."""
        config, tokens, rows, times = self.expert.config, [], [], []
        last = -np.inf
        windows = read_windows(
            path,
            self.window_s,
            config.num_frames,
            overlap_s=OVERLAP_S,
            resize=self.expert.model.vision.preprocessor.resize,
            sampling="centre" if config.frame_times == "centre" else "linspace",
        )
        for frames in windows:
            made = self.expert.model.encode_video(frames, self.expert.batch_size)
            tokens.append(
                VisualTokens(made.temporal.cpu(), made.spatial.cpu(), made.duration_s, made.start_s)
            )
            for time_s, row in zip(
                frames.times_s.tolist(), normalize(made.temporal.float(), dim=-1).cpu(), strict=True
            ):
                # half a step early is near enough, so that a rate above the windows' own keeps every frame
                if time_s >= last + 1 / self.rate - 0.5 / self.rate * (last < 0):
                    rows.append(row)
                    times.append(time_s)
                    last = time_s
        end = max(t.start_s + t.duration_s for t in tokens)
        return Shard(end, torch.stack(rows), torch.tensor(times, dtype=torch.float64), tuple(tokens))


def encoder_of(backend: Any, rate: float = RATE) -> LibraryEncoder:
    """The encoder that goes with a backend. Raises UnsupportedError for one whose pictures no sentence can meet."""
    if isinstance(backend, Expert):
        return ExpertEncoder(backend, load_tower(_clip_of(backend)), rate)
    tower = getattr(backend, "tower", None)
    if isinstance(tower, ImageTextTower):
        return TowerEncoder(tower, rate)
    raise UnsupportedError(
        f"{backend.name!r} has no embeddings to search by; index with the shipped model or `--model contrastive:NAME`, "
        "and name this one with `search --rerank`."
    )


def _clip_of(expert: Expert) -> str | Path:
    """The CLIP model that an expert's vision tower is a half of."""
    if expert.name == "shipped":
        return SHIPPED_CLIP
    name = expert.config.vision_name
    if not name:
        raise CheckpointError(
            f"the model {expert.name!r} does not say which CLIP model its vision tower comes from (vision_name in its "
            "config); index with `--model contrastive:NAME` instead."
        )
    return name


def _tower_fields(tower: ImageTextTower) -> dict[str, Any]:
    return {
        "name": Path(tower.name).name,
        "revision": tower.revision,
        "preprocessing": str(tower.preprocessing),
    }


def _check_rate(rate: float) -> None:
    if not 0.01 <= rate <= 60:
        raise InputError(f"rate is {rate:g} pictures a second, expected 0.01 to 60.")
