"""What README and the docs say is run, and prints what they say."""

from __future__ import annotations

import contextlib
import io
import json
import re
from pathlib import Path

import pytest

from videoexpert.apps import cli

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


def test_every_command_that_is_named_exists():
    known = set(re.findall(r"^\s*│ (\w+) ", _help(), re.MULTILINE))
    assert {"ground", "train", "score"} <= known
    named = set()
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        named |= set(re.findall(r"videoexpert ([a-z]+)(?= )", page.read_text()))
    assert len(named) > 8
    assert named <= known, named - known


def test_every_link_leads_to_a_file():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    links = [
        (page, link) for page in pages for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    ]
    assert len(links) > 15
    missing = [f"{page.name}: {link}" for page, link in links if not (page.parent / link).exists()]
    assert not missing


def test_the_model_card_is_the_result_file():
    found = json.loads((ROOT / "benchmarks" / "results" / "heldout.json").read_text())
    for name, row in found["controls"].items():
        for metric, cell in row.items():
            if name == "model":
                low, high = cell["95%"]
                assert f"{cell['value']:.1f} [{low:.1f}, {high:.1f}]" in README, (name, metric)
            else:
                assert f"{cell['value']:.1f} |" in README, (name, metric)
    for name in ("AUC", "ECE of the first moment"):
        assert f"{name} {found['absence'][name]:.1f}" in README


def _help() -> str:
    said = io.StringIO()
    with contextlib.redirect_stdout(said), pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        cli.main(["--help"])
    return said.getvalue()
