"""A target with every kind of fault, by seed: what the harness itself is tested with."""

from __future__ import annotations

import os
from pathlib import Path

name = "faulty"


def prepare(folder: Path) -> None:
    return None


def case(state: None, seed: int) -> bytes:
    return bytes([seed])


def check(data: bytes, folder: Path) -> None:
    kind = data[0]
    assert kind != 1, "seed one is wrong"
    if kind == 2:
        os.abort()
    while kind == 3:
        pass
    if kind == 4:
        bytearray(1 << 33)
    if kind == 5:
        os._exit(0)
