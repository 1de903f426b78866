"""Temporal head: states at the frame tokens and at ``<LOC>`` -> indicator and boundaries of every frame.

Paper Section III-B and Eq. 10, fusion variants of Table VI. Letters: B videos, Q queries (one per ``<LOC>``),
N frames, D language width, H head width.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import InputError

ATTENTION_HEADS = 8
STOCHASTIC_DEPTH = 0.1


class HeadOutput(NamedTuple):
    """What the head says of each frame, before the sigmoids.

    indicator_logits    (Q, N) the frame is inside the moment
    boundary_logits     (Q, N, 2) distances from the frame to start and end of its moment
    """

    indicator_logits: Tensor
    boundary_logits: Tensor

    @property
    def indicator(self) -> Tensor:
        """(Q, N) float32 probability that the frame is inside the moment."""
        return self.indicator_logits.float().sigmoid()

    @property
    def offsets(self) -> Tensor:
        """(Q, N, 2) float32 distances to start (left) and end (right), as fractions of the duration."""
        return self.boundary_logits.float().sigmoid()


class TemporalHead(nn.Module):
    """Projection D -> D -> H shared by frames and ``<LOC>``, fusion (Eq. 10), two convolutional branches.

    Deviation from the paper's text: it puts a ReLU after each of the three convolutions, which before a
    sigmoid would forbid probabilities under one half; as in the released code the last one has none.

    Raises InputError for an unknown ``fusion``, or ``attention`` with H no multiple of 8.
    """

    def __init__(self, hidden_width: int, head_width: int = 512, fusion: str = "add") -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise InputError(f"fusion is {fusion!r}, expected one of {', '.join(FUSIONS)}.")
        self.projection = nn.Sequential(
            nn.Linear(hidden_width, hidden_width), nn.ReLU(), nn.Linear(hidden_width, head_width)
        )
        self.fusion = FUSIONS[fusion](head_width)
        self.indicator_branch = convolutional_branch(head_width, 1)
        self.boundary_branch = convolutional_branch(head_width, 2)

    def project(self, states: Tensor) -> Tensor:
        """(..., D) -> (..., H); the same two layers serve frames and ``<LOC>``."""
        return self.projection(states)

    def predict(self, frames: Tensor, locs: Tensor, rows: Tensor | None = None) -> HeadOutput:
        """``forward`` from projected frames (B, N, H) and ``<LOC>`` (Q, H): project once, ask often."""
        if rows is None and len(frames) != len(locs):
            raise ValueError(
                f"{len(frames)} videos for {len(locs)} <LOC> states: rows must say which is whose"
            )
        apart = isinstance(self.fusion, AddFusion)
        fused = frames if apart else self.fusion(frames if rows is None else frames[rows], locs)
        found = []
        for branch in (self.indicator_branch, self.boundary_branch):
            first, second, last = (branch[place] for place in (0, 2, 4))
            hidden = convolved(first, fused)
            # a convolution is linear: that of a sum is the sum of what frames give and what <LOC> gives
            if apart:
                alone = rows is None or len(hidden) == 1
                hidden = add_everywhere(hidden if alone else hidden[rows], first, locs)
            found.append(convolved(last, convolved(second, hidden.relu_()).relu_()))
        return HeadOutput(indicator_logits=found[0].squeeze(-1), boundary_logits=found[1])

    def forward(self, frame_states: Tensor, loc_states: Tensor, rows: Tensor | None = None) -> HeadOutput:
        """Frame states (B, N, D) and ``<LOC>`` states (Q, D) -> (Q, N) and (Q, N, 2) logits.

        ``rows`` (Q,) says which of the B videos each ``<LOC>`` belongs to; without it B = Q, one to one.
        """
        return self.predict(self.project(frame_states), self.project(loc_states), rows)


def convolutional_branch(width: int, outputs: int) -> nn.Sequential:
    """Three 1-D convolutions over frames, kernel 3, zero padding: (Q, H, N) -> (Q, outputs, N)."""
    return nn.Sequential(
        nn.Conv1d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv1d(width, outputs, 3, padding=1),
    )


def convolved(convolution: nn.Module, frames: Tensor) -> Tensor:
    """A branch's convolution, (Q, N, H) -> (Q, N, outputs).

    As a picture of height one: its layout with channels last is that of the frames, so nothing is copied, and it is
    faster by a third on a CPU.
    """
    weight, bias = convolution.weight, convolution.bias
    assert isinstance(weight, Tensor)
    assert isinstance(bias, Tensor)
    found = F.conv2d(frames.transpose(1, 2).unsqueeze(2), weight.unsqueeze(2), bias, padding=(0, 1))
    return found.squeeze(2).transpose(1, 2)


def add_everywhere(found: Tensor, convolution: nn.Module, locs: Tensor) -> Tensor:
    """``found`` (Q or 1, N, outputs) plus what the convolution makes of ``<LOC>`` (Q, H), the same at every frame.

    That is one vector for all frames, less what the first and the last frame lack: their neighbour outside is zero.
    """
    weight = convolution.weight
    assert isinstance(weight, Tensor)
    taps = F.linear(locs, weight.permute(2, 0, 1).flatten(0, 1))
    before, here, after = taps.unflatten(-1, (3, -1)).unbind(1)
    found = found + (before + here + after)[:, None]
    found[:, 0] -= before
    found[:, -1] -= after
    return found


class AddFusion(nn.Module):
    """Frame + ``<LOC>``; the paper's default."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, frames: Tensor, locs: Tensor) -> Tensor:
        return frames + locs[:, None]


class ConcatFusion(nn.Module):
    """Two linear layers over (frame, ``<LOC>``): 2H -> 2H -> H."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.ReLU(), nn.Linear(2 * width, width))

    def forward(self, frames: Tensor, locs: Tensor) -> Tensor:
        return self.layers(torch.cat([frames, locs[:, None].expand_as(frames)], dim=-1))


class NoFusion(nn.Module):
    """Frames alone ("w/o <LOC>" in Table VI): every query on a video gets the same answer."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, frames: Tensor, locs: Tensor) -> Tensor:
        return frames


class AttentionFusion(nn.Module):
    """One post-norm transformer encoder layer over N frames and one ``<LOC>``; its frame outputs are used.

    Query and key of the frames carry a sine position; ``<LOC>`` has none. Training drops each residual branch
    for a tenth of the queries (stochastic depth of the released code).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        if width % ATTENTION_HEADS:
            raise InputError(
                f"head_width is {width}, expected a multiple of {ATTENTION_HEADS} for fusion 'attention'."
            )
        self.token_type = nn.Embedding(2, width)  # row 0: <LOC>, row 1: frames
        nn.init.normal_(self.token_type.weight, std=0.02)
        self.attention = nn.MultiheadAttention(width, ATTENTION_HEADS, batch_first=True)
        self.feed_forward = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward_norm = nn.LayerNorm(width)

    def forward(self, frames: Tensor, locs: Tensor) -> Tensor:
        loc_type, frame_type = self.token_type.weight
        tokens = torch.cat([frames + frame_type, (locs + loc_type)[:, None]], dim=1)
        position = F.pad(position_table(frames.shape[1], frames.shape[2], frames.device), (0, 0, 0, 1))
        placed = tokens + position.to(tokens.dtype)
        attended, _ = self.attention(placed, placed, tokens, need_weights=False)
        tokens = self.attention_norm(tokens + self._drop_branch(attended))
        tokens = self.feed_forward_norm(tokens + self._drop_branch(self.feed_forward(tokens)))
        return tokens[:, :-1]

    def _drop_branch(self, branch: Tensor) -> Tensor:
        if not self.training:
            return branch
        keep = 1.0 - STOCHASTIC_DEPTH
        kept = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return branch * kept.to(branch.dtype) / keep


# The rows of Table VI by their names in the config (config.py CHOICES). Each is made with the width H and maps frames
# (Q, N, H) and ``<LOC>`` (Q, H) to frames (Q, N, H).
FUSIONS: dict[str, type[nn.Module]] = {
    "add": AddFusion,
    "concat": ConcatFusion,
    "attention": AttentionFusion,
    "none": NoFusion,
}


def position_table(num_frames: int, width: int, device: torch.device | None = None) -> Tensor:
    """(N, H) sine and cosine of each frame's place in the video, for ``AttentionFusion``.

    Always rounded to bfloat16, with no switch for it: the released weights were trained with the rounded
    table, and 8 bits are exact enough for a place in the video, so one table serves every preset.
    Computed when needed: a buffer outside the weights would not survive loading through the meta device.
    """
    place = torch.arange(1, num_frames + 1, dtype=torch.float32, device=device) / (num_frames + 1e-6)
    channel = torch.arange(width, dtype=torch.float32, device=device)
    wavelength = 10000 ** (2 * torch.div(channel, 2, rounding_mode="floor") / width)
    angle = (place * (2 * math.pi))[:, None] / wavelength
    table = torch.where(channel % 2 == 0, angle.sin(), angle.cos())
    return table.bfloat16().float()
