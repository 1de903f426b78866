"""Ways to damage bytes, driven by a random generator: anywhere, or where a format keeps its structure."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    0x7FFFFFFF,
    0x80000000,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
Mutation = Callable[[bytearray, random.Random], None]


def place(data: bytearray, rng: random.Random) -> int:
    """Anywhere, the first kilobyte as often as all the rest: headers are there."""
    return rng.randrange(min(len(data), 1024) if rng.random() < 0.5 else len(data))


def flip_bits(data: bytearray, rng: random.Random) -> None:
    for _ in range(rng.choice((1, 1, 2, 8, 64))):
        data[place(data, rng)] ^= 1 << rng.randrange(8)


def overwrite(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    end = min(len(data), start + rng.choice((1, 2, 4, 16, 256)))
    data[start:end] = rng.choice((bytes(end - start), b"\xff" * (end - start), rng.randbytes(end - start)))


def cut_off(data: bytearray, rng: random.Random) -> None:
    del data[place(data, rng) :]


def take_out(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    del data[start : start + rng.choice((1, 4, 188, 1000))]


def repeat(data: bytearray, rng: random.Random) -> None:
    start = place(data, rng)
    piece = data[start : start + rng.choice((1, 8, 188, 2000))]
    at = place(data, rng)
    data[at:at] = piece * rng.choice((1, 1, 2, 20))


def number(data: bytearray, rng: random.Random) -> None:
    """A number that formats get wrong, big or little end first."""
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(INTERESTING) & (256**size - 1)
    start = place(data, rng)
    data[start : start + size] = value.to_bytes(size, rng.choice(("big", "little")))


def near(marks: Sequence[bytes], before: int = 8, behind: int = 48) -> Mutation:
    """Numbers and noise within a few bytes of where a structure is named."""
    pattern = re.compile(b"|".join(map(re.escape, marks)), re.DOTALL)

    def mutate(data: bytearray, rng: random.Random) -> None:
        found = [match.start() for match in pattern.finditer(bytes(data))]
        if not found:
            return number(data, rng)
        for _ in range(rng.choice((1, 1, 3))):
            start = max(0, rng.choice(found) + rng.randrange(-before, behind))
            size = rng.choice((1, 2, 4, 4, 8))
            value = rng.choice(INTERESTING) if rng.random() < 0.6 else rng.getrandbits(8 * size)
            data[start : start + size] = (value & (256**size - 1)).to_bytes(size, "big")
        return None

    return mutate


GENERAL: tuple[Mutation, ...] = (flip_bits, overwrite, cut_off, take_out, repeat, number)


def damaged(data: bytes, rng: random.Random, structural: Sequence[Mutation] = ()) -> bytes:
    """One to four mutations, structural ones as often as all others."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        if not made:
            break
        kinds = structural if structural and rng.random() < 0.5 else GENERAL
        rng.choice(kinds)(made, rng)
    return bytes(made)
