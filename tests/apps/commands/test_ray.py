"""``--ray`` of index, encode and eval with the shipped model: what one process gives, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videoexpert.apps.cli import main
from videoexpert.synthetic.write import WorldRecipe, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_world(WorldRecipe(videos=4, size=64, test_share=1.0), tmp_path_factory.mktemp("world"))


def tree(folder: Path, ending: str) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob(f"*{ending}"))}


def test_workers_without_a_cluster_are_refused(tmp_path, capsys):
    call = ["index", str(tmp_path), "--library", str(tmp_path / "lib"), "--workers", "2"]
    assert main(call) == 2
    assert "--workers belongs to --ray" in capsys.readouterr().err


@pytest.mark.slow
def test_encode_eval_and_index_on_a_cluster(world, tmp_path, capsys):
    pytest.importorskip("ray")
    calls = {
        "store": ["encode", "--videos", str(world / "videos"), "--out"],
        "eval": ["eval", "charades-sta", "--annotations", str(world / "charades-sta"), "--videos",
                 str(world / "videos"), "--out"],
        "library": ["index", str(world / "videos"), "--library"],
    }  # fmt: skip
    for name, call in calls.items():
        assert main([*call, str(tmp_path / f"{name}1")]) == 0, capsys.readouterr().err
        on_two = ["--ray", "local", "--workers", "2"]
        assert main([*call, str(tmp_path / f"{name}2"), *on_two]) == 0, capsys.readouterr().err
    assert "x real time" in capsys.readouterr().out
    assert tree(tmp_path / "store1", "safetensors") == tree(tmp_path / "store2", "safetensors") != {}
    assert tree(tmp_path / "library1", "safetensors") == tree(tmp_path / "library2", "safetensors") != {}
    one, two = (json.loads((tmp_path / f"eval{i}" / "result.json").read_text()) for i in (1, 2))
    assert one["metrics"] == two["metrics"]
    assert (
        tree(tmp_path / "eval1", "predictions.jsonl") == tree(tmp_path / "eval2", "predictions.jsonl") != {}
    )
