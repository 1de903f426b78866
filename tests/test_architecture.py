"""The rules that keep the code simple, read off the import statements."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "videoexpert"
STAGES = ("video", "vision", "language", "grounding")
# Rooms from the ground up. A room imports itself and rooms of lower rows; BESIDE lists the few steps within a row.
LAYERS = (
    ("errors", "assets"),
    ("limits", "display"),
    ("types", "windows", "files", "hub", "runtime", "http_client"),
    ("config",),
    ("video", "vision", "language", "grounding", "export"),
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
)
LEVEL = {room: level for level, row in enumerate(LAYERS) for room in row}
MAX_LINES = 450
HEAVY = {"torch", "transformers", "numpy", "matplotlib", "av", "scipy"}


def parts() -> dict[str, list[Path]]:
    """Files of each part: a package or a module right under videoexpert."""
    found: dict[str, list[Path]] = {}
    for file in sorted(SOURCE.rglob("*.py")):
        relative = file.relative_to(SOURCE)
        found.setdefault(relative.parts[0].removesuffix(".py"), []).append(file)
    return found


def our_imports(file: Path) -> Iterator[str]:
    """Dotted names under videoexpert that a file imports, anywhere in it; "__init__": the package itself."""
    package = ("videoexpert", *file.relative_to(SOURCE).parts[:-1])
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            base = (*base, *(node.module.split(".") if node.module else ()))
            names = [(*base, alias.name) if is_module((*base, alias.name)) else base for alias in node.names]
        else:
            continue
        yield from (".".join(name[1:]) or "__init__" for name in names if name[0] == "videoexpert")


def is_module(name: tuple[str, ...]) -> bool:
    path = SOURCE.joinpath(*name[1:])
    return name[0] == "videoexpert" and (path.is_dir() or path.with_suffix(".py").exists())


def is_allowed(part: str, imported: str) -> bool:
    room = imported.split(".", maxsplit=1)[0]
    return room in (part, "__init__") or LEVEL[room] < LEVEL[part]


ROOMS = sorted(set(parts()) - {"__init__"})


@pytest.mark.parametrize("part", ROOMS)
def test_no_import_runs_up(part):
    assert part in LEVEL, f"{part} stands in no layer: give it a row in LAYERS"
    seen = [(file, name) for file in parts()[part] for name in our_imports(file)]
    wrong = {
        f"{file.relative_to(SOURCE)} imports {name}" for file, name in seen if not is_allowed(part, name)
    }
    assert wrong == set()


def test_every_file_is_seen():
    found = parts()
    assert all(len(found[stage]) >= 3 for stage in STAGES)
    assert sum(map(len, found.values())) == len(list(SOURCE.rglob("*.py"))) > 100


def test_the_reading_of_imports(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", tmp_path)
    for name in ("a/x.py", "b/__init__.py", "b/y.py", "c.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    file = tmp_path / "a" / "x.py"
    file.write_text(
        "import os, videoexpert.c\n"
        "from . import z\n"
        "from .. import c\n"
        "from ..b import y, other\n"
        "from ..b.y import f\n"
        "def g():\n"
        "    from videoexpert.b import y\n"
        "    from videoexpert import load\n"
        "    from torch import nn\n"
    )
    assert sorted(our_imports(file)) == ["__init__", "a", "b", "b.y", "b.y", "b.y", "c", "c"]
    assert not is_allowed("video", "vision.encoder")
    assert not is_allowed("scoring", "evaluation.runner")
    assert is_allowed("apps", "video.probe")


def test_files_stay_short():
    files = sorted(SOURCE.rglob("*.py"))
    counts = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(counts) > 40
    assert {str(f.relative_to(SOURCE)): n for f, n in counts.items() if n > MAX_LINES} == {}


@pytest.mark.parametrize(
    "code",
    [
        "import videoexpert; dir(videoexpert)",
        "from videoexpert.apps.cli import main; assert main(['--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['ground', '--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['probe', 'bias', '--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['panels', '--help']) == 0",
    ],
)
def test_import_and_help_stay_light(code):
    check = f"import sys; {code}; print('heavy:', sorted({HEAVY!r} & set(sys.modules)), len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("heavy: [] ")
