"""Objects that cross a stage check themselves."""

from __future__ import annotations

import math

import pytest
import torch

from videoexpert.types import Evidence, Frames, Highlights, Moment, VisualTokens, worth_showing

A = Moment(0.0, 1.0)


def pixels(n: int = 2) -> torch.Tensor:
    return torch.zeros(n, 3, 4, 4, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Frames(torch.zeros(2, 4, 4), torch.zeros(2), 1.0),
            r"\(N, 3, height, width\), got \(2, 4, 4\)",
        ),
        (lambda: Frames(pixels(), torch.zeros(3), 1.0), r"times_s must be \(2,\), got \(3,\)"),
        (lambda: Frames(pixels(0), torch.zeros(0), 1.0), "at least one frame"),
        (lambda: Frames(pixels(), torch.tensor([1.0, 0.5]), 2.0), "must not decrease"),
        (lambda: Frames(pixels(), torch.zeros(2), 0.0), "duration_s must be positive"),
        (lambda: Frames(pixels(), torch.zeros(2), 1.0, -1.0), "start_s must be >= 0"),
        (lambda: VisualTokens(torch.zeros(2, 3, 4), torch.zeros(1, 4), 1.0), r"temporal must be \(N, C\)"),
        (lambda: VisualTokens(torch.zeros(2, 3), torch.zeros(1, 4), 1.0), "differ in width: 3 and 4"),
        (lambda: Moment(2.0, 1.0), r"start <= end, got \[2.0, 1.0\]"),
        (lambda: Moment(0.0, math.nan), "finite"),
        (lambda: Moment(0.0, 1.0, 1.5), r"score must be in \[0, 1\], got 1.5"),
        (lambda: Highlights("q", (0.0,), (), ()), "1 times but 0 scores"),
        (lambda: Evidence("q", A, A, 1.5, 0.0, 1.0, 0.0), r"presence must be in \[0, 1\], got 1.5"),
        (lambda: Evidence("q", A, A, 1.0, -0.1, 1.0, 0.0), r"blank_presence must be in \[0, 1\], got -0.1"),
        (lambda: Evidence("q", A, A, 1.0, 0.0, 2.0, 0.0), r"overlap must be in \[0, 1\], got 2.0"),
        (
            lambda: Evidence("q", A, A, 1.0, 0.0, 0.5, -1.0),
            "shift_s must be finite and not negative, got -1.0",
        ),
        (lambda: Evidence("q", A, A, 1.0, 0.0, 0.5, None), "have an overlap and a shift, got 0.5 and None"),
        (lambda: Evidence("q", A, None, 1.0, 0.0, 0.0, 2.0), "have an overlap and a shift, got 0.0 and 2.0"),
        (
            lambda: Evidence("q", None, A, 1.0, 0.0, 0.1, None),
            "have an overlap and a shift, got 0.1 and None",
        ),
    ],
)
def test_contradictions_are_refused_with_what_was_got(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_worth_showing_keeps_the_best_and_what_comes_near_it():
    ranked = [Moment(0, 1, 0.5), Moment(1, 2, 0.06), Moment(2, 3, 0.04), Moment(3, 4, 0.0)]
    assert worth_showing(ranked) == tuple(ranked[:2])
    assert worth_showing([]) == ()
    unsure = [Moment(0, 1, 0.0), Moment(1, 2, 0.0)]
    assert worth_showing(unsure) == tuple(unsure)


def test_moments_print_rounded():
    assert repr(Moment(1.23456, 2.0, 0.5)) == "Moment(start=1.23, end=2.00, score=0.50)"
    assert repr(Moment(0, 1, text="a")) == "Moment(start=0.00, end=1.00, score=1.00, text='a')"
