"""Readers for the original annotation files; ``read`` is the way in, one module a data set."""

from __future__ import annotations

import importlib
from os import PathLike
from pathlib import Path
from typing import Any

from ...errors import DataError, InputError
from ..samples import Dataset

# benchmark -> module with `read(path, *, split, ...) -> Dataset`
BENCHMARKS = {
    "charades-sta": "charades",
    "qvhighlights": "qvhighlights",
    "activitynet-captions": "activitynet",
    "youcook2": "youcook2",
    "nextqa": "nextqa",
    "nextgqa": "nextgqa",
    "video-chatgpt": "videochatgpt",
    "instruction": "instruction",
    "timeit": "timeit",
    "jsonl": "own",
}


def read(benchmark: str, path: str | PathLike[str], *, split: str | None = None, **extra: Any) -> Dataset:
    """Samples of an annotation file, or of the original file names in a folder.

    benchmark  a key of BENCHMARKS
    path       the file (gzip as is) or its folder
    split      which file of a folder, or which part of a file that holds several
    extra      what one data set needs beside it: ``lengths_csv`` and ``clip`` (charades-sta),
               ``questions``, ``nextqa_csv`` and ``clip`` (nextgqa), ``nextqa_csv`` (nextqa)

    Raises InputError for an unknown benchmark, split or extra; DataError for a missing or malformed file.
    """
    if benchmark not in BENCHMARKS:
        raise InputError(f"benchmark is {benchmark!r}, expected one of {', '.join(BENCHMARKS)}.")
    module = importlib.import_module(f".{BENCHMARKS[benchmark]}", __name__)
    unknown = sorted(set(extra) - set(module.EXTRA))
    if unknown:
        known = ", ".join(module.EXTRA) or "none"
        raise InputError(f"{benchmark} does not take {', '.join(unknown)}; its extra arguments: {known}.")
    path = Path(path)
    if not path.exists():
        raise DataError(f"{path} does not exist, expected the annotation file of {benchmark} or its folder.")
    dataset: Dataset = module.read(path, split=split, **extra)
    return dataset


__all__ = ["BENCHMARKS", "read"]
