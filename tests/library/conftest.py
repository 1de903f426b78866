"""A library of small videos under an encoder that sees colours, so that what is like what is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from videoexpert.errors import VideoError
from videoexpert.library.shards import Shard
from videoexpert.video import read_frames, write_video

NAMES = {"red": (200, 0, 0), "green": (0, 200, 0), "blue": (0, 0, 200)}


class Colours:
    """A frame's embedding is its mean colour; a colour's name means that colour."""

    def __init__(self, name: str = "colours") -> None:
        self.fields: dict[str, Any] = {"name": name}
        self.width = 3
        self.encoded: list[str] = []

    def encode(self, path: Any) -> Shard:
        if "unlucky" in str(path):
            raise VideoError("this one cannot be decoded.")
        frames = read_frames(path, 8)
        self.encoded.append(Path(path).name)
        return Shard(frames.duration_s, self.encode_images(frames.pixels), frames.times_s)

    def encode_texts(self, texts: Sequence[str]) -> torch.Tensor:
        return normalize(torch.tensor([NAMES.get(text, (1, 1, 1)) for text in texts]).float(), dim=-1)

    def encode_images(self, pixels: torch.Tensor) -> torch.Tensor:
        return normalize(pixels.float().mean((2, 3)) + 1e-3, dim=-1)


def write(path: Path, colours: Sequence[str], part_s: float = 2.0) -> Path:
    """A video that shows one colour after the other, each for ``part_s`` seconds."""
    rate = 4
    count = int(part_s * rate)
    pictures = np.concatenate([np.full((count, 32, 32, 3), NAMES[c], np.uint8) for c in colours])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, pictures, [i / rate for i in range(len(pictures))], duration_s=len(pictures) / rate)
    return path


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    write(folder / "red.mp4", ["red", "red", "red"])
    write(folder / "mixed.mp4", ["green", "blue", "green"])
    write(folder / "blue.mp4", ["blue", "blue"])
    return folder


@pytest.fixture
def videos(tmp_path: Path, pictures: Path) -> Path:
    folder = tmp_path / "videos"
    (folder / "sub").mkdir(parents=True)
    for file in sorted(pictures.iterdir()):
        target = folder / ("sub" if file.name == "blue.mp4" else "") / file.name
        target.write_bytes(file.read_bytes())
    return folder
