"""The shipped model looks at the video, and the pictures of both commands come out of a real run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from videoexpert.apps.cli import main
from videoexpert.synthetic.write import WorldRecipe, write_world


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = WorldRecipe(videos=8, seed=4243, size=64, test_share=1.0)
    return write_world(recipe, tmp_path_factory.mktemp("world"), workers=1)


def test_the_shipped_model_looks_at_the_video(world, tmp_path, capsys):
    common = ["charades-sta", "--annotations", str(world / "charades-sta"), "--split", "test"]
    common += ["--videos", str(world / "videos")]
    assert main(["probe", "bias", *common, "--out", str(tmp_path / "bias")]) == 0, capsys.readouterr().err
    report = json.loads((tmp_path / "bias" / "bias.json").read_text())
    true, another, blank = (report["conditions"][c] for c in ("true", "another", "blank"))
    assert true["moment_bits"]["bits"] > 4 * true["moment_bits"]["sd"]
    for control in (another, blank):
        assert control["moment_bits"]["bits"] < true["moment_bits"]["bits"] / 2
        assert control["overlap_with_true"] < 0.5
    # without a video it falls back on a few windows
    assert blank["repeated"] > true["repeated"]
    assert blank["distinct"] < true["distinct"]
    assert (tmp_path / "bias" / "bias.png").read_bytes().startswith(b"\x89PNG")
    predictions = str(tmp_path / "bias" / "true" / "predictions.jsonl")
    drawn = [
        "panels",
        *common,
        "--predictions",
        predictions,
        "--out",
        str(tmp_path / "panels"),
        "--count",
        "2",
    ]
    assert main(drawn) == 0, capsys.readouterr().err
    assert len(list((tmp_path / "panels").glob("*.png"))) == 2
