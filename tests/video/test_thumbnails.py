"""Thumbnails: the picture of that second, in its shape, never wider than asked."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from videoexpert.video import write_video
from videoexpert.video.thumbnails import thumbnail


def opened(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def test_the_picture_of_that_second(tmp_path):
    pictures = np.zeros((20, 48, 96, 3), np.uint8)
    pictures[10:, ..., 0] = 255
    path = tmp_path / "a.mp4"
    write_video(path, pictures, [i / 10 for i in range(20)], duration_s=2.0)
    dark, red = opened(thumbnail(path, 0.3, 64)), opened(thumbnail(path, 1.5, 64))
    assert dark.shape == red.shape == (32, 64, 3)
    assert dark.mean() < 20
    assert red[..., 0].mean() > 200
    assert red[..., 1].mean() < 60
    assert (opened(thumbnail(path, 99.0, 64)) == opened(thumbnail(path, 1.9, 64))).all()
