"""The rules that keep the code simple, read off the import statements."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import videoexpert
from house import LEVEL, SOURCE, all_imports, circles, is_allowed, our_imports, parts

STAGES = ("video", "vision", "language", "grounding")
MAX_LINES, MAX_FUNCTION = 400, 60
PUBLIC = (
    "Answer",
    "Backend",
    "Captions",
    "CheckpointError",
    "DataError",
    "DependencyError",
    "Evidence",
    "Expert",
    "Frames",
    "Highlights",
    "InputError",
    "Library",
    "Moment",
    "Moments",
    "OpenVideo",
    "ServerError",
    "Sighting",
    "TrainingError",
    "UnsupportedError",
    "Video",
    "VideoError",
    "VideoExpertConfig",
    "VideoExpertError",
    "VideoExpertModel",
    "VisualTokens",
    "WriteError",
    "__version__",
    "load",
)
HEAVY = {"torch", "transformers", "numpy", "matplotlib", "av", "scipy"}


ROOMS = sorted(set(parts()) - {"__init__"})


@pytest.mark.parametrize("part", ROOMS)
def test_no_import_runs_up(part):
    assert part in LEVEL, f"{part} stands in no layer: give it a row in LAYERS of reports/house.py"
    seen = [(file, name) for file in parts()[part] for name in our_imports(file)]
    wrong = {
        f"{file.relative_to(SOURCE)} imports {name}" for file, name in seen if not is_allowed(part, name)
    }
    assert wrong == set()


def test_every_file_is_seen():
    found = parts()
    assert all(len(found[stage]) >= 3 for stage in STAGES)
    assert sum(map(len, found.values())) == len(list(SOURCE.rglob("*.py"))) > 100


def test_the_reading_of_imports(tmp_path):
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
    assert sorted(our_imports(file, tmp_path)) == ["__init__", "a", "b", "b.y", "b.y", "b.y", "c", "c"]
    assert not is_allowed("video", "vision.encoder")
    assert not is_allowed("scoring", "evaluation.runner")
    assert is_allowed("apps", "video.probe")


def test_no_circle_of_files():
    """Imports inside functions and those for types alone count too: neither may hide a circle."""
    imports = all_imports()
    assert sum(map(len, imports.values())) > 300
    assert circles(imports) == []


def test_circles_are_found():
    a, b, c, d = (Path(name) for name in "abcd")
    assert circles({a: {b}, b: {c}, c: set(), d: {a}}) == []
    assert {a, b} in circles({a: {b}, b: {a}, c: {a}, d: set()})


def test_files_stay_short():
    files = sorted(SOURCE.rglob("*.py"))
    counts = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in files}
    assert len(counts) > 100
    long = {str(f.relative_to(SOURCE)): n for f, n in counts.items() if n > MAX_LINES}
    assert long == {}


def long_functions(code: str) -> dict[str, int]:
    """Functions of more than MAX_FUNCTION lines. Of a command, whose options each say what they do, the body counts."""
    found = {}
    for node in ast.walk(ast.parse(code)):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            continue
        arguments = (*node.args.args, *node.args.kwonlyargs)
        options = any("typer." in ast.unparse(a.annotation) for a in arguments if a.annotation)
        named = any("options." in ast.unparse(a.annotation) for a in arguments if a.annotation)
        first = node.body[0].lineno if options or named else node.lineno
        length = (node.end_lineno or first) - first + 1
        if length > MAX_FUNCTION:
            found[node.name] = length
    return found


def test_functions_stay_short():
    files = sorted(SOURCE.rglob("*.py"))
    found = {file: long_functions(file.read_text(encoding="utf-8")) for file in files}
    assert {str(file.relative_to(SOURCE)): names for file, names in found.items() if names} == {}


def test_the_length_of_functions():
    body = "    x = 1\n" * 59
    assert long_functions(f"def f():\n{body}") == {}
    assert long_functions(f"def f():\n{body}{body[:10]}") == {"f": 61}
    assert long_functions(f"def f(\n    a: typer.Option(),\n):\n{body}") == {}


def test_public_names():
    assert sorted(videoexpert.__all__) == sorted(PUBLIC)
    for name in PUBLIC:
        assert getattr(videoexpert, name) is not None


@pytest.mark.parametrize(
    "code",
    [
        "import videoexpert; dir(videoexpert)",
        "from videoexpert.apps.cli import main; assert main(['--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['ground', '--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['probe', 'bias', '--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['panels', '--help']) == 0",
        "from videoexpert.apps.cli import main; assert main(['docs']) == 0",
        "from videoexpert.apps.cli import main; assert main(['models']) == 0",
    ],
)
def test_import_and_help_stay_light(code):
    check = f"import sys; {code}; print('heavy:', sorted({HEAVY!r} & set(sys.modules)), len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1].startswith("heavy: [] ")
