"""``videoexpert data import``: other annotation formats as JSON lines of our own schema."""

from __future__ import annotations

import math
from os import PathLike
from pathlib import Path

from ..errors import DataError, InputError
from .label_studio import read_label_studio
from .readers import read
from .samples import Dataset
from .schema import write_samples
from .subtitles import ENDINGS, read_subtitles

BENCHMARKS = {"charades-sta": "charades-sta", "vtimellm": "instruction", "qvhighlights": "qvhighlights"}
FORMATS = (*BENCHMARKS, *ENDINGS, "label-studio")


def import_data(
    format: str, source: str | PathLike[str], out: str | PathLike[str], *, fps: float | None = None
) -> Dataset:
    """Write ``source`` as JSON lines of our schema to ``out``, whole or not at all; returns what was written.

    format  one of FORMATS
    source  a file; for subtitles also a folder of them
    fps     label-studio only: frames a second of the videos, needed where regions count frames

    Raises InputError for a wrong call, DataError for a malformed or empty source.
    """
    path = Path(source)
    if format not in FORMATS:
        raise InputError(f"format is {format!r}, expected one of {', '.join(FORMATS)}.")
    if fps is not None and format != "label-studio":
        raise InputError(f"fps belongs to label-studio, leave it out for {format}.")
    if fps is not None and not 0 < fps < math.inf:
        raise InputError(f"fps is {fps}, expected frames a second above 0.")
    if not path.exists():
        raise DataError(f"{path} does not exist, expected a {format} file.")
    if format in BENCHMARKS:
        dataset = read(BENCHMARKS[format], path)
    elif format in ENDINGS:
        dataset = read_subtitles(path, format)
    else:
        dataset = read_label_studio(path, fps)
    if not dataset.samples:
        raise DataError(f"{path} holds nothing to import, expected at least one usable {format} record.")
    write_samples(dataset.samples, Path(out))
    return dataset
