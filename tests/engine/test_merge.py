"""Windows put together, by hand: an event cut by a window's edge is one moment with both its ends."""

from __future__ import annotations

import pytest

from videoexpert.engine.merge import CurveMerger, Merger
from videoexpert.types import Moment

STEP = 0.25


def merged(*windows: tuple[float, float, list[tuple[float, float, float]]], **options) -> list[tuple]:
    """Moments (start, end, score) of windows (start, end, moments), best first."""
    merger = Merger(STEP, **options)
    found: list[Moment] = []
    for i, (start, end, rows) in enumerate(windows):
        moments = [Moment(*row) for row in rows]
        found += merger.add((start, end), moments, first=i == 0, last=i == len(windows) - 1)
    return sorted(((m.start, m.end, m.score) for m in found), key=lambda row: -row[2])


def test_an_event_over_an_edge_is_joined():
    # seen until 20 by the first window, whole by the second
    assert merged((0, 20, [(18, 20, 0.6)]), (15, 35, [(18.2, 23, 0.9)])) == [(18.2, 23, 0.9)]
    # whole in the first, its end alone in the second
    assert merged((0, 20, [(12, 17, 0.9)]), (15, 35, [(15, 17.2, 0.6)])) == [(12, 17, 0.9)]
    # longer than what two windows share: neither saw all of it
    assert merged((0, 20, [(5, 20, 0.6)]), (15, 35, [(15, 28, 0.7)])) == [(5, 28, 0.7)]


def test_an_event_over_many_windows_is_one():
    windows = [
        (0, 20, [(5, 20, 0.5)]),
        (15, 35, [(15, 35, 0.4)]),
        (30, 50, [(30, 50, 0.8)]),
        (45, 65, [(45, 61, 0.6)]),
    ]
    assert merged(*windows) == [(5, 61, 0.8)]


def test_windows_that_only_touch():
    assert merged((0, 20, [(15, 20, 0.6)]), (20, 40, [(20, 22, 0.7)])) == [(15, 22, 0.7)]
    assert merged((0, 20, [(15, 19, 0.6)]), (20, 40, [(20, 22, 0.7)])) == [(20, 22, 0.7), (15, 19, 0.6)]


def test_what_a_window_between_did_not_show_is_not_one():
    windows = [(0, 8, [(0, 8, 0.6)]), (6, 14, []), (12, 20, [(12, 20, 0.7)])]
    assert merged(*windows) == [(12, 20, 0.7), (0, 8, 0.6)]


def test_the_video_s_own_edges_cut_nothing():
    assert merged((0, 20, [(0, 4, 0.6)])) == [(0, 4, 0.6)]
    windows = [(0, 20, [(16, 20, 0.9)]), (15, 35, [(16, 35, 0.3)])]
    assert merged(*windows) == [(16, 35, 0.9)]


def test_two_events_stay_two():
    windows = [(0, 20, [(2, 6, 0.9), (16, 17, 0.8)]), (15, 35, [(18, 19, 0.7), (25, 30, 0.6)])]
    assert merged(*windows) == [(2, 6, 0.9), (16, 17, 0.8), (18, 19, 0.7), (25, 30, 0.6)]


def test_the_same_moment_of_two_windows_is_the_better_one():
    assert merged((0, 20, [(16, 18, 0.5)]), (15, 35, [(16.1, 18.3, 0.7)])) == [(16.1, 18.3, 0.7)]
    assert merged((0, 20, [(16, 18, 0.7)]), (15, 35, [(16.1, 18.3, 0.5)])) == [(16, 18, 0.7)]


def test_moments_that_overlap_are_thinned():
    rows = [(2, 6, 0.9), (2.1, 6, 0.5), (4, 6, 0.4)]
    assert merged((0, 20, rows)) == [(2, 6, 0.9), (4, 6, 0.4)]
    assert len(merged((0, 20, rows), nms_iou=None)) == 3


def test_weak_moments_are_not_looked_at():
    windows = [(0, 20, [(18, 20, 0.2), (3, 5, 0.6)]), (15, 35, [(18, 23, 0.9)])]
    assert merged(*windows, least=0.3) == [(18, 23, 0.9), (3, 5, 0.6)]


def test_only_what_may_be_alike_is_joined():
    same = {"alike": lambda a, b: a.score == b.score, "nms_iou": None}
    windows = [(0, 20, [(10, 20, 0.5), (11, 20, 0.6)]), (15, 35, [(15, 22, 0.5), (15, 23, 0.6)])]
    assert merged(*windows, **same) == [(11, 23, 0.6), (10, 22, 0.5)]


def test_a_moment_is_final_when_no_later_window_can_reach_it():
    merger = Merger(STEP)
    assert merger.add((0, 20), [Moment(2, 6, 0.9), Moment(17, 19, 0.5)], first=True, last=False) == []
    assert merger.add((15, 35), [], first=False, last=False) == [Moment(2, 6, 0.9)]
    assert merger.add((30, 50), [], first=False, last=False) == [Moment(17, 19, 0.5)]
    assert merger._open == []  # what is kept does not grow
    last = merger.add((45, 65), [Moment(46, 65, 0.3), Moment(45, 60, 0.2)], first=False, last=True)
    assert last == [Moment(45, 60, 0.2), Moment(46, 65, 0.3)]


def test_saliency_is_the_mean_over_the_windows_that_show_it():
    axis = CurveMerger(0.0, 6.0, 1.0)
    axis.add((0.0, 4.0), [0.2, 0.4, 0.6, 0.8])
    axis.add((2.0, 6.0), [0.8, 0.6, 0.4, 0.2])
    assert axis.curve() == pytest.approx([0.2, 0.4, 0.7, 0.7, 0.4, 0.2])


def test_saliency_of_a_window_off_the_grid_keeps_its_area():
    axis = CurveMerger(10.0, 15.0, 1.0)
    axis.add((10.0, 13.0), [0.3, 0.6, 0.9])
    axis.add((12.5, 15.0), [1.0])
    # the bin from 12 on: half a second of 0.9 twice, half of it again of 1.0
    assert axis.curve() == pytest.approx([0.3, 0.6, (0.9 + 0.5 * 1.0) / 1.5, 1.0, 1.0])


def test_no_window_no_saliency():
    assert CurveMerger(0.0, 2.5, 1.0).curve() == (0.0, 0.0, 0.0)


def test_a_hole_is_no_part_of_a_curve():
    axis = CurveMerger(0.0, 8.0, 1.0)
    axis.add((0.0, 8.0), [0.2, 0.4, 0.6, 0.8], holes=[(2.0, 6.0)])  # frames of a second each: 0-2 and 6-8
    assert axis.curve() == pytest.approx((0.2, 0.4, 0.0, 0.0, 0.0, 0.0, 0.6, 0.8))
