"""Stretches of a file that are decoded in one go: few packets for many pictures."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import av
import numpy as np

from .container import OpenFile
from .packets import Packets
from .pictures import DamageError, Picture, decode_quickly

_SEEK_COST = 24  # packets that decode while a seek refills the decoder's threads and reordering
_DECODER_DELAY = 8  # packets read past a picture before it comes out


@dataclass(frozen=True)
class Run:
    """Bins ``[low, high)`` decoded in one go from packet ``key``, a key frame; None: from the beginning."""

    key: int | None
    low: int
    high: int


def plan_runs(packets: Packets, picked: np.ndarray) -> list[Run]:
    """Runs that decode few packets for the pictures at ``picked`` ticks (N,); a seek counts as some."""
    keys = np.flatnonzero(packets.keys)
    keys = keys[np.argsort(packets.ticks[keys], kind="stable")]
    order = np.argsort(packets.ticks, kind="stable")
    # A picture at or after a key frame's time needs nothing from before that key frame, open groups included.
    before = np.searchsorted(packets.ticks[keys], picked, side="right") - 1
    places = order[np.searchsorted(packets.ticks[order], picked)]
    runs: list[Run] = []
    reached = 0
    for i, (key, place) in enumerate(zip(before, places, strict=True)):
        start = int(keys[key]) if key >= 0 else 0
        if not runs and (start <= _SEEK_COST or key < 0):
            runs.append(Run(None, 0, 1))
        elif runs and start <= reached + _SEEK_COST:
            runs[-1] = Run(runs[-1].key, runs[-1].low, i + 1)
        else:
            runs.append(Run(start, i, i + 1))
        reached = max(reached, int(place) + _DECODER_DELAY)
    return runs


def decode_run(
    source: OpenFile,
    packets: Packets,
    run: Run,
    wanted: Sequence[int] | np.ndarray,
    problems: list[str],
    met: array[int] | None = None,
) -> Iterator[tuple[int, int, av.VideoFrame, int]]:
    """Decodes one run: (low, high, picture, its tick) where ``wanted[low:high]`` (ascending ticks) show that picture.

    With ``met`` it decodes on to the last picture and collects the ticks of all.

    Raises:
        DamageError: damage, times that run backwards, or a seek that missed its key frame.
    """
    before, previous, frames = _begin(source, packets, run, problems)
    if met is not None:
        met.append(before)
    low = run.low
    for tick, frame in frames:
        if tick < before:
            raise DamageError
        high = low
        while high < run.high and wanted[high] < tick:
            high += 1
        if high > low:
            yield low, high, previous, before
            low = high
        if met is not None:
            met.append(tick)
        elif low == run.high:
            return
        before, previous = tick, frame
    if low < run.high:
        yield low, run.high, previous, before


def _begin(
    source: OpenFile, packets: Packets, run: Run, problems: list[str]
) -> tuple[int, av.VideoFrame, Iterator[Picture]]:
    """The run's first picture with its tick, and those after it."""
    key_tick = None
    if run.key is not None:
        key_tick = int(packets.ticks[run.key])
        seek_to(source, packets, run.key)
    frames = decode_quickly(source, packets.clock, problems, key_tick)
    tick, first = next(frames, (None, None))
    if tick is None or first is None or (key_tick is not None and tick != key_tick):
        raise DamageError
    return tick, first, frames


def seek_to(source: OpenFile, packets: Packets, key: int) -> None:
    """Moves reading to the key frame at packet ``key``. Raises DamageError where the file cannot."""
    # MPEG streams have no index and are searched by decoding time; the others by presentation time.
    by_dts = source.container.format.name in ("mpegts", "mpeg")
    tick = int((packets.dts if by_dts else packets.ticks)[key])
    try:
        source.container.seek(tick, stream=source.stream, backward=True)
    except av.FFmpegError as error:
        raise DamageError from error
