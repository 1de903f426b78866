"""Visual tokens of synthetic videos, rendered and encoded once into a feature store; a killed build resumes."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..checkpoints.folder import load_vision
from ..config import VideoExpertConfig
from ..features.encode import weights_digest
from ..features.store import EncoderId, FeatureStore, ShardWriter
from ..runtime import clean_start
from ..synthetic.render import render
from ..synthetic.world import Script, sample_script
from ..types import Frames, VisualTokens
from ..video.sampling import bin_centres
from ..vision.encoder import VisionEncoder
from ..vision.tokens import visual_tokens

SHARD = 100
GRAIN = 3.0  # grey levels of noise, in place of what a video codec leaves


@dataclass(frozen=True)
class RenderRecipe:
    """Which videos: ``count`` scripts of ``levels``, drawn evenly; ``size`` pixels a side before the encoder."""

    count: int
    levels: tuple[int, ...]
    seed: int
    size: int


class RenderedSource:
    """Scripts with tokens from the feature store of ``build``."""

    def __init__(self, recipe: RenderRecipe, store: FeatureStore) -> None:
        self.recipe, self.store = recipe, store

    def __len__(self) -> int:
        return self.recipe.count

    def __getitem__(self, index: int) -> tuple[Script, VisualTokens]:
        tokens = self.store[_key(index)]
        script = script_of(self.recipe, index)
        return script, VisualTokens(tokens.temporal.float(), tokens.spatial.float(), script.duration)


def script_of(recipe: RenderRecipe, index: int) -> Script:
    """The script of one video, whatever else is built."""
    rng = random.Random(f"rendered-{recipe.seed}-{index}")
    return sample_script(rng, rng.choice(recipe.levels), f"v{index}")


def build(
    clip_folder: Path,
    config: VideoExpertConfig,
    recipe: RenderRecipe,
    folder: Path,
    *,
    workers: int | None = None,
    log: Callable[[str], None] = print,
) -> RenderedSource:
    """Render and encode every video that the feature store in ``folder`` lacks; shards appear whole or not at all.

    Raises InputError for a folder of another recipe's or another encoder's videos.
    """
    store = FeatureStore.create(folder, _encoder(clip_folder, config, recipe))
    shards = range(math.ceil(recipe.count / SHARD))
    todo = [s for s in shards if any(_key(index) not in store for index in _videos(recipe, s))]
    jobs = [(str(clip_folder), config.to_dict(), recipe, store, shard, len(shards)) for shard in todo]
    if len(jobs) <= 1:  # starting other processes would cost more than the work
        for job in jobs:
            _build_shard(*job)
    else:
        with ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=clean_start(__name__)) as pool:
            running = [pool.submit(_build_shard, *job) for job in jobs]
            for done, ended in enumerate(running, start=1):
                ended.result()
                if done % 10 == 0 or done == len(jobs):
                    log(f"rendered and encoded {done} of {len(jobs)} shards")
    store.refresh()
    return RenderedSource(recipe, store)


def _key(index: int) -> str:
    return f"v{index}"


def _videos(recipe: RenderRecipe, shard: int) -> range:
    return range(shard * SHARD, min((shard + 1) * SHARD, recipe.count))


def _encoder(clip_folder: Path, config: VideoExpertConfig, recipe: RenderRecipe) -> EncoderId:
    """What the tokens depend on: the tower, the config, and how and which videos are rendered."""
    made = EncoderId.of_config(config, weights=weights_digest(load_vision(clip_folder)))
    rendered = {"render.seed": recipe.seed, "render.size": recipe.size, "render.levels": list(recipe.levels)}
    return EncoderId({**made.fields, **rendered})


def _build_shard(
    clip_folder: str,
    fields: dict[str, Any],
    recipe: RenderRecipe,
    store: FeatureStore,
    shard: int,
    shards: int,
) -> None:
    torch.set_num_threads(1)
    vision = load_vision(clip_folder)
    config = VideoExpertConfig.from_dict(fields)
    with ShardWriter(store, rank=shard, world_size=shards, shard_videos=SHARD) as writer:
        for index in _videos(recipe, shard):
            key = _key(index)  # also identifies the content: there is no file
            writer.add(key, encode_script(vision, config, recipe, index), key)


def encode_script(
    vision: VisionEncoder, config: VideoExpertConfig, recipe: RenderRecipe, index: int
) -> VisualTokens:
    """One script through rendering, encoder and compressor, at the frames that decoding its mp4 would pick."""
    script = script_of(recipe, index)
    rate = script.frame_rate
    times = np.floor(bin_centres(config.num_frames, 0.0, script.duration) * rate) / rate
    pixels = render(script, times, recipe.size)
    noise = torch.randn(
        pixels.shape, generator=torch.Generator().manual_seed(recipe.seed * 1_000_003 + index)
    )
    pixels = (pixels.float() + GRAIN * noise).clamp_(0, 255).to(torch.uint8)
    frames = Frames(pixels, torch.from_numpy(times), script.duration)
    return visual_tokens(vision, config, [frames], batch_size=64)[0]
