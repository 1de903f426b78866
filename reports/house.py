"""The map of the source on one page: rooms from the ground up, their size, and which rooms each imports.

    python reports/house.py            prints it
    python reports/house.py --write    puts it into ARCHITECTURE.md

LAYERS is the rule that tests/test_architecture.py holds: a room imports itself and rooms of lower rows.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "src" / "videoexpert"
PAGE = ROOT / "ARCHITECTURE.md"
BEGIN, END = "<!-- map: python reports/house.py --write -->", "<!-- end of map -->"
LAYERS = (
    ("errors", "assets"),
    ("limits", "escapes", "look", "marks", "display"),
    ("types", "windows", "columns", "files", "runtime", "cluster"),
    ("config", "settings", "hub", "locks", "http_client"),
    ("pretrained",),
    ("video", "vision", "language", "grounding", "outputs", "export"),
    ("annotations", "notebook"),
    ("model", "scoring", "recipes", "synthetic"),
    ("engine", "checkpoints"),
    ("features",),
    ("backends",),
    ("session",),
    ("training",),
    ("evaluation", "library", "shipped"),
    ("plot", "ablation"),
    ("apps", "testing"),
    ("__main__",),
)
LEVEL = {room: level for level, row in enumerate(LAYERS) for room in row}


@dataclass(frozen=True)
class Room:
    """A folder or file right under the package: its files, lines, and the rooms it imports."""

    name: str
    files: int
    lines: int
    imports: tuple[str, ...]


def parts(source: Path = SOURCE) -> dict[str, list[Path]]:
    """Files of each room."""
    found: dict[str, list[Path]] = {}
    for file in sorted(source.rglob("*.py")):
        found.setdefault(file.relative_to(source).parts[0].removesuffix(".py"), []).append(file)
    return found


def our_imports(file: Path, source: Path = SOURCE) -> Iterator[str]:
    """Dotted names under the package that a file imports, anywhere in it; "__init__": the package itself."""
    package = ("videoexpert", *file.relative_to(source).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = (*base, *(node.module.split(".") if node.module else ()))
            names = [
                (*base, alias.name) if _is_module((*base, alias.name), source) else base
                for alias in node.names
            ]
        else:
            continue
        yield from (".".join(name[1:]) or "__init__" for name in names if name[0] == "videoexpert")


def _is_module(name: tuple[str, ...], source: Path) -> bool:
    path = source.joinpath(*name[1:])
    return name[0] == "videoexpert" and (path.is_dir() or path.with_suffix(".py").exists())


def file_of(name: str, source: Path = SOURCE) -> Path:
    """The file of a dotted name under the package; "__init__" is the package's own."""
    place = source if name == "__init__" else source.joinpath(*name.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


def is_allowed(room: str, imported: str) -> bool:
    """Whether a room may import a dotted name: its own, the package itself, or one of a lower row."""
    other = imported.split(".", maxsplit=1)[0]
    return other in (room, "__init__") or LEVEL[other] < LEVEL[room]


def circles(imports: dict[Path, set[Path]]) -> list[set[Path]]:
    """Files that reach one another; what imports nothing that is left is taken off until only circles stay."""
    left = {file: set(targets) - {file} for file, targets in imports.items()}
    while ends := {file for file, targets in left.items() if not targets & set(left)}:
        left = {file: targets for file, targets in left.items() if file not in ends}
    return [{file, *(targets & set(left))} for file, targets in left.items()]


def all_imports() -> dict[Path, set[Path]]:
    """Each file with those it imports."""
    return {file: {file_of(name) for name in our_imports(file)} for file in SOURCE.rglob("*.py")}


def rooms() -> list[Room]:
    """Every room, from the ground up."""
    found = []
    for name, files in parts().items():
        others = {i.split(".", maxsplit=1)[0] for file in files for i in our_imports(file)} - {
            name,
            "__init__",
        }
        lines = sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)
        if name in LEVEL:
            found.append(Room(name, len(files), lines, tuple(sorted(others, key=lambda r: (LEVEL[r], r)))))
    return sorted(found, key=lambda room: (LEVEL[room.name], room.name))


def map_of(found: list[Room]) -> str:
    """The page, plain text; lines are rounded to hundreds, so that it does not change with each of them."""
    upward = [(r.name, i) for r in found for i in r.imports if not is_allowed(r.name, i)]
    arrows = sum(len(room.imports) for room in found)
    page, level = [], -1
    for room in found:
        row = f"{LEVEL[room.name]:2}" if LEVEL[room.name] != level else "  "
        level = LEVEL[room.name]
        page.append(f"{row}  {room.name:<12}{round(room.lines, -2):>6}  {' '.join(room.imports)}".rstrip())
    count = sum(room.lines for room in found)
    page.append("")
    page.append(
        f"{len(found)} rooms, about {round(count, -3):,} lines, {arrows} arrows, "
        f"{len(circles(all_imports()))} files in circles, {len(upward)} imports upward"
    )
    return "\n".join(["row room       lines  imports", *page])


def in_page(text: str, drawn: str) -> str:
    """ARCHITECTURE.md with the map between its marks. Raises ValueError without them."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"{PAGE.name} has no place for the map, expected {BEGIN} ... {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n```\n{drawn}\n```\n{END}", text)


def main() -> None:
    drawn = map_of(rooms())
    if "--write" in sys.argv[1:]:
        PAGE.write_text(in_page(PAGE.read_text(encoding="utf-8"), drawn), encoding="utf-8")
    else:
        print(drawn)


if __name__ == "__main__":
    main()
