"""The main job in a few seconds: the shipped model finds the shipped moment."""

from __future__ import annotations

import videoexpert
from videoexpert.assets import SHIPPED_VIDEO


def test_the_shipped_model_finds_the_shipped_moment():
    video = videoexpert.load().open(SHIPPED_VIDEO)
    best = video.ground("the purple triangle moves right")[0]
    assert best.start < 16 < best.end
    assert best.score > 0.5
