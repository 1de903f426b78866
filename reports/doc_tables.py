"""Tables of the documentation that say what the code or a kept result knows, written between their markers.

    python reports/doc_tables.py [--check]

A table stands between ``<!-- NAME -->`` and ``<!-- end NAME -->``. ``--check`` writes nothing and ends with 1 where
a page is out of date. A new benchmark needs no other line of these tables.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import fair
from videoexpert.annotations.dirty import RULES
from videoexpert.annotations.readers import ANSWERED, BENCHMARKS, SCORED

DOCS = Path(__file__).resolve().parent.parent / "docs"
WHAT = ("records", "videos", "segments")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    return "\n".join([lines[0], "|" + "---|" * len(header), *lines[1:]])


def formats() -> str:
    """Every benchmark: its files, what it becomes, and its ids."""
    rows = [
        (f"`{name}`", *(found.documented[key] for key in ("files", "sample", "id")))
        for name, found in BENCHMARKS.items()
    ]
    return table(("benchmark", "files", "sample", "id"), rows)


def published() -> str:
    """Published counts by part."""
    rows = [
        (f"`{name}`", part, *(str(counts.get(what, "")) for what in WHAT))
        for name, found in BENCHMARKS.items()
        for part, counts in found.published.items()
    ]
    return table(("benchmark", "split", *WHAT), rows)


def dirty() -> str:
    """Every kind of dirty record with its rule."""
    return table(("kind", "what, and the rule"), [(f"`{kind}`", rule) for kind, rule in RULES.items()])


def benchmarks() -> str:
    """What is scored, where it comes from, and how a folder is laid out."""
    rows = [
        (
            f"`{name}`",
            BENCHMARKS[name].documented["task"],
            BENCHMARKS[name].documented["source"],
            ", ".join(f"`{file}`" for file in _files(name)),
            "yes" if name in ANSWERED else "no: `score` only",
        )
        for name in SCORED
    ]
    return table(("benchmark", "task", "annotations", "layout of `A`", "`eval`"), rows)


def _files(name: str) -> list[str]:
    return list(dict.fromkeys(names[0] for names in BENCHMARKS[name].layout.values()))


TABLES: dict[str, tuple[str, Callable[[], str]]] = {
    "formats": ("data-formats.md", formats),
    "published": ("data-formats.md", published),
    "dirty": ("data-formats.md", dirty),
    "benchmarks": ("benchmarks.md", benchmarks),
    "fair": ("evidence.md", fair.section),
}


def filled(text: str, name: str, made: str) -> str:
    """``text`` with the table of that name replaced. Raises ValueError where its markers are missing."""
    pattern = re.compile(rf"(<!-- {name} -->\n).*?(\n<!-- end {name} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no markers for {name}, expected <!-- {name} --> and <!-- end {name} -->")
    return pattern.sub(lambda match: match[1] + made + match[2], text)


def marked(name: str) -> str:
    """A table between its markers, for a page that is written anew."""
    return f"<!-- {name} -->\n{TABLES[name][1]()}\n<!-- end {name} -->"


def stale() -> dict[Path, str]:
    """Page -> what it should be, for pages that are out of date."""
    pages: dict[Path, str] = {}
    for name, (page, make) in TABLES.items():
        path = DOCS / page
        pages[path] = filled(pages.get(path, path.read_text(encoding="utf-8")), name, make())
    return {path: text for path, text in pages.items() if text != path.read_text(encoding="utf-8")}


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--check", action="store_true", help="write nothing; end with 1 where a page is stale"
    )
    check = parser.parse_args().check
    pages = stale()
    for path, text in pages.items():
        print(f"{path.name} {'is out of date' if check else 'written'}")
        if not check:
            path.write_text(text, encoding="utf-8")
    return 1 if check and pages else 0


if __name__ == "__main__":
    sys.exit(main())
