"""The one place that decides how questions run: which prefixes are kept, and what goes through the model together.

A call names videos and, for each, the segments asked about it. Prefixes come from the store or are opened in batches;
questions run as rows behind them (language/passes.py), rows of like length together, in passes of bounded size.
Batched equals single to rounding. Threads may share an engine: forward passes take turns, nothing else waits.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..grounding.head import HeadOutput
from ..language.passes import Prefix
from ..language.sequence import IGNORED, Segment, pad_rows
from ..model import VideoExpertModel
from ..types import VisualTokens
from .decode import STATIC, decode
from .graphs import check_graphs, cuda_graph
from .plan import Row, blocks, flat_rows, passes, videos_and_counts
from .store import Opened, PrefixStore

PREFIX_BYTES = {"cpu": 1 << 30, "cuda": 4 << 30}  # of prefixes kept; a 7B model's is 190 MB a video in bf16
TOKENS_PER_PASS = 4096
PREFIX_TOKENS_PER_PASS = 4096  # opened together
VIDEOS_PER_BLOCK = 32  # whose prefixes are in memory at a time
ROWS_PER_BLOCK = 1024
ROWS_PER_DECODE = 64
HEAD_NUMBERS = 1 << 23  # rows * frames * width that go through the head together

T = TypeVar("T")


class Engine:
    """Runs questions on a model.

    prefix_ids      ids before the video; the same for every question
    stem            ids with which every grounding question begins behind the video; they belong to the prefix
    digest          of the weights
    store           None: one whose bytes the environment may set (store.py)
    static          shapes in few sizes, so that kernels are chosen and compiled once; None: on CUDA
    kernel          "plain", or "flex" for FlexAttention (language/attention.py)
    graphs          decoding steps are recorded as CUDA graphs (graphs.py); shapes are then static

    Raises InputError for graphs of a model that is not on a GPU.
    """

    def __init__(
        self,
        model: VideoExpertModel,
        prefix_ids: Sequence[int],
        stem: Sequence[int] = (),
        *,
        digest: str = "",
        store: PrefixStore | None = None,
        static: bool | None = None,
        kernel: str = "plain",
        graphs: bool = False,
    ) -> None:
        self.model, self.prefix_ids, self.stem, self.digest = model, tuple(prefix_ids), tuple(stem), digest
        limit = PREFIX_BYTES.get(model.device.type, PREFIX_BYTES["cpu"])
        self.store = PrefixStore.of_environment(limit) if store is None else store
        self.static = model.device.type == "cuda" if static is None else static
        self.kernel, self.graphs = kernel, graphs
        if graphs:
            check_graphs(model.device)
        self.tokens_per_pass = TOKENS_PER_PASS
        self._turn = threading.RLock()
        self._parameters = [p for name, p in model.named_parameters() if not name.startswith("vision.")]

    # ------------------------------------------------------------------ prefixes

    def prefixes(self, videos: Sequence[Opened]) -> list[Prefix]:
        """The prefix of each video: kept, or opened now, those with equally many tokens together."""
        weights = self._weights()
        keys = [(weights, video.key) for video in videos]
        kept = {key: self.store.get(key) for key in keys}
        found = {key: prefix for key, prefix in kept.items() if prefix is not None}
        missing = {key: video for key, video in zip(keys, videos, strict=True) if key not in found}
        for group in _by_shape([(key, video.tokens) for key, video in missing.items()]):
            n, m = len(group[0][1].temporal), len(group[0][1].spatial)
            together = max(1, PREFIX_TOKENS_PER_PASS // (len(self.prefix_ids) + n + m))
            for part in _chunks(group, together):
                with self._turn:
                    opened = self.model.open_prefixes([t for _, t in part], self.prefix_ids, self.stem)
                for (key, _), prefix in zip(part, opened, strict=True):
                    self.store.put(key, prefix)
                    found[key] = prefix
        return [found[key] for key in keys]

    def forget(self, videos: Sequence[Opened]) -> None:
        """Drops prefixes of videos that will not be asked again."""
        weights = self._weights()
        for video in videos:
            self.store.drop((weights, video.key))

    def _weights(self) -> tuple[object, ...]:
        """What a prefix depends on beside the video; weights changed in place count as others."""
        changes = sum(p._version for p in self._parameters)
        return (self.digest, id(self.model), changes, self.prefix_ids, self.stem)

    # ------------------------------------------------------------------ known texts

    def locate(self, videos: Sequence[Opened], asked: Sequence[Sequence[Segment]]) -> list[HeadOutput]:
        """Every ``<LOC>`` of the segments asked on each video, in their order: a HeadOutput a video.

        Grounding without decoding. Raises InputError for a segment that is too long for the language model.
        """
        found: list[HeadOutput] = []
        for here, prefixes in self._blocks(videos, asked):
            rows = flat_rows([asked[v] for v in here], self._up_to_loc)
            picked: list[Tensor] = []
            whose: list[tuple[int, int]] = []  # of each picked state: place of its row, and which <LOC> of it
            for own, states, skip in self._read(prefixes, rows):
                at = [
                    (i, p - skip - self.model.loc_shift)
                    for i, r in enumerate(own)
                    for p in r.segment.loc_positions
                ]
                index = torch.tensor(at, dtype=torch.long, device=states.device).reshape(-1, 2)
                picked.append(states[index[:, 0], index[:, 1]])
                whose += [(r.place, k) for r in own for k in range(len(r.segment.loc_positions))]
            counts = [sum(len(s.loc_positions) for s in asked[v]) for v in here]
            order = sorted(range(len(whose)), key=whose.__getitem__)
            locs = torch.cat(picked)[order] if picked else torch.zeros(0)
            found += self._predict(prefixes, locs, counts)
        return found

    def _predict(self, prefixes: Sequence[Prefix], locs: Tensor, counts: Sequence[int]) -> list[HeadOutput]:
        """The head on ``<LOC>`` states (Q, D), ``counts`` of each video; those with equally many frames together."""
        device, own = self.model.device, locs.split(list(counts))
        found = {
            v: HeadOutput(torch.zeros(0, n, device=device), torch.zeros(0, n, 2, device=device))
            for v, n in enumerate(len(p.projected_frames) for p in prefixes)
        }
        for size in {len(p.projected_frames) for p in prefixes}:
            here = [v for v, p in enumerate(prefixes) if len(p.projected_frames) == size and counts[v]]
            width = prefixes[0].projected_frames.shape[1]
            owners = [v for v in here for _ in range(counts[v])]
            states = torch.cat([own[v] for v in here]) if here else locs
            parts = []
            step = max(1, HEAD_NUMBERS // (size * width))
            for start in range(0, len(owners), step):
                videos, rows = videos_and_counts(owners[start : start + step])
                with self._turn:
                    part = self.model.predict(
                        [prefixes[v] for v in videos], states[start : start + step], rows
                    )
                parts.append(part)
            if parts:
                head = [
                    torch.cat(logits).split([counts[v] for v in here]) for logits in zip(*parts, strict=True)
                ]
                found |= {
                    v: HeadOutput(*logits) for v, logits in zip(here, zip(*head, strict=True), strict=True)
                }
        return [found[v] for v in range(len(prefixes))]

    def likelihoods(self, videos: Sequence[Opened], asked: Sequence[Sequence[Segment]]) -> list[Tensor]:
        """Log-probability of each segment's supervised tokens: (segments,) a video."""
        found: list[Tensor] = []
        for here, prefixes in self._blocks(videos, asked):
            rows = flat_rows([asked[v] for v in here], _up_to_supervised)
            values: list[Tensor] = [torch.zeros(())] * sum(len(asked[v]) for v in here)
            for own, states, skip in self._read(prefixes, rows):
                labels = pad_rows([r.segment.labels[skip : r.read + 1] for r in own], fill=IGNORED)
                labels = labels.to(states.device)
                predicts = labels[:, 1:] != IGNORED
                logits = self.model.logits(states[:, : labels.shape[1] - 1][predicts]).float()
                told = torch.zeros(predicts.shape, device=states.device)
                told[predicts] = logits.log_softmax(-1).gather(-1, labels[:, 1:][predicts][:, None])[:, 0]
                for row, value in zip(own, told.sum(-1), strict=True):
                    values[row.place] = value
            places = iter(values)
            for v in here:
                own_values = [next(places) for _ in asked[v]]
                found.append(torch.stack(own_values) if own_values else torch.zeros(0))
        return found

    @torch.no_grad()
    def _read(
        self, prefixes: Sequence[Prefix], rows: Sequence[Row]
    ) -> Iterator[tuple[list[Row], Tensor, int]]:
        """Rows that went through one pass, their states (R, S, D), and how many ids of the stem were left out."""
        stem = self.stem
        stemmed = [row for row in rows if stem and _goes_on(row.segment, stem, self.model.loc_shift)]
        others = [row for row in rows if not (stem and _goes_on(row.segment, stem, self.model.loc_shift))]
        for group, skip in ((stemmed, len(stem)), (others, 0)):
            for own in passes(group, self.tokens_per_pass):
                videos, counts = videos_and_counts([row.video for row in own])
                ids = pad_rows(
                    [row.segment.ids[skip : row.read] for row in own], STATIC if self.static else 1
                )
                with self._turn:
                    current = self.model.row_pass(
                        [prefixes[v] for v in videos], counts, with_stem=skip > 0, kernel=self.kernel
                    )
                    states = self.model.read_rows(current, ids.to(self.model.device))
                yield own, states, skip

    # ------------------------------------------------------------------ answers token by token

    def generate(
        self,
        videos: Sequence[Opened],
        asked: Sequence[Sequence[Segment]],
        *,
        eos_token_id: int,
        max_new_tokens: int,
    ) -> list[list[list[int]]]:
        """Ids of the answer to each segment on each video, without the end token; the likeliest token each time.

        ``<LOC>`` states of an answer come from ``locate`` on question and answer: the route of training.
        """
        found: list[list[list[int]]] = []
        for here, prefixes in self._blocks(videos, asked, ROWS_PER_DECODE):
            own = [list(asked[v]) for v in here]
            with_rows = [(p, rows) for p, rows in zip(prefixes, own, strict=True) if rows]
            told = iter(
                decode(
                    self.model,
                    [p for p, _ in with_rows],
                    [len(rows) for _, rows in with_rows],
                    [segment for _, rows in with_rows for segment in rows],
                    eos_token_id=eos_token_id,
                    max_new_tokens=max_new_tokens,
                    static=self.static or self.graphs,
                    kernel=self.kernel,
                    record=cuda_graph if self.graphs else None,
                    turn=lambda: self._turn,
                )
                if with_rows
                else []
            )
            found += [[next(told) for _ in rows] for rows in own]
        return found

    def _blocks(
        self, videos: Sequence[Opened], asked: Sequence[Sequence[Segment]], rows: int = ROWS_PER_BLOCK
    ) -> Iterator[tuple[range, list[Prefix]]]:
        """Videos whose prefixes are in memory together, with them."""
        if len(videos) != len(asked):
            raise ValueError(f"{len(videos)} videos but questions on {len(asked)}")
        for here in blocks([len(own) for own in asked], VIDEOS_PER_BLOCK, rows):
            prefixes = self.prefixes([videos[v] for v in here])
            for v, prefix in zip(here, prefixes, strict=True):
                self.model.check_length(prefix.length, max((len(s.ids) for s in asked[v]), default=0))
            yield here, prefixes

    def _up_to_loc(self, segment: Segment) -> int:
        """How many ids have to be read for the states of all ``<LOC>``: nothing behind the last changes them."""
        return max(segment.loc_positions, default=-1) + 1 - self.model.loc_shift


def _up_to_supervised(segment: Segment) -> int:
    """How many ids have to be read for the likelihood of the last supervised one."""
    return max((place for place, label in enumerate(segment.labels) if label != IGNORED), default=0)


def _goes_on(segment: Segment, stem: tuple[int, ...], shift: int) -> bool:
    """Whether a segment begins with the stem and all that is read of it comes after."""
    first = min(segment.loc_positions, default=len(segment.ids))
    supervised = next((i for i, label in enumerate(segment.labels) if label != IGNORED), len(segment.ids))
    after = min(first - shift, supervised - 1)
    return segment.ids[: len(stem)] == stem and len(segment.ids) > len(stem) and after >= len(stem)


def _by_shape(videos: Sequence[tuple[T, VisualTokens]]) -> list[list[tuple[T, VisualTokens]]]:
    groups: dict[tuple[int, int], list[tuple[T, VisualTokens]]] = {}
    for key, tokens in videos:
        groups.setdefault((len(tokens.temporal), len(tokens.spatial)), []).append((key, tokens))
    return list(groups.values())


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
