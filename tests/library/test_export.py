"""A library as plain files: what is in it is in them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from library.conftest import Colours
from videoexpert.errors import DataError
from videoexpert.library.build import index
from videoexpert.library.export import export
from videoexpert.library.manifest import Manifest
from videoexpert.library.shards import read_embeddings, shard_path


def read_lines(file):
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_everything_is_in_the_files(videos, tmp_path):
    (videos / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red 門\n", "utf-8")
    (videos / "copy.mp4").write_bytes((videos / "red.mp4").read_bytes())
    library, out = tmp_path / "lib", tmp_path / "out"
    index([videos], library, Colours("a"))
    index([videos / "red.mp4"], library, Colours("b"))
    counts = export(library, out)
    lines = read_lines(out / "videos.jsonl")
    assert counts == {"videos": 3, "rows": 32, "texts": 1}
    assert sorted(len(line["paths"]) for line in lines) == [1, 1, 2]
    for number in (1, 2):
        matrix, times = np.load(out / f"embeddings-{number}.npy"), np.load(out / f"times-{number}.npy")
        assert (matrix.dtype, len(matrix)) == (np.float16, len(times))
        own = [line for line in lines if str(number) in line["rows"]]
        assert len(own) == {1: 3, 2: 1}[number]
        for line in own:
            first, count = line["rows"][str(number)]
            rows, at = read_embeddings(shard_path(library, line["content"], number))
            assert np.array_equal(matrix[first : first + count], rows)
            assert np.array_equal(times[first : first + count], at)
    (text,) = read_lines(out / "texts.jsonl")
    assert (text["words"], text["start"], text["end"], text["kind"]) == ("the red 門", 1.0, 2.5, "transcript")
    assert json.loads((out / "library.json").read_text())["encoders"] == {
        "1": {"name": "a"},
        "2": {"name": "b"},
    }


def test_a_damaged_library_leaves_no_half_export(videos, tmp_path):
    index([videos], tmp_path / "lib", Colours())
    content = next(iter(Manifest(tmp_path / "lib").videos(1)))
    shard_path(tmp_path / "lib", content, 1).write_bytes(b"damaged")
    with pytest.raises(DataError, match="cannot be read"):
        export(tmp_path / "lib", tmp_path / "out")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["lib", "videos"]


def test_an_empty_library(tmp_path):
    (tmp_path / "none").mkdir()
    index([tmp_path / "none"], tmp_path / "lib", Colours())
    assert export(tmp_path / "lib", tmp_path / "out") == {"videos": 0, "rows": 0, "texts": 0}
