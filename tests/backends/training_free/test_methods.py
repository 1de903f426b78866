"""Planted events: exact without noise, better than guesses with it; degenerate videos; the parts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from videoexpert.backends.training_free.methods import (
    METHODS,
    MOST_EDGES,
    _starts_of_rises,
    _strongest,
    _suppressed,
    coherent_clusters,
    tfvtg,
)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def planted(rng, count, edges, level=0.3, noise=0.0, width=48):
    """Features of scenes that part at ``edges``, one of which (drawn by lot) shows what is asked; its window."""
    query = unit(rng.standard_normal(width))
    bounds = np.r_[0, edges, count]
    target = int(rng.integers(len(bounds) - 1))
    scenes = rng.standard_normal((len(bounds) - 1, width))
    scenes = unit(scenes - np.outer(scenes @ query, query))
    levels = np.full(len(scenes), 0.2)
    levels[target] = level
    scenes = scenes * np.sqrt(1 - levels[:, None] ** 2) + levels[:, None] * query
    rows = np.repeat(scenes, np.diff(bounds), axis=0) + noise / np.sqrt(width) * rng.standard_normal(
        (count, width)
    )
    features = unit(rows)
    return features, features @ query, (int(bounds[target]), int(bounds[target + 1]))


def overlap(a, b):
    shared = max(0, min(a[1], b[1]) - max(a[0], b[0]))
    return shared / (a[1] - a[0] + b[1] - b[0] - shared)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(8))
def test_boundaries_are_exact_without_noise(method, seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(40, 180))
    edges = np.sort(rng.choice(np.arange(1, count // 8), 3, replace=False)) * 8
    features, curve, truth = planted(rng, count, edges)
    found = METHODS[method](features, curve, count / 2)
    assert tuple(found.windows[0]) == truth
    assert found.contrast[0] == pytest.approx(0.1, abs=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_noise_costs_some_but_leaves_guesses_behind(method):
    found, guessed = [], []
    for seed in range(25):
        rng = np.random.default_rng(seed)
        features, curve, truth = planted(rng, 96, [16, 40, 72], noise=0.3)
        found.append(overlap(METHODS[method](features, curve, 48.0).windows[0], truth))
        guessed.append(overlap((24, 72), truth))
    assert np.mean(found) > 0.7 > np.mean(guessed) + 0.3


@pytest.mark.parametrize("method", METHODS)
def test_two_events_are_two_windows(method):
    rng = np.random.default_rng(0)
    features, curve, truth = planted(rng, 100, [20, 40, 60, 80])
    again = (truth[0] + 40) % 100 // 20 * 20
    features[again : again + 20] = features[truth[0]]
    curve[again : again + 20] = curve[truth[0]]
    best = METHODS[method](features, curve, 50.0).windows[:2]
    assert sorted(map(tuple, best.tolist())) == sorted([truth, (again, again + 20)])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_short_and_flat_videos_give_windows_inside(method, count):
    features = unit(np.random.default_rng(1).standard_normal((count, 8)))
    for curve in (np.full(count, 0.2), features[:, 0], np.arange(count) / 10):
        windows = METHODS[method](features, curve, 4.0).windows
        assert len(windows) >= 1
        assert (windows[:, 0] >= 0).all()
        assert (windows[:, 1] <= count).all()
        assert (windows[:, 0] < windows[:, 1]).all()


@pytest.mark.parametrize("method", METHODS)
def test_the_same_video_gives_the_same_answer(method):
    rng = np.random.default_rng(3)
    features, curve, _ = planted(rng, 120, [30, 70], noise=0.5)
    first, second = (METHODS[method](features, curve, 200.0) for _ in range(2))
    assert (first.windows == second.windows).all()
    assert (
        METHODS[method](features, 3 * curve + 1, 200.0).windows == first.windows
    ).all()  # units do not matter


def test_a_start_moves_to_where_the_curve_began_to_rise():
    curve = np.array([0, 0, 0, 0.25, 0.5, 0.75, 1, 1, 1, 1, 0, 0], dtype=float)
    moved = _starts_of_rises(curve, np.array([[5, 10], [6, 10], [8, 10], [2, 10]]))
    assert moved.tolist() == [[3, 10], [3, 10], [8, 10], [3, 10]]
    assert tuple(tfvtg(np.ones((12, 1)), curve, 6.0).windows[0])[1] == 10


def test_clusters_are_runs_and_follow_the_scenes():
    rng = np.random.default_rng(0)
    features, _, _ = planted(rng, 90, [30, 60])
    labels = coherent_clusters(features, 3)
    edges = np.flatnonzero(np.diff(labels)) + 1
    assert edges.tolist() == [30, 60]
    assert len(np.unique(coherent_clusters(features[:2], 9))) <= 2


def test_of_too_many_boundaries_the_strongest_stay():
    rng = np.random.default_rng(0)
    features, _, _ = planted(rng, 3000, [1000, 2000])
    edges = np.arange(0, 3001, 5)
    kept = _strongest(edges, features)
    assert len(kept) == MOST_EDGES
    assert {0, 1000, 2000, 3000} <= set(kept.tolist())
    assert _strongest(edges[:10], features) is not kept


def test_suppression_by_hand():
    windows = np.array([[0, 10], [1, 10], [10, 20], [8, 12], [6, 20]])
    # 9/10 goes; 2/12 with both neighbours stays; 10/14 goes
    assert _suppressed(windows) == [0, 2, 3]
