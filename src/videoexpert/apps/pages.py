"""The pages of docs/ wherever they are: in the source tree, or where the wheel put them."""

from __future__ import annotations

import sys
from pathlib import Path

from ..errors import InputError
from ..runtime import shared_folders


def pages() -> list[tuple[str, str, Path]]:
    """Name, title and file of each page, by name. Raises InputError where they are not installed."""
    for folder in shared_folders("docs"):
        found = sorted(folder.glob("*.md"))
        if found:
            return [(file.stem, _title(file), file) for file in found]
    raise InputError(
        f"the documentation is not beside {sys.prefix}, expected it there: install the package again."
    )


def read_page(name: str) -> str:
    """The text of a page, by its name or its path as messages give it. Raises InputError for one there is not."""
    known = {page: file for page, _, file in pages()}
    wanted = Path(name).name.removesuffix(".md")
    if wanted not in known:
        raise InputError(f"there is no page {name!r}, expected one of {', '.join(known)}.")
    return known[wanted].read_text(encoding="utf-8")


def _title(file: Path) -> str:
    return file.read_text(encoding="utf-8").split("\n", 1)[0].lstrip("# ")
