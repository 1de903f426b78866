"""Benchmark files by their names, rows of CSV, and fields of records; every fault names file and line."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..errors import DataError
from ..limits import limits
from .read import read_text

_LONG_S = 1000.0  # limits are looked up for what may pass them, not for every record


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row by column name) of a CSV with a header; all values stay text, "none" and "NA" too.

    Raises DataError where a column is missing or a row has another number of fields.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            raise DataError(f"{path} is empty, expected a header that holds {', '.join(columns)}.")
        missing = [name for name in columns if name not in header]
        if missing:
            raise DataError(
                f"{path}, line 1: no column {', '.join(missing)}; "
                f"expected the header to hold {', '.join(columns)}."
            )
        for row in reader:
            if not row:
                continue
            if len(row) != len(header):
                raise DataError(
                    f"{path}, line {reader.line_num}: {len(row)} fields, "
                    f"expected {len(header)} as in the header."
                )
            yield reader.line_num, dict(zip(header, row, strict=True))
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV ({error}).") from error


def existing(folder: Path, names: Sequence[str]) -> Path | None:
    """The first of the names that is a file in the folder, as is or with ``.gz``."""
    for name in names:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    return None


def locate(path: Path, names: Sequence[str]) -> Path:
    """``path`` itself where it is a file, else the first of the names in that folder. Raises DataError."""
    if path.is_file():
        return path
    found = existing(path, names)
    if found is None:
        raise DataError(
            f"{path} holds none of {', '.join(names)} (or with .gz); give the file itself or its split."
        )
    return found


def split_in_name(path: Path, splits: Sequence[str]) -> str | None:
    """The split that the file's name spells as a word of its own: "val" in ``gsub_val.json.gz``."""
    for split in sorted(splits, key=len, reverse=True):
        if re.search(rf"(?<![a-z0-9]){re.escape(split)}(?![a-z0-9])", path.name.lower()):
            return split
    return None


def text_field(record: dict[str, Any], key: str, where: str) -> str:
    """A text of the record. Raises DataError where it is missing or no text."""
    value = record.get(key)
    if not isinstance(value, str):
        raise DataError(f"{where}: {key} is {_show(value)}, expected a text.")
    return value


def id_field(record: dict[str, Any], key: str, where: str) -> str:
    """An id as a string; whole numbers are taken, floats are not (they lose digits). Raises DataError."""
    value = record.get(key)
    if isinstance(value, bool) or not isinstance(value, (str, int)) or value == "":
        raise DataError(f"{where}: {key} is {_show(value)}, expected an id.")
    return str(value)


def list_field(record: dict[str, Any], key: str, where: str) -> list[Any]:
    value = record.get(key)
    if not isinstance(value, list):
        raise DataError(f"{where}: {key} is {_show(value)}, expected a list.")
    return value


def is_number(value: Any) -> bool:
    """Whether the value is a finite number that a float can hold, as one of 400 digits is not."""
    if type(value) is not float and type(value) is not int:  # True is not a number
        return False
    return abs(value) <= sys.float_info.max


def number(value: Any, what: str, where: str) -> float:
    """A finite number. Raises DataError."""
    if not is_number(value):
        raise DataError(f"{where}: {what} is {_show(value)}, expected a number.")
    return value


def duration(value: Any, where: str) -> float:
    """A positive number of seconds, within ``limits``. Raises DataError."""
    if number(value, "duration", where) <= 0:
        raise DataError(f"{where}: duration is {value}, expected seconds above 0.")
    if value > _LONG_S:
        limits().check("video_seconds", value, f"{where}: duration is {value}", DataError)
    return value


def pair(value: Any, where: str) -> tuple[float, float]:
    """A list of two finite numbers. Raises DataError."""
    if not isinstance(value, list) or len(value) != 2:
        raise DataError(f"{where}: got {_show(value)}, expected [start, end] in seconds.")
    return number(value[0], "start", where), number(value[1], "end", where)


def _show(value: Any) -> str:
    text = "missing" if value is None else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else text[:57] + "..."
