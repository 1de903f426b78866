"""The language model's input: ``[system text][T][S][question][answer]``, and several questions behind one prefix.

Token roles are decided here, once, where the visual tokens are laid out; nothing downstream guesses a position.
A question is a segment: it sees the prefix and itself, never another question (block-causal), and its positions go on
from the prefix as if it were alone. Packed and single are therefore equal to rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from ..types import TokenRole

IGNORED = -100  # in labels: not supervised
PADDING = -1


@dataclass(frozen=True)
class Segment:
    """Token ids of one question and, in training, its answer: what follows the video in the prompt.

    labels          same length as ids, IGNORED where nothing is supervised
    loc_positions   places of ``<LOC>`` in ids
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...] = ()
    loc_positions: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.ids:
            raise ValueError("a segment needs at least one token")
        if self.labels and len(self.labels) != len(self.ids):
            raise ValueError(f"{len(self.ids)} ids but {len(self.labels)} labels")
        if self.labels and self.labels[0] != IGNORED:
            raise ValueError("the first token of a segment cannot be supervised: nothing of it comes before")


@dataclass(frozen=True)
class TokenSequence:
    """A batch for the language model. B rows (videos), L positions.

    input_ids       (B, L) ids; 0 at visual and padding positions
    roles           (B, L) TokenRole
    segments        (B, L) 0 the prefix, k the k-th question, PADDING after the end
    position_ids    (B, L)
    labels          (B, L)
    loc_positions   (Q, 2) row and position of every ``<LOC>``, row-major
    temporal_span   first and last + 1 position of the T-tokens, where that is the same in every row
    """

    input_ids: Tensor
    roles: Tensor
    segments: Tensor
    position_ids: Tensor
    labels: Tensor
    loc_positions: Tensor
    temporal_span: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> TokenSequence:
        """The same batch on a device; accelerate calls this for the Trainer."""
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
            for f in fields(self)
            if isinstance(getattr(self, f.name), Tensor)
        }
        return replace(self, **moved)


def build_sequence(
    prefixes: Sequence[Sequence[int]],
    questions: Sequence[Sequence[Segment]],
    *,
    num_frames: int,
    num_spatial_tokens: int,
) -> TokenSequence:
    """Lay out B rows: text before the video, N T-tokens, M S-tokens, then the row's questions one after the other."""
    rows = [
        _build_row(prefix, segments, num_frames, num_spatial_tokens)
        for prefix, segments in zip(prefixes, questions, strict=True)
    ]
    length = max(len(row["input_ids"]) for row in rows)
    fill = {
        "input_ids": 0,
        "roles": int(TokenRole.TEXT),
        "segments": PADDING,
        "position_ids": 0,
        "labels": IGNORED,
    }
    tensors = {
        name: torch.tensor([row[name] + [value] * (length - len(row[name])) for row in rows])
        for name, value in fill.items()
    }
    locs = [(b, p) for b, row in enumerate(rows) for p in row["loc_positions"]]
    lengths = {len(prefix) for prefix in prefixes}
    first = lengths.pop()
    return TokenSequence(
        **tensors,
        loc_positions=torch.tensor(locs, dtype=torch.long).reshape(-1, 2),
        temporal_span=None if lengths else (first, first + num_frames),
    )


def pad_rows(rows: Sequence[Sequence[int]], multiple: int = 1, fill: int = 0) -> Tensor:
    """(R, S) of rows of different length, ``fill`` after the end of the shorter; S is a multiple of ``multiple``."""
    longest = max(len(row) for row in rows)
    width = -(-longest // multiple) * multiple
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows])


def _build_row(prefix: Sequence[int], questions: Sequence[Segment], n: int, m: int) -> dict[str, list[int]]:
    first = len(prefix) + n + m
    row: dict[str, list[int]] = {
        "input_ids": [*prefix, *[0] * (n + m)],
        "roles": [int(TokenRole.TEXT)] * len(prefix)
        + [int(TokenRole.TEMPORAL)] * n
        + [int(TokenRole.SPATIAL)] * m,
        "segments": [0] * first,
        "position_ids": list(range(first)),
        "labels": [IGNORED] * first,
        "loc_positions": [],
    }
    for number, segment in enumerate(questions, start=1):
        count, offset = len(segment.ids), len(row["input_ids"])
        row["input_ids"] += segment.ids
        row["roles"] += [int(TokenRole.TEXT)] * count
        row["segments"] += [number] * count
        row["position_ids"] += range(first, first + count)
        row["labels"] += segment.labels or [IGNORED] * count
        row["loc_positions"] += [offset + p for p in segment.loc_positions]
    return row


def block_causal_mask(segments: Tensor, past: int = 0) -> Tensor | None:
    """(B, L) segments -> (B, 1, L, past + L) bool, true where attention is allowed; None where plain causal does.

    ``past`` cached prefix positions are visible to all. With one question a row (padding last), plain causal attention
    is the same thing and needs no mask.
    """
    if int(segments.max()) <= 1 and past == 0:
        return None
    length = segments.shape[1]
    place = torch.arange(length, device=segments.device)
    causal = place[:, None] >= place[None, :]
    same = segments[:, :, None] == segments[:, None, :]
    allowed = causal & (same | (segments == 0)[:, None, :])
    if past:
        seen = torch.ones(len(segments), length, past, dtype=torch.bool, device=segments.device)
        allowed = torch.cat([seen, allowed], dim=-1)
    return allowed[:, None]
