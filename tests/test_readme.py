"""What README and the docs say is run, and prints what they say."""

from __future__ import annotations

import contextlib
import io
import json
import re
from importlib.metadata import distributions
from pathlib import Path

import pytest

from videoexpert.apps import cli
from videoexpert.assets import SHIPPED_MODEL
from videoexpert.checkpoints import folder as checkpoint

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_lines_print_what_stands_below_them(monkeypatch):
    monkeypatch.chdir(ROOT)
    blocks = re.findall(r"```python\n(.*?)```\s*```\n(.*?)```", README, re.DOTALL)
    assert len(blocks) == 1
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        exec(compile(blocks[0][0], "README.md", "exec"), {})
    assert said.getvalue() == blocks[0][1]


def test_extras_that_are_named_exist_and_readme_names_all():
    table = (ROOT / "pyproject.toml").read_text().split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^(\w+) = \[", table, re.MULTILINE))
    pages = [*(ROOT / "docs").glob("*.md"), *(ROOT / "src").rglob("*.py"), ROOT / "README.md"]
    named = {
        extra
        for page in pages
        for found in re.findall(r"videoexpert\[([a-z0-9,]+)\]", page.read_text())
        for extra in found.split(",")
    }
    assert named <= extras, named - extras
    listed = README.split("Extras:")[1].split(". It needs")[0]
    assert set(re.findall(r"`(\w+)`", listed)) == extras - {"remote"}  # which the stores' own bring


def test_what_is_pinned_runs_on_the_python_that_is_promised():
    from packaging.specifiers import SpecifierSet

    promised = re.search(r'requires-python = ">=(3\.\d+)"', (ROOT / "pyproject.toml").read_text())[1]
    assert f"Python {promised} or newer" in README
    pinned = re.findall(r"^([\w.-]+)==([\w.]+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    installed = {d.metadata["Name"].lower(): d for d in distributions()}
    known = [installed[name.lower()] for name, _ in pinned if name.lower() in installed]
    assert len(known) > 50
    needs = {d.name: d.metadata.get("Requires-Python") or "" for d in known}
    assert [name for name, need in needs.items() if f"{promised}.0" not in SpecifierSet(need)] == []


def test_every_command_that_is_named_exists():
    known = set(re.findall(r"^\s*│ (\w+) ", _help(), re.MULTILINE))
    assert {"ground", "train", "score"} <= known
    named = set()
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        named |= set(re.findall(r"(?<!from )videoexpert ([a-z]+)(?= )", page.read_text()))
    assert len(named) > 8
    assert named - {"import"} <= known, named - known


def test_every_link_leads_to_a_file():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [
        (page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    ]
    assert len(links) > 15
    missing = [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_model_card_is_the_result_file(monkeypatch):
    """Every row and every number of both tables, in the words of reports/heldout.py."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    from heldout import readme_tables

    found = json.loads((ROOT / "benchmarks" / "results" / "heldout.json").read_text())
    cards = re.findall(r"^\| grounding \(.*?(?=\n\n[^|])", README, re.DOTALL | re.MULTILINE)
    assert len(cards) == 1
    if "queries" not in found:  # a report from before queries were counted says nothing of them
        cards[0] = re.sub(r"^\| grounding \([\d,]+ queries\)", "| grounding", cards[0])
    assert cards[0].splitlines() == readme_tables(found).splitlines()
    assert f"reports/heldout.py --videos {found['videos']} --seed {found['seed']} " in README
    assert f"{found['videos']} videos of a seed never used in training" in README
    assert f"from scratch on level {found['level']} of" in README


def test_the_model_card_is_of_the_model_in_the_package():
    found = json.loads((ROOT / "benchmarks" / "results" / "heldout.json").read_text())
    threshold = checkpoint.read_config(SHIPPED_MODEL).absent_below
    assert found["weights"] == checkpoint.digest(SHIPPED_MODEL)
    assert found.get("absent_below", threshold) == threshold


def _help() -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        cli.main(["--help"])
    return said.getvalue()
