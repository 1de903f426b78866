"""The one look of all tables that commands print: a header, aligned columns, no lines around them."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Sequence
from typing import Any

from rich.cells import cell_len

INDENT, BETWEEN = "   ", "   "
NARROWEST = 20  # cells that a text is folded to at the least


def columns(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    left: Collection[int] = (),
    width: int | None = None,
) -> list[str]:
    """A table's lines, without blanks at their ends; no header line where all its names are empty.

    Columns are aligned to the right but for those in ``left``. ``width``: cells of the terminal, which the last
    column is folded to if it is one of ``left``; None: no line is folded. Wide characters count as two cells.
    """
    table = [list(header), *map(list, rows)] if any(header) else [list(row) for row in rows]
    widths = [max((cell_len(row[i]) for row in table), default=0) for i in range(len(header))]
    last = len(header) - 1
    if width is not None and last in left:
        room = width - len(INDENT) - sum(widths[:last]) - len(BETWEEN) * last
        widths[last] = min(widths[last], max(room, NARROWEST))
    lines = []
    for row in table:
        parts = folded(row[last], widths[last]) if last in left else [row[last]]
        for number, piece in enumerate(parts):
            cells = [*(row[:last] if number == 0 else [""] * last), piece]
            padded = (_padded(cell, widths[i], i in left) for i, cell in enumerate(cells))
            lines.append((INDENT + BETWEEN.join(padded)).rstrip())
    return lines


def _padded(cell: str, width: int, left: bool) -> str:
    blanks = " " * (width - cell_len(cell))
    return cell + blanks if left else blanks + cell


def folded(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` cells, broken between words, all as far in as the first; a longer word stays whole."""
    if cell_len(text) <= width:
        return [text]
    indent = text[: len(text) - len(text.lstrip(" "))]
    whole: dict[str, Any] = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, width, subsequent_indent=indent, **whole) or [text]


__all__ = ["columns", "folded"]
