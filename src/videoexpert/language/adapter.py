"""Vision-language adapter: T- and S-tokens to the language model's width (paper Eq. 5)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Adapter(nn.Module):
    """One linear layer C -> D for both kinds of token.

    Deviation, off by default: with ``temporal_differences`` a second linear layer adds to each T-token what its class
    token differs by from those at the given frame offsets. A very small language model sees motion no other way.
    """

    def __init__(
        self, vision_width: int, language_width: int, temporal_differences: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.offsets = tuple(temporal_differences)
        self.linear = nn.Linear(vision_width, language_width)
        self.motion = (
            nn.Linear(len(self.offsets) * vision_width, language_width, bias=False) if self.offsets else None
        )

    def forward(self, temporal: Tensor, spatial: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, C) T-tokens and (B, M, C) S-tokens -> (B, N, D) and (B, M, D)."""
        temporal, spatial = temporal.to(self.linear.weight.dtype), spatial.to(self.linear.weight.dtype)
        frames = self.linear(temporal)
        if self.motion is not None:
            frames = frames + self.motion(frame_differences(temporal, self.offsets))
        return frames, self.linear(spatial)


def frame_differences(temporal: Tensor, offsets: Sequence[int]) -> Tensor:
    """(B, N, C) -> (B, N, len(offsets) * C): token i + o minus token i; the ends repeat past the video."""
    count = temporal.shape[1]
    place = torch.arange(count, device=temporal.device)
    parts = [temporal[:, (place + offset).clamp(0, count - 1)] - temporal for offset in offsets]
    return torch.cat(parts, dim=-1)
