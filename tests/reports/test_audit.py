"""The audit of pinned packages: a pin with a known hole fails it, today's pins pass it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

import audit  # by bare name, see conftest.py


def test_todays_pins_have_no_hole_in_the_bundled_database(capsys):
    assert audit.main(["--offline"]) == 0
    said = capsys.readouterr().out
    assert f"{len(audit.pins(audit.PINS))} pinned packages, 0 known holes" in said
    assert "bundled advisories of 2024-10-10, none later" in said


def test_a_pin_with_a_known_hole_fails_and_is_named(tmp_path, capsys):
    pins = tmp_path / "pins.txt"
    pins.write_text("PyYAML==5.3\nJinja2==3.1.6\nof-our-own==1\n")
    assert audit.main(["--offline", "--pins", str(pins)]) == 1
    said = capsys.readouterr().out
    assert "pyyaml 5.3: " in said
    assert "fixed in 5.3.1" in said
    assert "jinja2" not in said
    assert "1 packages are not covered: of-our-own" in said


@pytest.mark.parametrize(
    ("version", "hit"), [("1.9", False), ("2.0", True), ("2.5rc1", True), ("2.5", False), ("9", True)]
)
def test_a_range_holds_its_start_and_not_its_end(version, hit):
    row = {"id": "X-1", "aliases": [], "package": "a", "ranges": [["2.0", "2.5"], ["8", None]]}
    assert bool(audit.matches({"a": version}, {"advisories": [row]})) == hit


def pip_audit(folder: Path, body: str) -> str:
    program = folder / "pip-audit"
    program.write_text(f"#!{sys.executable}\n{body}\n")
    program.chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.skipif(os.name == "nt", reason="a script of Unix")
def test_pip_audit_is_asked_first_and_what_it_skips_is_matched_here(tmp_path, monkeypatch, capsys):
    hole = {"name": "A", "version": "1", "vulns": [{"id": "X-2", "fix_versions": ["2"]}]}
    skipped = {"name": "pyyaml", "skip_reason": "Dependency not found on PyPI and could not be audited"}
    answer = json.dumps({"dependencies": [hole, skipped]})
    monkeypatch.setenv("PATH", pip_audit(tmp_path, f"print({answer!r}); raise SystemExit(1)"))
    pins = tmp_path / "pins.txt"
    pins.write_text("a==1\nPyYAML==5.3\n")
    assert audit.main(["--pins", str(pins)]) == 1
    said = capsys.readouterr().out
    assert "A 1: X-2; fixed in 2" in said
    assert "pyyaml 5.3: " in said
    assert "pip-audit on 1; on 1 " in said


@pytest.mark.skipif(os.name == "nt", reason="a script of Unix")
def test_an_index_that_knows_no_holes_is_no_answer(tmp_path, monkeypatch, capsys):
    """pip-audit skips every package there, and says that it found nothing."""
    answer = json.dumps({"dependencies": [{"name": "pyyaml", "skip_reason": "not found on PyPI"}]})
    monkeypatch.setenv("PATH", pip_audit(tmp_path, f"print({answer!r})"))
    pins = tmp_path / "pins.txt"
    pins.write_text("PyYAML==5.3\n")
    assert audit.main(["--pins", str(pins)]) == 1
    said = capsys.readouterr().out
    assert "pip-audit" not in said
    assert "bundled advisories" in said


@pytest.mark.skipif(os.name == "nt", reason="a script of Unix")
def test_without_an_answer_the_bundled_advisories_are_matched(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", pip_audit(tmp_path, "raise SystemExit('no network')"))
    assert audit.main([]) == 0
    assert "bundled advisories" in capsys.readouterr().out
