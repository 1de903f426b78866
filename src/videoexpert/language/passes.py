"""Many rows behind shared prefixes.

A prefix is the part of the prompt that all questions on a video share. A row is one question: it sees the prefix of
its video and itself. In shapes: V prefixes, R rows, S positions a row, P positions of a prefix, H heads over K
key-value heads with G = H / K, d numbers a head.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from .attention import as_bias, attending
from .caching import with_cache


@dataclass(frozen=True)
class Prefix:
    """``[system][T][S]`` of one video, computed once, and the ``stem``: how its grounding questions all begin.

    keys, values        for each layer (K, P + len(stem), d)
    frame_states        (N, D) states at the T-tokens
    projected_frames    (N, H) the head's projection of them; (N, 0) without a head
    length              P, the positions that every question sees; those of the stem come after
    home                the device that it was on, while it waits in main memory
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    frame_states: Tensor
    projected_frames: Tensor
    length: int
    stem: tuple[int, ...] = ()
    home: torch.device | None = None

    def in_main_memory(self) -> Prefix:
        """A copy off its device, which it remembers; pinned where there is a GPU, so that it comes back quickly."""
        pinned = torch.cuda.is_available()

        def off(tensor: Tensor) -> Tensor:
            copy = tensor.detach().to("cpu", copy=True)
            return copy.pin_memory() if pinned else copy

        return replace(self._moved(off), home=self.frame_states.device)

    def back(self) -> Prefix:
        """On the device that it was on."""
        home = self.home
        return (
            self if home is None else replace(self._moved(lambda t: t.to(home, non_blocking=True)), home=None)
        )

    def _moved(self, move: Callable[[Tensor], Tensor]) -> Prefix:
        return replace(
            self,
            keys=tuple(map(move, self.keys)),
            values=tuple(map(move, self.values)),
            frame_states=move(self.frame_states),
            projected_frames=move(self.projected_frames),
        )

    @property
    def nbytes(self) -> int:
        """Bytes that the prefix keeps in memory."""
        tensors = (*self.keys, *self.values, self.frame_states, self.projected_frames)
        return sum(t.numel() * t.element_size() for t in tensors)


class OwnCache:
    """Keys and values of rows that are decoded token by token, (R, K, S, d) a layer, allocated once.

    ``lengths`` (R,) counts what each row holds; a pass writes behind it. ``reach`` is the highest position that any
    row may hold after the pass: attention looks no further. On CUDA it stays at the end, so that shapes do not
    change.
    """

    def __init__(self, rows: int, positions: int, device: torch.device) -> None:
        self.positions = positions
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.lengths = torch.zeros(rows, dtype=torch.long, device=device)
        self.reach = positions

    def update(self, layer: int, key: Tensor, value: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """Writes (R, K, S, d) at ``places`` (R, S) and returns all up to ``reach``."""
        if layer == len(self.keys):
            shape = (*key.shape[:2], self.positions, key.shape[-1])
            self.keys.append(key.new_zeros(shape))
            self.values.append(value.new_zeros((*shape[:3], value.shape[-1])))
        for store, new in ((self.keys[layer], key), (self.values[layer], value)):
            index = places[:, None, :, None].expand(-1, new.shape[1], -1, new.shape[-1])
            store.scatter_(2, index, new)
        return self.keys[layer][:, :, : self.reach], self.values[layer][:, :, : self.reach]

    def keep(self, rows: Tensor) -> None:
        """Only these rows stay."""
        self.keys = [keys[rows] for keys in self.keys]
        self.values = [values[rows] for values in self.values]
        self.lengths = self.lengths[rows]


class RowPass:
    """Forward passes of R rows behind V prefixes.

    counts      rows of each prefix, in the order of the rows
    with_stem   whether the rows continue from the stem or from the end of the video
    room        positions a row may hold, where rows are read in several passes (decoding); 0: one pass
    limit       positions of the language model
    kernel      how shared prefixes are attended to: "plain", or "flex" (attention.py)
    """

    def __init__(
        self,
        prefixes: Sequence[Prefix],
        counts: Sequence[int],
        *,
        with_stem: bool = False,
        room: int = 0,
        limit: int | None = None,
        kernel: str = "plain",
    ) -> None:
        self.prefixes, self.counts, self.limit = tuple(prefixes), tuple(counts), limit
        self.with_stem, self.kernel = with_stem, kernel
        self.lengths = [p.length + (len(p.stem) if with_stem else 0) for p in prefixes]
        device = prefixes[0].frame_states.device
        first = torch.tensor(self.lengths)
        self.first = first.repeat_interleave(torch.tensor(self.counts)).to(device)  # (R,)
        self.own = OwnCache(len(self.first), room, device) if room else None
        self.visible: Tensor | None = None
        if len(set(self.lengths)) > 1:
            self.visible = (torch.arange(max(self.lengths)) < first[:, None]).to(device)  # (V, P)

    def run(self, base_model: Any, embeds: Tensor) -> Tensor:
        """(R, S, D) states of the next S tokens of every row; padding comes last in a row."""
        raise NotImplementedError

    def advance(self, added: Tensor) -> None:
        """(R,) how many of the positions just read are tokens; the next pass continues behind them."""
        raise NotImplementedError

    def keep(self, rows: Sequence[int]) -> RowPass:
        """The pass of these rows (ascending) alone."""
        raise NotImplementedError

    def places(self, width: int) -> Tensor:
        """(R, S) place of every token of the pass in its own row."""
        step = torch.arange(width, device=self.first.device)
        begun = 0 if self.own is None else self.own.lengths[:, None]
        return (begun + step).expand(len(self.first), width)

    def positions(self, width: int) -> Tensor:
        """(R, S) position of every token of the pass in its own prompt; that of padding stays inside the model."""
        found = self.first[:, None] + self.places(width)
        return found if self.limit is None else found.clamp(max=self.limit - 1)

    def kept_counts(self, rows: Sequence[int]) -> list[int]:
        """Rows of each prefix among ``rows``."""
        owners = [v for v, count in enumerate(self.counts) for _ in range(count)]
        found = [0] * len(self.counts)
        for row in rows:
            found[owners[row]] += 1
        return found


class SharedPass(RowPass):
    """A pass in which prefixes are shared: ``attend`` does it. Nothing of a prefix is copied for a row."""

    def __init__(self, prefixes: Sequence[Prefix], counts: Sequence[int], **options: Any) -> None:
        super().__init__(prefixes, counts, **options)
        most = max(self.counts)
        self.even = all(count == most for count in self.counts)
        if not self.even:  # rows of a shorter prefix are repeated to fill those it lacks
            starts = torch.tensor([0, *self.counts]).cumsum(0)[:-1]
            within = torch.arange(most).minimum(torch.tensor(self.counts)[:, None] - 1)
            self.index = (starts[:, None] + within).flatten().to(self.first.device)
            rows = [v * most + i for v, count in enumerate(self.counts) for i in range(count)]
            self.back = torch.tensor(rows, device=self.first.device)
        self._stacked: dict[int, tuple[Tensor, Tensor]] = {}
        self._biases: dict[object, tuple[Tensor | None, Tensor | None]] = {}

    def run(self, base_model: Any, embeds: Tensor) -> Tensor:
        self._biases.clear()  # of the tokens read before
        # four dimensions: transformers takes it for a finished mask and makes none
        mask = torch.zeros(1, 1, 1, 1, dtype=embeds.dtype, device=embeds.device)
        with attending(self):
            states: Tensor = base_model(
                inputs_embeds=embeds,
                attention_mask=mask,
                position_ids=self.positions(embeds.shape[1]),
                use_cache=False,
            ).last_hidden_state
        return states

    def advance(self, added: Tensor) -> None:
        assert self.own is not None
        self.own.lengths += added

    def keep(self, rows: Sequence[int]) -> SharedPass:
        counts = self.kept_counts(rows)
        left = [v for v, count in enumerate(counts) if count]
        kept = SharedPass(
            [self.prefixes[v] for v in left],
            [counts[v] for v in left],
            with_stem=self.with_stem,
            limit=self.limit,
            kernel=self.kernel,
        )
        assert self.own is not None
        kept.own = self.own
        kept.own.keep(torch.tensor(rows, device=self.first.device))
        return kept

    def prefix(self, layer: int) -> tuple[Tensor, Tensor]:
        """(V, K, P, d) keys and values; one prefix is a view. Prefixes stacked for decoding are kept."""
        longest = max(self.lengths)
        if len(self.prefixes) == 1:
            (only,) = self.prefixes
            return only.keys[layer][None, :, :longest], only.values[layer][None, :, :longest]
        found = self._stacked.get(layer)
        if found is None:
            found = (
                stack([p.keys[layer] for p in self.prefixes], longest),
                stack([p.values[layer] for p in self.prefixes], longest),
            )
            if self.own is not None:
                self._stacked[layer] = found
        return found

    def biases(
        self, width: int, reach: int, heads: int, groups: int, window: int | None, like: Tensor, fuse: bool
    ) -> tuple[Tensor | None, Tensor | None]:
        """What is added to scores on prefixes (V, K or 1, M or 1, P) and on own keys (R, 1, G * S, reach).

        None: nothing, and plain causal attention. Computed once for all layers of one ``window``.
        """
        if window is not None and window >= max(self.lengths) + reach:
            window = None
        key = (window, heads, groups, fuse)
        if key not in self._biases:
            places = self.places(width)
            seen = None if self.visible is None else self.visible[:, None, None]
            if window is not None:
                positions = (self.first[:, None] + places)[:, None, :, None]
                own = self.grouped(positions.expand(-1, heads * groups, -1, 1), heads)
                near = own - torch.arange(max(self.lengths), device=own.device) < window
                seen = near if seen is None else seen & near
            behind = places[:, None, :, None] - torch.arange(reach, device=places.device)
            allowed = behind >= 0
            if window is not None:
                allowed &= behind < window
            causal = self.own is None and window is None and groups == 1 and fuse
            self._biases[key] = (
                None if seen is None else as_bias(seen, like),
                None if causal else as_bias(allowed, like).repeat(1, 1, groups, 1),
            )
        return self._biases[key]

    def grouped(self, rows: Tensor, heads: int) -> Tensor:
        """(R, H, S, d) -> (V, K, G * count * S, d), the rows of a prefix side by side."""
        if not self.even:
            rows = rows[self.index]
        parts = rows.unflatten(0, (len(self.counts), -1)).unflatten(2, (heads, -1))
        return parts.permute(0, 2, 3, 1, 4, 5).flatten(2, 4)

    def ungrouped(self, grouped: Tensor, groups: int, width: int) -> Tensor:
        """(V, K, G * count * S, ...) -> (R, H, S, ...): what ``grouped`` did, undone."""
        parts = grouped.unflatten(2, (groups, max(self.counts), width)).movedim(3, 1)
        rows = parts.flatten(0, 1).flatten(1, 2)
        return rows if self.even else rows[self.back]


class CopiedPass(RowPass):
    """The same for families that do not take attention through the AttentionInterface: a prefix copied for each row.

    A mask hides the padding of shorter prefixes and of shorter prompts.
    """

    def __init__(self, prefixes: Sequence[Prefix], counts: Sequence[int], **options: Any) -> None:
        super().__init__(prefixes, counts, **options)
        rows, longest = torch.tensor(self.counts).to(self.first.device), max(self.lengths)
        self.cache = DynamicCache()
        for layer in range(len(prefixes[0].keys)):
            keys, values = (
                stack(found, longest).repeat_interleave(rows, dim=0)
                for found in ([p.keys[layer] for p in prefixes], [p.values[layer] for p in prefixes])
            )
            self.cache.update(keys, values, layer)
        self.mask = torch.arange(longest, device=self.first.device) < self.first[:, None]

    def run(self, base_model: Any, embeds: Tensor) -> Tensor:
        new = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        states: Tensor = base_model(
            inputs_embeds=embeds,
            attention_mask=torch.cat([self.mask, new], dim=1).long(),
            position_ids=self.positions(embeds.shape[1]),
            use_cache=True,
            **with_cache(base_model, self.cache),
        ).last_hidden_state
        return states

    def advance(self, added: Tensor) -> None:
        assert self.own is not None
        self.own.lengths += added
        read = self.cache.get_seq_length() - self.mask.shape[1]
        step = torch.arange(read, device=added.device)
        self.mask = torch.cat([self.mask, step < added[:, None]], dim=1)

    def keep(self, rows: Sequence[int]) -> CopiedPass:
        index = torch.tensor(rows, device=self.first.device)
        self.cache.batch_select_indices(index)
        assert self.own is not None
        self.own.lengths, self.first, self.mask = self.own.lengths[index], self.first[index], self.mask[index]
        self.counts = tuple(self.kept_counts(rows))
        return self


def stack(tensors: Sequence[Tensor], longest: int) -> Tensor:
    """(K, P, d) each -> (V, K, longest, d), zeros after the end of shorter ones."""
    if all(t.shape[1] >= longest for t in tensors):
        return torch.stack([t[:, :longest] for t in tensors])
    first = tensors[0]
    out = first.new_zeros((len(tensors), first.shape[0], longest, first.shape[2]))
    for row, tensor in zip(out, tensors, strict=True):
        row[:, : tensor.shape[1]] = tensor[:, :longest]
    return out
