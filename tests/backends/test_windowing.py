"""When a video is looked at in windows, and in which."""

from __future__ import annotations

import pytest

from videoexpert.backends.windowing import window_of
from videoexpert.errors import InputError


def test_auto_is_one_window_up_to_twice_the_training_length():
    assert window_of("auto", None, 20.0, 40.0) is None
    assert window_of("auto", None, 20.0, 40.1) == (20.0, 5.0)
    assert window_of("auto", 2.0, 20.0, 60.0) == (20.0, 2.0)
    assert window_of("auto", None, None, 9000.0) is None  # the model does not know
    assert window_of("off", None, 20.0, 9000.0) is None
    assert window_of(12.0, None, None, 13.0) == (12.0, 3.0)
    assert window_of(12.0, 0.0, 20.0, 12.0) is None


@pytest.mark.parametrize(
    ("window", "overlap", "message"),
    [
        (0.0, None, "window is 0.0, expected seconds above 0"),
        ("on", None, "window is 'on', expected seconds above 0"),
        (10.0, 10.0, "overlap is 10, expected from 0 to below the window of 10 s"),
        (10.0, -1.0, "overlap is -1, expected"),
        ("off", 2.0, "overlap is 2.0, but there is one window"),
    ],
)
def test_windows_that_make_no_sense(window, overlap, message):
    with pytest.raises(InputError, match=message):
        window_of(window, overlap, 20.0, 100.0)
