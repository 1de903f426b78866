"""Visual tokens of synthetic videos, rendered and encoded once, in shards; a killed build resumes."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from .. import files
from ..checkpoints.folder import load_vision
from ..config import VideoExpertConfig
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
    """Scripts with tokens from the shards of ``build``."""

    def __init__(self, recipe: RenderRecipe, folder: Path) -> None:
        self.recipe, self.folder = recipe, folder

    def __len__(self) -> int:
        return self.recipe.count

    def __getitem__(self, index: int) -> tuple[Script, VisualTokens]:
        shard, place = divmod(index, SHARD)
        temporal, spatial = _shard(self.folder / f"tokens-{shard:05d}.safetensors")
        script = script_of(self.recipe, index)
        return script, VisualTokens(temporal[place].float(), spatial[place].float(), script.duration)


def script_of(recipe: RenderRecipe, index: int) -> Script:
    """The script of one video, whatever else is built."""
    rng = random.Random(f"rendered-{recipe.seed}-{index}")
    return sample_script(rng, rng.choice(recipe.levels), f"v{index}")


@lru_cache(maxsize=256)
def _shard(path: Path) -> tuple[torch.Tensor, torch.Tensor]:
    stored = load_file(path)
    return stored["temporal"], stored["spatial"]


def build(
    clip_folder: Path,
    config: VideoExpertConfig,
    recipe: RenderRecipe,
    folder: Path,
    *,
    workers: int | None = None,
    log: Callable[[str], None] = print,
) -> RenderedSource:
    """Render and encode every video that ``folder`` lacks; shards appear whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    shards = range(math.ceil(recipe.count / SHARD))
    todo = [s for s in shards if not (folder / f"tokens-{s:05d}.safetensors").exists()]
    fields = config.to_dict()
    if len(todo) <= 1:  # starting other processes would cost more than the work
        for shard in todo:
            _build_shard(str(clip_folder), fields, recipe, str(folder), shard)
        return RenderedSource(recipe, folder)
    with ProcessPoolExecutor(workers or os.cpu_count() or 1, mp_context=clean_start(__name__)) as pool:
        jobs = [pool.submit(_build_shard, str(clip_folder), fields, recipe, str(folder), s) for s in todo]
        for done, job in enumerate(jobs, start=1):
            job.result()
            if done % 10 == 0 or done == len(jobs):
                log(f"rendered and encoded {done} of {len(jobs)} shards")
    return RenderedSource(recipe, folder)


def _build_shard(
    clip_folder: str, fields: dict[str, Any], recipe: RenderRecipe, folder: str, shard: int
) -> None:
    torch.set_num_threads(1)
    vision = load_vision(clip_folder)
    config = VideoExpertConfig.from_dict(fields)
    tokens = [
        encode_script(vision, config, recipe, index)
        for index in range(shard * SHARD, min((shard + 1) * SHARD, recipe.count))
    ]
    path = Path(folder) / f"tokens-{shard:05d}.safetensors"
    stacked = {
        "temporal": torch.stack([t.temporal for t in tokens]).half(),
        "spatial": torch.stack([t.spatial for t in tokens]).half(),
    }
    with files.whole_file(path) as part:
        save_file(stacked, part)


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
