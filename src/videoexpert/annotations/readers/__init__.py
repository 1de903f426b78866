"""The benchmarks, one module each, and the ways to read them.

A new benchmark is a module that ends in its ``BENCHMARK``, and a line in ``BENCHMARKS``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from ...errors import DataError, InputError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records
from ..samples import Dataset, Window
from . import (
    activitynet,
    charades,
    events,
    instruction,
    nextgqa,
    nextqa,
    own,
    qvhighlights,
    tacos,
    timeit,
    tvsum,
    videochatgpt,
    youcook2,
    youtube_highlights,
)
from .clean import lies_inside

BENCHMARKS: dict[str, Benchmark] = {
    module.BENCHMARK.name: module.BENCHMARK
    for module in (
        charades,
        tacos,
        qvhighlights,
        tvsum,
        youtube_highlights,
        activitynet,
        youcook2,
        nextqa,
        nextgqa,
        videochatgpt,
        instruction,
        timeit,
        own,
    )
}
SCORED = tuple(name for name, found in BENCHMARKS.items() if found.scorer)
ANSWERED = tuple(name for name, found in BENCHMARKS.items() if found.answered)
DRAWN = tuple(name for name, found in BENCHMARKS.items() if found.drawn)
PROBED = tuple(name for name, found in BENCHMARKS.items() if found.probed)


def benchmark(name: str, among: Sequence[str] = tuple(BENCHMARKS)) -> Benchmark:
    """The benchmark of that name. Raises InputError for a name that is not ``among`` the ones expected."""
    if name not in among:
        raise InputError(f"benchmark is {name!r}, expected one of {', '.join(among)}.")
    return BENCHMARKS[name]


def records(name: str, path: str | PathLike[str], *, split: str | None = None, **options: Any) -> Records:
    """Everything an annotation file says: parsed and checked, nothing dropped and nothing repaired.

    name     a key of BENCHMARKS
    path     the file (gzip as is), or the folder with its original file names
    split    which file of a folder, or which part of a file that holds several
    options  what one data set needs beside it: see ``Benchmark.options``

    Raises InputError for an unknown benchmark, split or option; DataError for a missing or malformed file.
    """
    found = benchmark(name)
    found.check_options(options)
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist, expected the annotation file of {name} or its folder.")
    return found.parse(path, split, **options)


def read(name: str, path: str | PathLike[str], *, split: str | None = None, **options: Any) -> Dataset:
    """The samples of an annotation file: ``records``, cleaned, with a report of what was repaired or dropped.

    Raises what ``records`` raises.
    """
    parsed = records(name, path, split=split, **options)
    report = parsed.report
    cleaned = (BENCHMARKS[name].clean(record, report) for record in parsed)
    samples = tuple(sample for sample in cleaned if sample is not None)
    return Dataset(name, samples, report, parsed.counts, parsed.split, parsed.files)


def kept(name: str, items: Sequence[Record]) -> list[Record]:
    """The records as scorers take them: windows and events as ``read`` gives them, texts as the file has them.

    What ``read`` drops is not ``asked``; it stays as annotated, and counts only where a prediction speaks of it.
    """
    found = BENCHMARKS[name]
    if found.kept is not None:
        return [found.kept(record) for record in items]
    return [record if _needs_nothing(record) else _kept(found, record) for record in items]


def as_annotated(name: str, parsed: Records) -> list[Record]:
    """The queries to find of a benchmark with their windows as the file has them; of captions each sentence."""
    if BENCHMARKS[name].sentences and all(record.form == events.FORM for record in parsed):
        return list(events.sentences_of(parsed))
    return list(parsed)


def queries(name: str, parsed: Records) -> list[Record]:
    """The queries to find of a benchmark, as scorers take them; of captions each sentence."""
    if BENCHMARKS[name].sentences and all(record.form == events.FORM for record in parsed):
        return events.kept_sentences(parsed)
    return kept(name, parsed.items)


def _needs_nothing(record: Record) -> bool:
    """Whether cleaning cannot move or drop anything of the record; spares a sample a record."""
    if record.marks is not None or not (record.video + record.id).isascii():
        return False
    for text in record.captions or (record.text,):
        if not text.strip() or text == "None" or not text.isascii():
            return False
    if record.options and not record.right:
        return False
    return lies_inside(record)


def _kept(found: Benchmark, record: Record) -> Record:
    sample = found.clean(record, CleaningReport())
    if sample is None:
        return replace(record, asked=False)
    if not record.labelled or sample.task in ("qa", "conversation"):
        return record
    windows: Sequence[Window] = sample.windows
    if sample.task != "caption":
        return replace(record, windows=windows)
    numbers = sample.numbers or tuple(range(len(windows)))
    captions = [record.captions[number] for number in numbers]
    return replace(record, windows=windows, captions=captions, numbers=numbers)


__all__ = [
    "ANSWERED",
    "BENCHMARKS",
    "DRAWN",
    "PROBED",
    "SCORED",
    "benchmark",
    "kept",
    "queries",
    "read",
    "records",
]
