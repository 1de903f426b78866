"""What files do to whoever reads them; child processes import it."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from typing import Any

from videoexpert.errors import VideoWarning
from videoexpert.limits import limits
from videoexpert.video import sandbox


def dies(*_: Any) -> None:
    """What a decoder does that is overrun."""
    os.abort()


@sandbox.apart
def dies_at_once(path: Any) -> None:
    """The same, as a reader of videos."""
    os.abort()


@sandbox.apart_each
def dies_later(path: Any) -> Iterator[int]:
    """The same behind its first picture."""
    yield 1
    os.abort()


@sandbox.apart
def warns(path: Any) -> int:
    """A file with damage."""
    warnings.warn(f"{path}: half of it is damaged.", VideoWarning, stacklevel=2)
    return 1


def greedy(_: Any) -> int:
    """A file that takes all the memory there is."""
    return len(bytearray(limits().decoder_bytes + 2**30))
