"""Answers token by token, for many rows at once: one cache, from which finished rows leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from ..language.passes import Prefix, RowPass
from ..language.sequence import Segment, pad_rows
from ..model import VideoExpertModel
from .graphs import Record, Step

STATIC = 16  # widths are multiples of it where shapes must not change


@torch.no_grad()
def decode(
    model: VideoExpertModel,
    prefixes: Sequence[Prefix],
    counts: Sequence[int],
    questions: Sequence[Segment],
    *,
    eos_token_id: int,
    max_new_tokens: int,
    static: bool = False,
    kernel: str = "plain",
    record: Record | None = None,
    turn: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> list[list[int]]:
    """The likeliest next token, again and again, until the end token; ids of each answer without it.

    ``counts`` questions on each prefix, in order. ``static``: all steps have one shape until half of the rows
    have finished, as graphs of a GPU need; then ``record`` (graphs.py) makes one of the second step, which the others
    replay. ``turn`` is entered for every step, so that others may go between.
    An answer also ends where the language model has no more positions.
    """
    lengths = [len(q.ids) for q in questions]
    for prefix in prefixes:
        model.check_length(prefix.length, max(lengths) + 1)
    ids = pad_rows([q.ids for q in questions], STATIC if static else 1).to(model.device)
    room = ids.shape[1] + max_new_tokens
    if static:
        room = -(-room // STATIC) * STATIC
    current = model.row_pass(prefixes, counts, room=room, kernel=kernel)
    # a pass that copies prefixes grows with every step
    batch = _Batch(model, current, lengths, static, record if static and model.shares_prefixes else None)
    with turn():
        tokens = batch.first(ids)
    answers: list[list[int]] = [[] for _ in questions]
    limits = [min(max_new_tokens, _left(model, p) - n) for p, n in _by_row(prefixes, counts, lengths)]
    active = list(range(len(questions)))
    while True:
        told = tokens.tolist()
        going = []
        for at, row in enumerate(active):
            if told[at] == eos_token_id or len(answers[row]) == limits[row]:
                limits[row] = -1
            if limits[row] < 0:
                continue
            answers[row].append(told[at])
            if len(answers[row]) < limits[row]:
                going.append(at)
            else:
                limits[row] = -1
        if not going:
            return answers
        with turn():
            if len(going) <= len(active) // 2:
                active, tokens = [active[at] for at in going], tokens[going]
                batch.keep(going)
            tokens = batch.step(tokens)


def _by_row(
    prefixes: Sequence[Prefix], counts: Sequence[int], lengths: Sequence[int]
) -> list[tuple[Prefix, int]]:
    owners = [p for p, count in zip(prefixes, counts, strict=True) for _ in range(count)]
    return list(zip(owners, lengths, strict=True))


def _left(model: VideoExpertModel, prefix: Prefix) -> int:
    """Positions that the language model has behind a prefix."""
    return (model.max_positions or 1 << 30) - prefix.length


class _Batch:
    """The rows being decoded, and how far each has come."""

    def __init__(
        self,
        model: VideoExpertModel,
        current: RowPass,
        lengths: Sequence[int],
        static: bool,
        record: Record | None,
    ) -> None:
        self.model, self.current, self.static, self.record = model, current, static, record
        self.lengths = list(lengths)
        self._steps = 0  # with these rows
        self._replay: Step | None = None

    def first(self, ids: Tensor) -> Tensor:
        """(R,) the token after each question; reads the questions (R, S)."""
        self._reach(ids.shape[1])
        states = self.model.read_rows(self.current, ids)
        lengths = torch.tensor(self.lengths, device=ids.device)
        self.current.advance(lengths)
        return self._likeliest(states[torch.arange(len(ids), device=ids.device), lengths - 1])

    def step(self, tokens: Tensor) -> Tensor:
        """(R,) the token after each of ``tokens`` (R,)."""
        self.lengths = [length + 1 for length in self.lengths]
        self._reach(max(self.lengths))
        self._steps += 1
        if self.record is None or self._steps == 1:  # the first warms up
            return self._step(tokens)
        if self._replay is None:
            self._replay = self.record(self._step, tokens)
        return self._replay(tokens)

    def _step(self, tokens: Tensor) -> Tensor:
        states = self.model.read_rows(self.current, tokens[:, None])
        self.current.advance(torch.ones_like(tokens))
        return self._likeliest(states[:, 0])

    def keep(self, rows: Sequence[int]) -> None:
        """Keeps only these rows in the batch."""
        self.current = self.current.keep(rows)
        self.lengths = [self.lengths[row] for row in rows]
        self._steps, self._replay = 0, None  # their shapes are others

    def _reach(self, places: int) -> None:
        if self.current.own is not None and not self.static:
            self.current.own.reach = min(places, self.current.own.positions)

    def _likeliest(self, states: Tensor) -> Tensor:
        return self.model.logits(states).argmax(-1)
