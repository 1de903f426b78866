"""Files that grow by whole lines and are read again after a kill, a full disk or a power cut."""

from __future__ import annotations

import os
from pathlib import Path

from .write import writing


def append_lines(path: Path, text: str) -> None:
    """Adds whole lines, which are on the disk when this returns; what cannot be written whole is taken back.

    What UTF-8 cannot hold (half a surrogate pair) is escaped. Raises WriteError.
    """
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    with writing(path), path.open("ab", buffering=0) as file:
        before = file.seek(0, os.SEEK_END)
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except BaseException:
            file.truncate(before)
            raise


def whole_lines(path: Path) -> list[str]:
    """The lines of such a file, ends included; none of a file that is not there.

    Left out is what a kill cut short, be it inside a character, and what a power cut left of a line. Raises OSError.
    """
    found = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    kept = []
    for line in found:
        try:
            kept.append(line.decode("utf-8") + "\n")
        except UnicodeDecodeError:
            continue
    return kept


__all__ = ["append_lines", "whole_lines"]
