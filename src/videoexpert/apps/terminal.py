"""What all commands print with: lines, tables and JSON on stdout; errors and warnings on stderr."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, TextIO

from ..errors import LibraryWarning, ModelWarning, ResumeWarning, VideoWarning
from ..escapes import printable

FEW = 3  # warnings of a kind that are printed in work on many videos
# how what is found, what is not there and what went wrong differ on a terminal
HEADING, ABSENT, WRONG = "bold", "yellow", "bold red"


class Format(StrEnum):
    """How a report is printed."""

    table = "table"
    json = "json"


def say(text: str = "", style: str = "") -> None:
    """One line on stdout; control characters and bytes that are not text, in a file's name say, are escaped.

    ``style``, as rich has them, shows on terminals only, where a long line is broken between words; a text of several
    lines, such as a page with code, keeps those it has.
    """
    said = printable(text)
    print(_styled(said if "\n" in said else _fitted(said, sys.stdout), style, sys.stdout))


def _fitted(text: str, stream: Any) -> str:
    """The text, on a terminal broken between words, where the terminal itself would break inside them."""
    if not stream.isatty():
        return text
    import shutil

    from ..columns import folded

    width = shutil.get_terminal_size().columns
    return "\n".join(line for long in text.split("\n") for line in folded(long, width))


def _styled(text: str, style: str, stream: Any) -> str:
    """The text in a colour where somebody looks at it, as ``NO_COLOR`` allows."""
    if not style or not stream.isatty() or os.environ.get("NO_COLOR"):
        return text
    from rich.style import Style

    return Style.parse(style).render(text)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int] = ()) -> None:
    """A table on stdout; columns are aligned to the right but for those in ``left``, and need no names.

    On a terminal the last column is folded to its width; in a pipe or a file every row is one line.
    """
    import shutil

    from ..columns import columns as aligned

    safe = [[printable(cell) for cell in row] for row in rows]
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for number, line in enumerate(aligned(columns, safe, left, width)):
        print(_styled(line, "dim" if number == 0 and any(columns) else "", sys.stdout))


def print_json(document: Any) -> None:
    """One document on stdout; as ASCII where stdout could not hold it otherwise."""
    print(json_for(sys.stdout, json.dumps(document, indent=2, ensure_ascii=False)))


def json_for(stream: TextIO, text: str) -> str:
    """JSON text as it is, without what steers a terminal; in ASCII where the stream's encoding lacks a character.

    Its value is the same: outside its strings JSON is ASCII, and inside them any character may be written as a number.
    """
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
        most = chr(sys.maxunicode)
    except (UnicodeEncodeError, LookupError):
        most = "\x7f"
    if most > "\x7f" and printable(text) == text:
        return text
    return "".join(
        sign if sign <= most and printable(sign) == sign else json.dumps(sign)[1:-1] for sign in text
    )


def print_file(text: str, is_json: bool) -> None:
    """The content of a file on stdout: to the letter in a pipe, on a terminal with what steers it escaped."""
    if is_json:
        text = json_for(sys.stdout, text)
    elif sys.stdout.isatty():
        text = "\t".join(printable(part) for part in text.replace("\r\n", "\n").split("\t"))
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """One line on stderr, escaped as on stdout; lines that begin with "Error:" are highlighted on a terminal."""
    said, style = _fitted(printable(text), sys.stderr), WRONG if text.startswith("Error:") else ""
    print(_styled(said, style, sys.stderr), file=sys.stderr)


@contextmanager
def plain_warnings(most: int | None = None) -> Iterator[None]:
    """Our warnings take one line on stderr; those of other packages are left as they are.

    ``most``: so many of each kind are printed, and the others counted at the end; None: all are.
    """
    ours = (VideoWarning, ModelWarning, LibraryWarning, ResumeWarning)
    told: Counter[type[Warning]] = Counter()

    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *rest: Any) -> None:
            if not issubclass(category, ours):
                usual(message, category, *rest)
                return
            told[category] += 1
            if most is None or told[category] <= most:
                complain(f"Warning: {message}")

        for kind in ours:
            warnings.simplefilter("always", kind)
        warnings.showwarning = show  # type: ignore[assignment]
        yield
    untold = 0 if most is None else sum(max(count - most, 0) for count in told.values())
    if untold:
        complain(f"Warning: {untold} more like these, about other videos.")
