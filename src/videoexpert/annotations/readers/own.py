"""Own data in our JSON lines schema (docs/own-data.md). Nothing is repaired: faults are for the author."""

from __future__ import annotations

from pathlib import Path

from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset
from ..schema import read_samples

EXTRA = ()


def read(path: Path, *, split: str | None = None) -> Dataset:
    """Samples of one file. Raises DataError with every fault of the file and its line."""
    if split is not None:
        raise InputError("own data has no splits; keep one JSON lines file for each.")
    if not path.is_file():
        raise DataError(f"{path} is a folder, expected one JSON lines file.")
    samples = read_samples(path)
    counts = {"all": {"records": len(samples), "videos": len({sample.video for sample in samples})}}
    return Dataset("jsonl", tuple(samples), Report(), counts, None, (path,))
