"""What docs/security.md claims of the tree and of the source."""

from __future__ import annotations

import ast
import gzip
import io
import pickle
import pickletools
import re
import subprocess
import zipfile
import zlib
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

import videoexpert
from videoexpert.limits import Limits, table

ROOT = Path(__file__).parents[1]
SOURCE = Path(videoexpert.__file__).parent
PICKLES = (".pkl", ".pickle", ".bin", ".pt", ".pth", ".ckpt", ".joblib", ".npy", ".npz", ".dill")


def is_pickle(file: Path) -> bool:
    """By its name, or by its content, packed or not: a pickle of any protocol, torch's archive, an array of objects."""
    return file.suffix.lower() in PICKLES or holds_pickle(file.read_bytes())


def holds_pickle(data: bytes) -> bool:
    unpack = {
        b"\x1f\x8b": gzip.decompress,
        **dict.fromkeys((b"x\x01", b"x^", b"x\x9c", b"x\xda"), zlib.decompress),
    }
    if data[:2] in unpack:
        with suppress(OSError, EOFError, zlib.error):  # begins so, and is none
            return holds_pickle(unpack[data[:2]](data))
    if data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return any(
                name.endswith(".pkl") or holds_pickle(archive.read(name)) for name in archive.namelist()
            )
    if data[:6] == b"\x93NUMPY":
        return b"'|O'" in data[:256]
    return (data[:1] == b"\x80" and data[1:2] in b"\x02\x03\x04\x05") or runs_as_pickle(data)


def runs_as_pickle(data: bytes) -> bool:
    """The older protocols have no mark at the beginning: their instructions are read, not run, to the last one."""
    if data[-1:] != b".":
        return False
    try:
        *_, (last, _, place) = pickletools.genops(data)
    except (ValueError, IndexError, OverflowError, MemoryError):
        return False
    return last.name == "STOP" and place == len(data) - 1


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
    """By name or by content: disguised names, text pickles, arrays of objects, joblib's packed ones."""
    tensors, plain = io.BytesIO(), {"a": 1}
    torch.save({"a": torch.zeros(1)}, tensors)
    old = io.BytesIO()
    torch.save({"a": torch.zeros(1)}, old, _use_new_zipfile_serialization=False)
    objects = io.BytesIO()
    np.save(objects, np.array([plain], dtype=object), allow_pickle=True)
    archive = io.BytesIO()
    np.savez(archive, a=np.array([plain], dtype=object))
    refused = {
        **{f"named{ending}": b"" for ending in PICKLES},
        "UPPER.PKL": b"",
        "notes.json": pickle.dumps(plain),
        "old.txt": pickle.dumps(plain, protocol=1),
        "text.md": pickle.dumps(plain, protocol=0),
        "weights.dat": tensors.getvalue(),
        "legacy.dat": old.getvalue(),
        "picture.png": objects.getvalue(),
        "film.mp4": archive.getvalue(),
        "packed.gz": gzip.compress(pickle.dumps(plain)),
        "joblib.z": zlib.compress(pickle.dumps(plain)),
    }
    sound = {"d.json": b"{}", "e.gz": gzip.compress(b"{}"), "f": b"", "g.txt": b"(c) 2024, (d) and so on."}
    for name, data in {**refused, **sound}.items():
        (tmp_path / name).write_bytes(data)
    assert {name for name in refused if not is_pickle(tmp_path / name)} == set()
    assert {name for name in sound if is_pickle(tmp_path / name)} == set()


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
