"""benchmarks/spatial_tokens.py at toy size: Table VIII's rows, measured beside the paper's."""

from __future__ import annotations

import json

import pytest

import spatial_tokens
from shapes import PREFIX, SIZES


def test_rows_of_table_viii(tmp_path, capsys):
    file = tmp_path / "made" / "tokens.json"
    options = ["--size", "tiny", "--device", "cpu", "--tokens", "3", "--rounds", "2"]
    assert spatial_tokens.main([*options, "--save", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["tokens"] for row in rows] == [
        "100 + 0 x 0",
        "100 + 4 x 64",
        "100 + 4 x 128",
        "100 + 8 x 64",
        "100 + 8 x 128",
    ]
    assert rows[0]["of row 1"] == rows[0]["paper of row 1"] == 1
    assert [row["paper of row 1"] for row in rows] == pytest.approx([1, 0.982, 0.944, 0.936, 0.911], abs=5e-4)
    width, _, layers, *_ = SIZES["tiny"]
    for row, spatial in zip(rows, (0, 256, 512, 512, 1024), strict=True):
        positions = PREFIX + 100 + spatial
        assert row["keys and values MiB"] * 2**20 == 2 * layers * width * 4 * positions
        assert row["tokens/s"] > 0
        assert row["peak GiB"] is None  # of a CPU's memory nothing is said for a row
    assert "paper tokens/s" in capsys.readouterr().out


def test_slower_answers_show_in_the_ratios(monkeypatch, tmp_path):
    opening = {0: 0.5, 256: 1.0, 512: 1.5, 1024: 2.0}

    def seconds(model, tokens, length):
        return opening[len(tokens.spatial)], 0.5 if len(tokens.spatial) < 1000 else 2.0

    monkeypatch.setattr(spatial_tokens, "answer_seconds", seconds)
    file = tmp_path / "tokens.json"
    options = ["--size", "tiny", "--device", "cpu", "--rounds", "1", "--tokens", "6"]
    assert spatial_tokens.main([*options, "--save", str(file)]) == 0
    rows = json.loads(file.read_text())["rows"]
    assert [row["of row 1"] for row in rows] == pytest.approx([1, 1 / 1.5, 0.5, 0.5, 0.25])
    assert [row["answer alone, of row 1"] for row in rows] == [1, 1, 1, 1, 0.25]
    assert [row["tokens/s"] for row in rows] == pytest.approx([6, 4, 3, 3, 1.5])
