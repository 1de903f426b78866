"""Stage 2 as one step: frames of videos to their T- and S-tokens, as the config says."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..config import VideoExpertConfig
from ..types import Frames, VisualTokens
from .compressor import CompressorConfig, compress, random_tokens
from .encoder import VisionEncoder


@torch.no_grad()
def visual_tokens(
    vision: VisionEncoder, config: VideoExpertConfig, videos: Sequence[Frames], batch_size: int = 16
) -> list[VisualTokens]:
    """Stage 2: T-tokens (N, C) and S-tokens (M, C) of each video; encoder passes run across videos."""
    count = len(videos)
    pixels = torch.cat([video.pixels for video in videos]).to(vision.device)
    features = vision.encode(pixels, batch_size)
    cls, patches = features.cls.unflatten(0, (count, -1)), features.patches.unflatten(0, (count, -1))
    if config.spatial_tokens == "none":
        spatial = cls[:, :0]
    elif config.spatial_tokens == "random":
        spatial = random_tokens(patches, config.num_spatial_tokens)
    else:
        attention = features.cls_attention.unflatten(0, (count, -1))
        spatial = compress(cls, patches, attention, CompressorConfig.of(config))
    return [
        VisualTokens(t, s, video.duration_s, video.start_s, video.holes)
        for t, s, video in zip(cls, spatial, videos, strict=True)
    ]
