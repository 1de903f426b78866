"""One clock for a file whose own clock breaks: parts laid end to end, insane times left out, holes named.

The rules are those of FFmpeg's command line where it has one. Pure arithmetic over the packets' times; nothing is
opened here. docs/clocks.md says what users see of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np

JUMP_S = 10.0  # a longer jump is a break of the clock: FFmpeg's dts_delta_threshold
_INSANE_S = (
    108_000.0  # 30 h: FFmpeg's dts_error_threshold; no container's clock is trusted across such a jump
)
_RESTART_S = 0.5  # a key frame this much earlier than a picture ahead of it begins a new clock
_DECODING_BACK_S = 0.1  # decoding times never fall; FFmpeg takes this much for a restart
_REORDERED = 16  # pictures a decoder may hold back: what a fall in time may span without a break
_MOST_LEFT_OUT = 0.05  # of all pictures; with more of them it is the rest whose times are wrong
_HOLE_S = 60.0
_LATE_S = 0.5  # pictures that begin later than this after the file leave a hole at its start


@dataclass(frozen=True)
class Break:
    """A place where the file's own clock breaks.

    at      tick, on the laid-out clock, from which the pictures behind the break are shown
    jump    ticks by which the file's own clock is off there; negative where it starts again
    """

    at: int
    jump: int


@dataclass(frozen=True)
class Layout:
    """How the packets of a file are put on one clock.

    first       (G,) packet with which each of G parts begins; ``first[0]`` is 0
    offsets     (G,) ticks to add to the times in each part; ``offsets[0]`` is 0
    left_out    (P,) True for packets whose times are insane
    breaks      one for each part but the first
    """

    first: np.ndarray
    offsets: np.ndarray
    left_out: np.ndarray
    breaks: tuple[Break, ...]

    @property
    def one_clock(self) -> bool:
        return len(self.first) == 1

    def offset_of(self, packets: int) -> np.ndarray:
        """(P,) ticks to add to each of P packets."""
        return np.repeat(self.offsets, np.diff(np.append(self.first, packets)))


def lay_out(
    ticks: np.ndarray,
    dts: np.ndarray | None,
    durations: np.ndarray,
    keys: np.ndarray,
    second: float,
    closes_jumps: bool,
) -> Layout:
    """Finds the breaks in the times of P packets, given in the order of the file.

    ticks, durations    (P,) presentation time and length, 0 where unknown
    dts                 (P,) decoding times; None where the container does not state them for all
    keys                (P,) True where decoding can start
    second              ticks a second
    closes_jumps        the container is one whose clock may jump (MPEG streams): jumps forward are no time that
                        passes, as FFmpeg has it; elsewhere they are
    """
    if not len(ticks):
        return Layout(np.zeros(1, np.int64), np.zeros(1, np.int64), np.zeros(0, bool), ())
    step = _median_step(ticks)
    jump = max(JUMP_S * second, 20 * step)
    left_out = _far_from_decoding(ticks, dts, jump)
    rest = np.flatnonzero(~left_out)
    left_out[rest] = _outliers(ticks[rest], keys[rest], jump)
    kept = np.flatnonzero(~left_out)
    starts = _restarts(
        ticks[kept], None if dts is None else dts[kept], keys[kept], second, step, closes_jumps
    )
    first, offsets, breaks, end = [0], [0], [], 0
    for low, high in zip(starts, [*starts[1:], len(kept)], strict=True):
        part = kept[low:high]
        begins = int(ticks[part].min())
        if low:
            offset = end - begins
            breaks.append(Break(end, begins - (end - offsets[-1])))
            first.append(int(part[0]))
            offsets.append(offset)
        last = int(ticks[part].max())
        lasts = int(durations[part][ticks[part] == last].max(initial=0))
        end = last + (lasts or max(1, round(step))) + offsets[-1]
    return Layout(np.asarray(first), np.asarray(offsets, dtype=np.int64), left_out, tuple(breaks))


def _median_step(ticks: np.ndarray) -> float:
    steps = np.diff(np.unique(ticks))
    return float(np.median(steps)) if len(steps) else 0.0


def _far_from_decoding(ticks: np.ndarray, dts: np.ndarray | None, jump: float) -> np.ndarray:
    """(P,) True for the few packets shown long before or after they are decoded: no decoder holds a picture so long."""
    if dts is None:
        return np.zeros(len(ticks), dtype=bool)
    held = ticks - dts
    far = np.abs(held - np.median(held)) > jump
    return far if far.sum() <= _most(len(ticks)) else np.zeros_like(far)


def _most(packets: int) -> int:
    return max(2, int(_MOST_LEFT_OUT * packets))


def _outliers(ticks: np.ndarray, keys: np.ndarray, jump: float) -> np.ndarray:
    """(P,) True for the few packets that jump away from their neighbours, whose times continue undisturbed."""
    left_out = np.zeros(len(ticks), dtype=bool)
    edges = [0, *(np.flatnonzero(np.abs(np.diff(ticks)) > jump) + 1).tolist(), len(ticks)]
    pieces = list(pairwise(edges))
    most = _most(len(ticks))
    place, before = 0, -1  # before: the last packet that is kept
    while place < len(pieces):
        after = _goes_on(ticks, keys, pieces, place, before, jump, most)
        if after is not None:
            until = pieces[after][0] if after < len(pieces) else len(ticks)
            left_out[pieces[place][0] : until] = True
            place = after
            continue
        before = pieces[place][1] - 1
        place += 1
    # Many jumps to and fro are not outliers in a sound clock.
    return left_out if left_out.sum() <= most else np.zeros_like(left_out)


def _goes_on(
    ticks: np.ndarray,
    keys: np.ndarray,
    pieces: list[tuple[int, int]],
    place: int,
    before: int,
    jump: float,
    most: int,
) -> int | None:
    """The piece at which the clock resumes if ``place`` begins an excursion, else None."""
    start = pieces[place][0]
    for after in range(place + 1, len(pieces)):
        resumes = pieces[after][0]
        if resumes - start > most:
            return None
        if before < 0:  # the first pictures: most of what follows is earlier and does not begin anew
            most_of_all = pieces[after][1] - resumes > len(ticks) / 2
            sound = most_of_all and ticks[resumes] < ticks[start] and not keys[resumes]
        else:
            sound = abs(int(ticks[resumes]) - int(ticks[before])) <= jump
        if sound:
            return after
    # The last pictures: a fall that no key frame begins.
    fell = before >= 0 and ticks[start] < ticks[before] and not keys[start]
    return len(pieces) if fell and len(ticks) - start <= most else None


def _restarts(
    ticks: np.ndarray,
    dts: np.ndarray | None,
    keys: np.ndarray,
    second: float,
    step: float,
    closes_jumps: bool,
) -> list[int]:
    """Packets with which a part begins, 0 first."""
    jump = max(JUMP_S * second, 20 * step)
    moves = np.diff(ticks) if dts is None or not closes_jumps else np.diff(dts)
    ahead = jump if closes_jumps else max(_INSANE_S * second, jump)
    broken = (np.diff(ticks) < -jump) | (moves > ahead)
    if closes_jumps and dts is not None:
        broken |= moves < -_DECODING_BACK_S * second
    slack = max(_RESTART_S * second, _REORDERED * step)
    starts = [0]
    while (place := _next_break(ticks, keys, broken, starts[-1], slack)) is not None:
        starts.append(place)
    return starts


def _next_break(
    ticks: np.ndarray, keys: np.ndarray, broken: np.ndarray, start: int, slack: float
) -> int | None:
    """The first packet after ``start`` that begins a new part. Looks ahead in doubling steps: linear in all."""
    size = 1024
    while True:
        seen = ticks[start : start + size]
        # A key frame is shown after everything ahead of it in the file, in any codec and at any rate.
        new = keys[start + 1 : start + size] & (seen[1:] < np.maximum.accumulate(seen)[:-1] - slack)
        hits = np.flatnonzero(new | broken[start : start + len(seen) - 1])
        if len(hits):
            return start + int(hits[0]) + 1
        if start + size >= len(ticks):
            return None
        size *= 2


def holes(ticks: np.ndarray, lasting: np.ndarray, begins: Fraction, second: float) -> list[tuple[int, int]]:
    """Stretches ``[from, to)`` in ticks without a picture, ascending.

    ticks       (T,) ascending, when the pictures are shown
    lasting     (T,) how long each is to be shown by its packet, 0 where unknown
    begins      tick of the clock's zero

    A picture may last for minutes, a slide in a recorded talk. So a long gap is a hole only where its picture's own
    length says that it should have ended, or where the gap outlasts everything else.
    """
    found = []
    if ticks[0] - begins > _LATE_S * second:
        found.append((math.floor(begins), int(ticks[0])))
    gaps = np.diff(ticks)
    long = gaps > _HOLE_S * second
    if not long.any():
        return found
    rest = int(gaps[~long].sum())
    step = float(np.median(gaps))
    for place in np.flatnonzero(long).tolist():
        gap, stated = int(gaps[place]), int(lasting[place])
        ended = 0 < stated < gap / 2
        if (ended or gap > rest) and gap > 20 * step:
            shown = stated if ended else max(1, min(round(step), gap // 2))
            found.append((int(ticks[place]) + shown, int(ticks[place + 1])))
    return found
