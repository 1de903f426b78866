"""Targets by hand (N = 10, 100 s: frames at 5, 15, ... 95 s) and their properties."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.errors import InputError
from videoexpert.grounding.targets import frame_centres, make_targets


def foreground(windows: list, **options: str) -> list[int]:
    return make_targets(windows, 100.0, 10, **options).foreground.nonzero().flatten().tolist()


def test_frame_centres() -> None:
    assert frame_centres(4).tolist() == [0.125, 0.375, 0.625, 0.875]
    assert frame_centres(4, "end").tolist() == [0.25, 0.5, 0.75, 1.0]
    with pytest.raises(InputError, match="'start'"):
        frame_centres(4, "start")


def test_both_ends_count() -> None:
    assert foreground([(15, 35)]) == [1, 2, 3]
    assert foreground([(15.1, 34.9)]) == [2]
    assert foreground([(10, 30)], frame_times="end") == [0, 1, 2]


def test_each_frame_regresses_its_own_window() -> None:
    targets = make_targets([(0, 20), (60, 80)], 100.0, 10)
    assert targets.foreground.nonzero().flatten().tolist() == [0, 1, 6, 7]
    torch.testing.assert_close(targets.spans[[0, 1]], torch.tensor([[0.0, 0.2], [0.0, 0.2]]))
    torch.testing.assert_close(targets.spans[[6, 7]], torch.tensor([[0.6, 0.8], [0.6, 0.8]]))
    assert targets.spans[[2, 3, 4, 5, 8, 9]].eq(0).all()
    assert targets.spans.dtype == torch.float32


def test_later_window_wins() -> None:
    targets = make_targets([(0, 50), (30, 80)], 100.0, 10)
    torch.testing.assert_close(targets.spans[2], torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(targets.spans[3], torch.tensor([0.3, 0.8]))


def test_short_moment_gets_its_nearest_frame() -> None:
    assert foreground([(16, 18)]) == [1]
    assert foreground([(22, 24)]) == [2]
    assert foreground([(0, 0.1)]) == [0]
    assert foreground([(99.9, 101)]) == [9]
    targets = make_targets([(22, 24)], 100.0, 10)
    torch.testing.assert_close(targets.spans[2], torch.tensor([0.22, 0.24]))


def test_short_moment_survives_a_long_one_listed_after() -> None:
    targets = make_targets([(22, 24), (0, 100)], 100.0, 10)
    torch.testing.assert_close(targets.spans[2], torch.tensor([0.22, 0.24]))
    torch.testing.assert_close(targets.spans[3], torch.tensor([0.0, 1.0]))


def test_short_moment_as_released() -> None:
    lone = make_targets([(22, 24)], 100.0, 10, short_moments="released")
    assert not lone.foreground.any()
    torch.testing.assert_close(lone.spans, torch.tensor([[0.22, 0.24]]).expand(10, 2))
    assert foreground([(22, 24), (60, 80)], short_moments="released") == [6, 7]


def test_absent_event_is_all_background() -> None:
    targets = make_targets([], 100.0, 10)
    assert not targets.foreground.any()
    assert targets.spans.eq(0).all()


def test_window_past_the_end_keeps_its_time() -> None:
    targets = make_targets([(-10, 110)], 100.0, 10)
    assert targets.foreground.all()
    torch.testing.assert_close(targets.spans[4], torch.tensor([-0.1, 1.1]))


@pytest.mark.parametrize(
    ("windows", "duration", "message"),
    [
        ([(20, 10)], 100.0, "ends before it starts"),
        ([(0, math.nan)], 100.0, "two finite times"),
        ([(0, math.inf)], 100.0, "two finite times"),
        ([(0, 1, 2)], 100.0, "two finite times"),
        ([(101, 102)], 100.0, "outside the video of 100.0 s"),
        ([(-2, -1)], 100.0, "outside the video of 100.0 s"),
        ([(0, 1)], 0.0, "duration_s is 0.0"),
        ([(0, 1)], math.nan, "duration_s is nan"),
    ],
)
def test_bad_windows(windows: list, duration: float, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make_targets(windows, duration, 10)


def test_unknown_rule_for_short_moments() -> None:
    with pytest.raises(InputError, match="'drop'"):
        make_targets([], 100.0, 10, short_moments="drop")


seconds = st.floats(0, 60, allow_subnormal=False)
windows_of_a_minute = st.lists(st.tuples(seconds, seconds).map(sorted), min_size=1, max_size=5)


@settings(deadline=None)
@given(windows_of_a_minute, st.integers(1, 120), st.sampled_from(["centre", "end"]))
def test_every_query_has_a_frame_and_every_frame_a_window(windows: list, num: int, frame_times: str) -> None:
    targets = make_targets(windows, 60.0, num, frame_times=frame_times)
    assert targets.foreground.any()
    allowed = torch.tensor(windows, dtype=torch.float32) / 60.0
    labels = targets.spans[targets.foreground]
    assert (labels[:, None] == allowed[None]).all(-1).any(-1).all()
    # a foreground frame is inside its window or within half a frame (one, before the first `end` time) of it
    times = frame_centres(num, frame_times)[targets.foreground]
    outside = torch.maximum(labels[:, 0] - times, times - labels[:, 1])
    assert (outside <= (0.5 if frame_times == "centre" else 1.0) / num + 1e-6).all()


@settings(deadline=None)
@given(st.lists(seconds, min_size=2, max_size=8, unique=True), st.integers(1, 120), st.randoms())
def test_order_of_disjoint_windows_does_not_matter(edges: list, num: int, random: object) -> None:
    edges = sorted(edges)[: len(edges) // 2 * 2]
    windows = list(zip(edges[::2], edges[1::2], strict=True))
    shuffled = windows.copy()
    random.shuffle(shuffled)
    one, other = make_targets(windows, 60.0, num), make_targets(shuffled, 60.0, num)
    assert torch.equal(one.foreground, other.foreground)
