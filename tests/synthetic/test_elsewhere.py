"""Reference videos: unlike one another, the same again by seed."""

from __future__ import annotations

import numpy as np
import torch

from videoexpert.synthetic.elsewhere import elsewhere, scene


def test_the_same_seed_gives_the_same_pictures():
    first, again, other = elsewhere(3, 5, 32), elsewhere(3, 5, 32), elsewhere(4, 5, 32)
    assert first.shape == (5, 3, 32, 32)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_one_frame_is_enough_and_videos_differ():
    shots = torch.stack([elsewhere(seed, 1, 16)[0] for seed in range(24)]).float()
    means = shots.mean((1, 2, 3))
    assert means.std() > 20  # dark and bright ones
    assert (shots.std((2, 3)).mean(1) < 3).sum() < 8  # few plain ones


def test_scenes_are_pictures():
    for seed in range(20):
        picture = scene(np.random.default_rng(seed), 24)
        assert picture.shape == (24, 24, 3)
        assert np.isfinite(picture).all()
        assert 0 <= picture.min() <= picture.max() <= 1
