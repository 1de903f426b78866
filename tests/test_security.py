"""What docs/security.md claims of the tree and of the source."""

from __future__ import annotations

import ast
import re
import subprocess
import zipfile
from dataclasses import fields
from pathlib import Path

import pytest

import videoexpert
from videoexpert.limits import Limits, table

ROOT = Path(__file__).parents[1]
SOURCE = Path(videoexpert.__file__).parent
PICKLES = (".pkl", ".pickle", ".bin", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".npz", ".dill")


def is_pickle(file: Path) -> bool:
    """By its name, or by how it begins: a pickle of protocol 2 or above, or torch's archive of one."""
    with file.open("rb") as stream:
        head = stream.read(4)
    if head[:1] == b"\x80" and head[1:2] in b"\x02\x03\x04\x05":
        return True
    archived = head == b"PK\x03\x04" and any(
        name.endswith("data.pkl") for name in zipfile.ZipFile(file).namelist()
    )
    return file.suffix.lower() in PICKLES or archived


def test_the_tree_holds_no_pickle():
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("no git checkout")
    files = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    there = [file for file in files if file.is_file()]
    assert len(there) > 300
    # the fuzzers' cases are damaged on purpose, and no program loads them as a pickle
    assert [str(f.relative_to(ROOT)) for f in there if "regressions" not in f.parts and is_pickle(f)] == []


def test_pickles_are_recognised(tmp_path):
    import pickle

    import torch

    (tmp_path / "a.json").write_bytes(pickle.dumps({"a": 1}))
    torch.save({"a": torch.zeros(1)}, tmp_path / "b.dat")
    (tmp_path / "c.bin").write_bytes(b"")
    (tmp_path / "d.json").write_text("{}")
    assert [is_pickle(tmp_path / name) for name in ("a.json", "b.dat", "c.bin", "d.json")] == [
        True,
        True,
        True,
        False,
    ]


def calls() -> list[tuple[str, ast.Call]]:
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                found.append((str(file.relative_to(SOURCE)), node))
    return found


def named(call: ast.Call) -> dict[str, str]:
    return {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords if keyword.arg}


def test_no_call_of_transformers_may_run_a_folders_code():
    loads = [
        (file, node)
        for file, node in calls()
        if node.func.attr == "from_pretrained" and "VisionEncoder" not in ast.unparse(node.func)
    ]
    assert len(loads) >= 5
    for file, node in loads:
        assert named(node).get("trust_remote_code") == "False", f"{file}:{node.lineno}"


def test_pickles_are_opened_with_weights_alone():
    loads = [
        (file, node) for file, node in calls() if ast.unparse(node.func) in ("torch.load", "pickle.load")
    ]
    assert loads
    for file, node in loads:
        assert named(node).get("weights_only") == "True", f"{file}:{node.lineno}"


def test_the_page_lists_the_limits_in_force():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"<!-- limits: [^>]*-->\n(.*?)<!-- end of limits -->", page, re.DOTALL)
    assert shown == table()
    assert shown.count("\n|") == len(fields(Limits)) + 1


def test_the_page_names_files_that_exist():
    page = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    for name in re.findall(r"`([\w/]+\.py)`", page):
        assert (SOURCE / name).is_file(), name
