"""Pictures of a video that comes in: those that the finished file gives, whatever its clock does."""

from __future__ import annotations

import io
import threading
from fractions import Fraction
from itertools import pairwise
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from videoexpert.errors import VideoError
from videoexpert.testing import tiny_video
from videoexpert.video import VideoWarning, stream_frames
from videoexpert.video.feeds import GrowingFile, name_of
from videoexpert.video.live import _Bins, _Clock, live_pictures


def as_it_is(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture.copy()).permute(2, 0, 1)


def live(data: bytes, rate: float = 2, still_s: float = 8.0) -> list[tuple[int, float, torch.Tensor]]:
    return list(
        live_pictures(
            io.BytesIO(data),
            Fraction(rate),
            resize=as_it_is,
            still_s=still_s,
            idle_s=0.0,
            ended=lambda: True,
            stopped=threading.Event(),
        )
    )


def transport(source, out, start: float = 0.0) -> bytes:
    """The packets as an MPEG transport stream whose clock begins at ``start``."""
    with av.open(str(source)) as given, av.open(str(out), "w", format="mpegts") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                shift = round(start / packet.time_base)
                packet.pts, packet.dts = packet.pts + shift, packet.dts + shift
                packet.stream = stream
                made.mux(packet)
    return out.read_bytes()


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    folder = tmp_path_factory.mktemp("parts")
    return transport(tiny_video(folder / "a.mp4", 6.0), folder / "a.ts")


@pytest.mark.parametrize("rate", [0.4, 1.7, 5, 12.5])
def test_the_pictures_are_those_of_the_finished_file(part, rate, tmp_path):
    file = tmp_path / "whole.ts"
    file.write_bytes(part)
    expected = list(stream_frames(file, rate, resize=as_it_is))
    found = live(part, rate)
    assert [number for number, _, _ in found] == list(range(len(expected)))
    assert [seconds for _, seconds, _ in found] == [seconds for seconds, _ in expected]
    assert all(torch.equal(a, b) for (_, _, a), (_, b) in zip(found, expected, strict=True))


@pytest.mark.parametrize(("start", "said"), [(0.0, "starts again"), (1000.0, "jumps ahead")])
def test_a_clock_that_breaks_goes_on(part, start, said, tmp_path):
    """Laid end to end, as in a finished file, but for the picture before the break, whose end nothing vouches for."""
    other = transport(tiny_video(tmp_path / "b.mp4", 6.0, seed=1), tmp_path / "b.ts", start)
    with pytest.warns(VideoWarning, match=said):
        found = live(part + other)
    assert [number for number, _, _ in found] == list(range(23))
    first, second = live(part), live(other)
    assert [seconds for _, seconds, _ in found[:11]] == [seconds for _, seconds, _ in first[:11]]
    steps = np.diff([seconds for _, seconds, _ in found])
    assert 0.2 - 1e-6 <= steps.min() <= steps.max() <= 0.6 + 1e-6  # pictures come every 0.2 s, bins every 0.5
    assert torch.equal(found[10][2], first[10][2])
    assert torch.equal(found[-1][2], second[-1][2])


def source(zero: int = 0, may_jump: bool = False):
    """A stream of a thousand ticks a second."""
    return SimpleNamespace(time_base=Fraction(1, 1000), clock_may_jump=may_jump, zero=lambda: Fraction(zero))


def places(ticks, may_jump=False):
    problems: list[str] = []
    clock = _Clock(source(may_jump=may_jump), problems)
    found = []
    for tick in ticks:
        found.append(clock.place(tick))
        clock.lasts = 40
    return found, len(problems)


def test_the_clock_by_hand():
    assert places([0, 40, 80]) == ([0, 40, 80], 0)
    assert places([0, 80, 40, 120]) == ([0, 80, None, 120], 0)  # out of order
    assert places([5000, 5040, 0, 40]) == ([5000, 5040, 5080, 5120], 1)
    assert places([0, 40, 20_000]) == ([0, 40, 20_000], 0)  # time that passes
    assert places([0, 40, 20_000, 20_040], may_jump=True) == ([0, 40, 80, 120], 1)


def bins(ticks, zero=0, still_s=8.0):
    made = _Bins(source(zero), Fraction(1), still_s)
    found = []
    for at, after in pairwise(ticks):
        made.show(at)
        found.append(list(made.until(after)))
    return found


def test_bins_by_hand():
    """A bin shows the picture on show at its centre, the first picture before there is one."""
    assert bins([0, 500, 501, 2600]) == [[], [0], [1, 2]]
    assert bins([400, 2000]) == [[0, 1]]
    assert bins([3600, 5600]) == [[4, 5]]  # sound came first: what is shown begins with the picture
    assert bins([3600, 5600], zero=3600) == [[0, 1]]
    assert bins([0, 70_000, 71_000]) == [[0], [70]]  # longer than a still may last: a hole
    assert len(bins([0, 70_000], still_s=100.0)[0]) == 70


def test_a_stream_that_is_cut_ends_where_it_ends(part):
    found = live(part[: len(part) // 2])
    assert 2 <= len(found) < 12
    with pytest.raises(VideoError, match="cannot be watched"):
        live(b"")


def test_a_growing_file_is_over_when_it_no_longer_grows(tmp_path):
    file = tmp_path / "x"
    file.write_bytes(b"ab")
    asked = []
    made = GrowingFile(str(file), 1e9, lambda: bool(asked.append(1)) or len(asked) > 2, threading.Event())
    assert made.read(10) == b"ab"
    assert made.read(10) == b""
    assert len(asked) == 3
    silent = GrowingFile(str(file), 0.0, lambda: False, threading.Event())
    assert (silent.read(10), silent.read(10)) == (b"ab", b"")
    stopped = threading.Event()
    stopped.set()
    assert GrowingFile(str(file), 1e9, lambda: False, stopped).read(10) == b""
    for one in (made, silent):
        one.close()


def test_names_of_feeds():
    assert name_of("rtsp://me:word@cam/1?a=b:c@d") == "rtsp://me@cam/1?a=b:c@d"
    assert name_of("http://cam/1") == "http://cam/1"
    assert name_of("a:b@c.ts") == "a:b@c.ts"
    assert name_of(io.BytesIO()) == "the pipe"
