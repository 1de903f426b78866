"""Which frames are kept, and which seconds they stand for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoexpert.backends.training_free.tracks import Track, is_black, track
from videoexpert.types import Stretch


class Recorder:
    """A tower that embeds a picture as its mean colour, and knows how many it has seen at once."""

    name, revision, width = "recorder", "0", 3

    def __init__(self):
        self.batches = []

    def encode_images(self, pixels, batch_size=4):
        self.batches.append(len(pixels))
        rows = pixels.float().mean((2, 3)) + 1e-3
        return rows / rows.norm(dim=1, keepdim=True)


def picture(*colour, size=32):
    return torch.tensor(colour, dtype=torch.uint8).view(3, 1, 1).expand(3, size, size).clone()


RED, GREEN, BLACK = picture(200, 0, 0), picture(0, 200, 0), picture(2, 3, 1)


def made(pictures, rate=1.0, batch_size=4, stretch=None):
    tower = Recorder()
    frames = [(i / rate + 0.25, p) for i, p in enumerate(pictures)]
    whole = stretch or Stretch(0.0, len(pictures) / rate)
    return track(iter(frames), tower, rate, whole, batch_size), tower


def test_black_pictures_and_repetitions_are_dropped():
    found, tower = made([BLACK, RED, RED.clone(), GREEN, BLACK, GREEN, GREEN])
    assert found.bins.tolist() == [[1, 3], [3, 4], [5, 7]]
    assert found.times_s.tolist() == [1.25, 3.25, 5.25]
    assert (found.count, sum(tower.batches)) == (7, 3)
    assert found.features.dtype == np.float16
    assert [found.seconds(i, i + 1) for i in range(3)] == [(1.0, 3.0), (3.0, 4.0), (5.0, 7.0)]
    assert found.seconds(0, 3) == (1.0, 7.0)  # a window may reach over a black picture
    assert found.spread(np.array([0.5, 0.9, 0.7])).tolist() == [0.5, 0.5, 0.5, 0.9, 0.5, 0.7, 0.7]


def test_a_small_thing_that_moves_is_no_repetition_and_grain_is():
    moved = [RED.clone() for _ in range(4)]
    for i, shot in enumerate(moved):
        shot[:, 4 * i : 4 * i + 3, 5:8] = 255
    grain = torch.Generator().manual_seed(0)
    noisy = [
        (RED.float() + torch.randint(-1, 2, RED.shape, generator=grain)).clamp(0, 255).byte()
        for _ in range(3)
    ]
    assert len(made(moved)[0].bins) == 4
    assert len(made(noisy)[0].bins) == 1


def test_a_slow_change_adds_up():
    slow = [picture(100 + i // 2, 50, 50) for i in range(12)]  # half a grey level a picture
    assert 2 <= len(made(slow)[0].bins) <= 4


def test_a_black_video_is_kept():
    found, _ = made([BLACK, BLACK, BLACK])
    assert found.bins.tolist() == [[0, 3]]
    assert found.seconds(0, 1) == (0.0, 3.0)


def test_no_more_than_a_batch_is_held():
    shots = [picture(20 * i, 250 - 20 * i, 90) for i in range(11)]
    assert made(shots, batch_size=4)[1].batches == [4, 4, 3]


def test_dark_but_not_black():
    dim = picture(5, 5, 5)
    dim[:, :10, :10] = 90
    assert is_black(BLACK)
    assert not is_black(dim)


def test_holes_are_left_out_of_the_seconds():
    stretch = Stretch(0.0, 10.0, ((2.0, 8.0),))
    found, _ = made([RED, GREEN, RED, GREEN], rate=1.0, stretch=stretch)
    assert found.seconds(1, 2) == (1.0, 2.0)
    assert found.seconds(2, 3) == (8.0, 9.0)
    assert found.seconds(1, 3) == (1.0, 9.0)
    assert found.curve_times == (0.5, 1.5, 8.5, 9.5)
    assert made([RED, GREEN])[0].curve_times == ()


def test_every_bin_is_covered_whatever_is_kept():
    rng = np.random.default_rng(0)
    shots = [[RED, GREEN, BLACK][i] for i in rng.integers(0, 3, 40)]
    found, _ = made(shots)
    covered = np.zeros(40, dtype=int)
    for first, end in found.bins:
        covered[first:end] += 1
    assert covered.tolist() == [int(not is_black(s)) for s in shots]


def test_frames_with_no_kept_picture_in_them_cannot_be():
    track_ = Track(np.ones((1, 2), np.float16), np.zeros(1), np.array([[0, 2]]), 2, 1.0, Stretch(0.0, 2.0))
    assert track_.spread(np.array([0.25])).tolist() == [0.25, 0.25]
    with pytest.raises(ValueError, match="zip"):
        track_.spread(np.array([0.1, 0.2]))
