"""docs/fidelity.md names every disputed field, and only tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from videoexpert.config import PRESETS

ROOT = Path(__file__).resolve().parent.parent

TEXT = (ROOT / "docs/fidelity.md").read_text(encoding="utf-8")


def test_each_named_test_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TEXT)
    assert len(named) > 30
    assert TEXT.count("`tests/") == len(named), "a test is named in another form"
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, (
            f"{file}::{name}"
        )


def test_each_row_names_a_test() -> None:
    tables = TEXT.split("## The authors' checkpoint")[0]
    rows = [line for line in tables.splitlines() if line.startswith("| ") and "held by" not in line]
    assert len(rows) > 20
    for row in rows:
        assert "::test_" in row.rsplit("|", 2)[1], row


def test_each_disputed_field_stands_with_both_values() -> None:
    paper, released = PRESETS["paper"], PRESETS["released"]
    assert set(paper) == set(released)
    for field in paper:
        assert paper[field] != released[field], f"{field} is not disputed"
        (row,) = [line for line in TEXT.splitlines() if line.startswith(f"| `{field}` |")]
        _, _, ours, theirs, *_ = row.split("|")
        assert f"`{paper[field]}" in ours, field
        assert f"`{released[field]}" in theirs, field
