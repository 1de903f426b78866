from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.video.sampling import bin_centres, centre_ticks, linspace_indices, shown_at


def test_bin_centres_by_hand() -> None:
    assert bin_centres(4, 0.0, 8.0).tolist() == [1.0, 3.0, 5.0, 7.0]
    assert bin_centres(2, 10.0, 1.0).tolist() == [10.25, 10.75]


def test_a_centre_exactly_on_a_picture_shows_that_picture() -> None:
    # 20 pictures a second for 10 s and 100 bins: centre i is at 0.05 + 0.1 i, exactly on picture 2 i + 1.
    pictures = np.arange(200) * 500  # a clock of 10 000 ticks a second
    ticks = centre_ticks(100, Fraction(0), Fraction(100_000))
    assert shown_at(pictures, ticks).tolist() == [2 * i + 1 for i in range(100)]


def test_before_the_first_picture_shows_the_first() -> None:
    assert shown_at(np.asarray([10, 20]), [0, 9, 10, 19, 20, 99]).tolist() == [0, 0, 0, 0, 1, 1]


def test_linspace_indices_by_hand() -> None:
    assert linspace_indices(10, 4).tolist() == [0, 3, 6, 9]
    assert linspace_indices(2, 5).tolist() == [0, 0, 0, 0, 1]
    assert linspace_indices(7, 1).tolist() == [0]


@given(
    num_frames=st.integers(1, 50),
    start=st.fractions(0, 1000, max_denominator=1000),
    duration=st.fractions(Fraction(1, 100), 10_000, max_denominator=1000),
)
def test_exact_and_float_centres_agree(num_frames: int, start: Fraction, duration: Fraction) -> None:
    ticks = np.asarray(centre_ticks(num_frames, start, duration))
    centres = bin_centres(num_frames, float(start), float(duration))
    assert ((centres - ticks > -1e-6) & (centres - ticks < 1 + 1e-6)).all()
    assert (np.diff(centres) > 0).all()
    assert float(start) < centres[0]
    assert centres[-1] < float(start + duration)


@given(
    gaps=st.lists(st.integers(1, 50), min_size=1, max_size=30),
    asked=st.lists(st.integers(-10, 2000), min_size=1, max_size=20),
)
def test_shown_at_is_the_last_picture_begun(gaps: list[int], asked: list[int]) -> None:
    pictures = np.cumsum(gaps)
    for tick, index in zip(asked, shown_at(pictures, asked), strict=True):
        begun = [i for i, picture in enumerate(pictures) if picture <= tick]
        assert index == (begun[-1] if begun else 0)
