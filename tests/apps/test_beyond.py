"""What is said where a video is looked at otherwise than the model was trained."""

from __future__ import annotations

from types import SimpleNamespace

from videoexpert.apps.beyond import beyond_training

CONFIG = SimpleNamespace(trained_seconds=20.0, num_frames=64)


def test_a_length_that_training_showed_needs_no_word():
    assert beyond_training(CONFIG, {"windows": 1, "window": 40.0, "frames": 64}) == ()
    assert beyond_training(CONFIG, {"windows": 30, "window": 20.0, "frames": 30 * 64}) == ()
    assert beyond_training(None, {"windows": 1, "window": 4000.0, "frames": 2}) == ()
    assert beyond_training(CONFIG, None) == ()


def test_far_more_seconds_or_frames_are_told():
    (long,) = beyond_training(CONFIG, {"windows": 1, "window": 600.0, "frames": 64})
    assert "videos of about 20 s and looked at 10:00.0 in one piece, a frame every 9.4 s" in long
    assert "--window auto" in long
    for frames in (31, 129):
        (told,) = beyond_training(CONFIG, {"windows": 2, "window": 20.0, "frames": 2 * frames})
        assert f"trained with 64 frames and looked at {frames}" in told
    unknown = SimpleNamespace(trained_seconds=None, num_frames=64)
    assert beyond_training(unknown, {"windows": 1, "window": 6000.0, "frames": 64}) == ()
