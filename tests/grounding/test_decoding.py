"""Moments and saliency by hand, and their properties."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert import windows
from videoexpert.errors import InputError, VideoExpertError
from videoexpert.grounding.decoding import decode_moments, nms, saliency
from videoexpert.grounding.targets import frame_centres, make_targets

NO_OFFSETS = torch.zeros(10, 2)


def test_nms_by_hand() -> None:
    starts, ends = [0.0, 1.0, 20.0, 0.0], [10.0, 11.0, 30.0, 5.0]
    # second overlaps first by 9/11 and goes; fourth overlaps by 1/2 and stays
    assert nms(starts, ends, [0.5, 0.4, 0.9, 0.3], iou=0.7).tolist() == [2, 0, 3]
    assert nms(starts, ends, [0.5, 0.4, 0.9, 0.3], iou=0.5).tolist() == [2, 0, 3]  # 1/2 is not more than 1/2
    assert nms(starts, ends, [0.5, 0.4, 0.9, 0.3], iou=0.4).tolist() == [2, 0]
    assert nms([], [], [], iou=0.7).tolist() == []


def test_a_suppressed_interval_suppresses_nothing() -> None:
    # the second hides behind the first; the third overlaps only the second too much
    starts, ends = [0.0, 2.0, 4.0], [10.0, 12.0, 14.0]
    assert nms(starts, ends, [0.9, 0.8, 0.7], iou=0.6).tolist() == [0, 2]


def test_equal_scores_keep_their_order() -> None:
    assert nms([0.0, 0.5], [10.0, 10.5], [0.5, 0.5], iou=0.7).tolist() == [0]


def test_offsets_by_hand() -> None:
    """Frames at 5, 15, ... of 100 s; frame 3 proposes [30, 60] best, frame 8 [80, 100] clipped."""
    scores = torch.full((10,), 0.01)
    offsets = torch.zeros(10, 2)
    scores[3], offsets[3] = 0.9, torch.tensor([0.05, 0.25])
    scores[4], offsets[4] = 0.8, torch.tensor([0.14, 0.16])  # [31, 61]: a double
    scores[8], offsets[8] = 0.7, torch.tensor([0.05, 0.40])
    moments = decode_moments(scores, offsets, frame_centres(10), 100.0, top_k=2)
    assert [(round(m.start, 3), round(m.end, 3)) for m in moments] == [(30.0, 60.0), (80.0, 100.0)]
    assert [m.score for m in moments] == pytest.approx([0.9, 0.7])
    loose = decode_moments(scores, offsets, frame_centres(10), 100.0, nms_iou=0.99, top_k=3)
    assert loose[1].start == pytest.approx(31.0, abs=1e-4)


def test_trimmed_video_keeps_the_clock() -> None:
    scores, offsets = torch.zeros(10), torch.full((10, 2), 0.5)
    scores[5] = 1.0
    moment = decode_moments(scores, offsets, frame_centres(10), 20.0, start_s=7.0, top_k=1)[0]
    assert (moment.start, moment.end) == (pytest.approx(8.0), pytest.approx(27.0))


@pytest.mark.parametrize("frame_times", ["centre", "end"])
def test_perfect_head_gives_the_windows_back(frame_times: str) -> None:
    windows = [(12.0, 31.0), (55.0, 80.0)]
    targets = make_targets(windows, 100.0, 100, frame_times=frame_times)
    centres = frame_centres(100, frame_times)
    offsets = torch.stack([centres - targets.spans[:, 0], targets.spans[:, 1] - centres], -1)
    moments = decode_moments(targets.foreground * 0.9, offsets.clamp(0, 1), centres, 100.0, top_k=2)
    found = sorted((moment.start, moment.end) for moment in moments)
    np.testing.assert_allclose(found, windows, atol=1e-4)


def test_runs_by_hand() -> None:
    """A step from 0 to 0.8 crosses half of the peak midway between two frames: the edge of the bin."""
    scores = torch.tensor([0, 0, 0.8, 0.8, 0.8, 0, 0, 0.2, 0.1, 0.0])
    moments = decode_moments(scores, NO_OFFSETS, frame_centres(10), 100.0, moment_from="run", top_k=2)
    assert moments[0].score == pytest.approx(0.8)
    assert (moments[0].start, moments[0].end) == (pytest.approx(20.0), pytest.approx(50.0))
    # second peak 0.2: rises from 0 at 65 s through 0.1 at 70 s; 0.1 at 85 s is on the line, then falls
    assert (moments[1].start, moments[1].end) == (pytest.approx(70.0), pytest.approx(85.0))


def test_runs_reach_the_ends_of_the_video() -> None:
    moments = decode_moments(torch.full((10,), 0.6), NO_OFFSETS, frame_centres(10), 50.0, moment_from="run")
    assert [(m.start, m.end) for m in moments] == [(0.0, 50.0)]


def test_run_ignores_offsets() -> None:
    scores = torch.rand(10)
    options = {"centres": frame_centres(10), "duration_s": 50.0, "moment_from": "run"}
    assert decode_moments(scores, NO_OFFSETS, **options) == decode_moments(
        scores, torch.rand(10, 2), **options
    )


def test_bad_arguments() -> None:
    arguments = (torch.rand(10), NO_OFFSETS, frame_centres(10), 100.0)
    with pytest.raises(InputError, match="'peak'"):
        decode_moments(*arguments, moment_from="peak")
    with pytest.raises(InputError, match="top_k is 0"):
        decode_moments(*arguments, top_k=0)
    with pytest.raises(VideoExpertError, match="not finite"):
        decode_moments(torch.full((10,), math.nan), *arguments[1:])


unit = st.floats(0, 1, width=32, allow_subnormal=False)
frames = st.lists(st.tuples(unit, unit, unit), min_size=1, max_size=60)


@settings(deadline=None)
@given(
    frames, st.sampled_from(["centre", "end"]), st.sampled_from(["offsets", "run"]), st.floats(0.1, 500), unit
)
def test_sorted_bounded_and_never_empty(
    rows: list, times: str, source: str, duration: float, iou: float
) -> None:
    numbers = torch.tensor(rows)
    scores, offsets = numbers[:, 0], numbers[:, 1:]
    moments = decode_moments(
        scores, offsets, frame_centres(len(rows), times), duration, 3.0, nms_iou=iou, moment_from=source
    )
    assert moments
    ranked = [moment.score for moment in moments]
    assert ranked == sorted(ranked, reverse=True)
    assert ranked[0] == pytest.approx(scores.max().item())
    for moment in moments:
        assert 3.0 <= moment.start <= moment.end <= 3.0 + duration + 1e-9
    for i, one in enumerate(moments):
        for other in moments[i + 1 :]:
            assert windows.iou((one.start, one.end), (other.start, other.end)) <= iou + 1e-9
            if source == "run":
                assert min(one.end, other.end) - max(one.start, other.start) <= 1e-6 * duration


@settings(deadline=None)
@given(frames, unit)
def test_nms_is_idempotent_and_order_invariant(rows: list, iou: float) -> None:
    starts, lengths, _ = np.array(rows).T
    scores = (np.argsort(np.argsort(lengths, kind="stable")) + 1) / len(rows)  # all different
    ends = starts + lengths
    kept = nms(starts, ends, scores, iou)
    again = nms(starts[kept], ends[kept], scores[kept], iou)
    assert again.tolist() == list(range(len(kept)))
    flipped = nms(starts[::-1], ends[::-1], scores[::-1], iou)
    assert (len(rows) - 1 - flipped).tolist() == kept.tolist()


def test_saliency_by_hand() -> None:
    """Four frames of 2.5 s over 10 s; clips of 4 s: 2.5 s of the first and 1.5 s of the second, ..."""
    times, scores = saliency(torch.tensor([1.0, 0.0, 0.0, 0.5]), 10.0, clip_s=4.0, start_s=1.0)
    assert times == (1.0, 5.0, 9.0)
    assert scores == pytest.approx((2.5 / 4, 0.5 * 0.5 / 4, 0.5))


def test_saliency_finer_than_frames() -> None:
    _, scores = saliency(torch.tensor([0.2, 0.8]), 8.0, clip_s=2.0)
    assert scores == pytest.approx((0.2, 0.2, 0.8, 0.8))


@pytest.mark.parametrize(
    ("duration", "clip", "count"), [(150, 2, 75), (151, 2, 76), (0.6, 0.2, 3), (0.7, 0.1, 7), (0.5, 2, 1)]
)
def test_number_of_clips(duration: float, clip: float, count: int) -> None:
    times, scores = saliency(torch.rand(100), duration, clip)
    assert len(times) == len(scores) == count


@settings(deadline=None)
@given(st.lists(unit, min_size=1, max_size=120), st.floats(0.5, 600), st.floats(0.1, 10))
def test_saliency_keeps_the_mean(prob: list, duration: float, clip: float) -> None:
    times, scores = saliency(torch.tensor(prob), duration, clip)
    lengths = np.diff([*times, duration])
    assert all(0 <= score <= 1 for score in scores)
    assert np.dot(scores, lengths) / duration == pytest.approx(np.mean(prob), abs=1e-6)


@pytest.mark.parametrize(("duration", "clip"), [(0.0, 2.0), (10.0, 0.0), (10.0, -1.0), (math.nan, 2.0)])
def test_saliency_bad_lengths(duration: float, clip: float) -> None:
    with pytest.raises(InputError, match="positive seconds"):
        saliency(torch.rand(5), duration, clip)
