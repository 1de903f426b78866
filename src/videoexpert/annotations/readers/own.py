"""Own data in our JSON lines schema (docs/own-data.md). Nothing is repaired: faults are for the author."""

from __future__ import annotations

from pathlib import Path

from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import TASKS, Sample
from ..schema import read_samples


def parse(path: Path, split: str | None = None) -> Records:
    """One record a line. Raises DataError with every fault of the file and its line."""
    BENCHMARK.known_split(split)
    if not path.is_file():
        raise DataError(f"{path} is a folder, expected one JSON lines file.")
    items = [
        Record(sample.id, sample.video, sample.query or "", sample.windows, sample.duration_s, raw=sample)
        for sample in read_samples(path)
    ]
    return Records(tuple(items), counted(items, None), None, (path,))


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The line's sample as it is."""
    sample: Sample = record.raw
    return sample


BENCHMARK = Benchmark(
    name="jsonl",
    title="own data",
    parse=parse,
    clean=clean,
    layout={},
    tasks=TASKS,
    documented={"files": "own data, see [own-data.md](own-data.md)", "sample": "any", "id": "`id` or line"},
)
