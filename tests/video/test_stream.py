"""Windows, clips and frames at a rate from one pass: equal to ``read_frames`` of the same clips."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from videoexpert.errors import InputError, VideoError
from videoexpert.video import (
    VideoWarning,
    glance,
    probe,
    read_clips,
    read_frames,
    read_windows,
    stream_frames,
    window_clips,
)
from videoexpert.video import decode as decode_module
from videoexpert.video import pictures as pictures_module
from videoexpert.video import runs as runs_module
from videoexpert.video import stream as stream_module

EVEN = list(range(0, 12000, 100))  # 120 pictures, 10 a second, 12 s
UNEVEN = [0, 40, 80, 400, 410, 1000, 1033, 1900, 2500, 2533, 2566, 3900, 4100, 7000, 7040, 9000]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ticks of every picture that is decoded."""
    seen: list[int] = []
    original = pictures_module.decode_quickly

    def counting(*args):
        for tick, frame in original(*args):
            seen.append(tick)
            yield tick, frame

    monkeypatch.setattr(stream_module, "decode_quickly", counting)
    return seen


def check_equal(got, path: Path, clips, num_frames: int, **options) -> None:
    assert len(got) == len(clips)
    for frames, (start, end) in zip(got, clips, strict=True):
        alone = read_frames(path, num_frames, start_s=start, end_s=end, **options)
        assert torch.equal(frames.pixels, alone.pixels)
        assert torch.equal(frames.times_s, alone.times_s)
        assert (frames.start_s, frames.duration_s) == (alone.start_s, alone.duration_s)


def test_windows_by_hand() -> None:
    assert window_clips(0, 10, 4, 0) == [(0, 4), (4, 8), (6, 10)]  # the last is as long as the others
    assert window_clips(0, 10, 4, 1) == [(0, 4), (3, 7), (6, 10)]
    assert window_clips(2, 10, 4, 2) == [(2, 6), (4, 8), (6, 10)]
    assert window_clips(0, 8, 4, 0) == [(0, 4), (4, 8)]
    assert window_clips(1, 3, 4, 2) == [(1, 3)]
    for window, overlap in ((0, 0), (-1, 0), (4, 4), (4, -1), (float("nan"), 0), (float("inf"), 0)):
        with pytest.raises(InputError, match="window"):
            window_clips(0, 10, window, overlap)


@pytest.mark.parametrize("ticks", [EVEN, UNEVEN], ids=["even", "uneven"])
@pytest.mark.parametrize("overlap_s", [0.0, 1.3, 3.5])
def test_windows_equal_read_frames(
    media: SimpleNamespace, tmp_path: Path, decoded: list[int], ticks: list[int], overlap_s: float
) -> None:
    path = media.make_video(tmp_path / "a.mp4", ticks)
    got = list(read_windows(path, 4.0, 7, overlap_s=overlap_s))
    clips = window_clips(0.0, probe(path).duration_s, 4.0, overlap_s)
    assert len(clips) >= 3
    assert len(decoded) <= len(ticks)  # one pass
    check_equal(got, path, clips, 7)


@pytest.mark.parametrize("sampling", ["centre", "linspace"])
@pytest.mark.parametrize(
    ("name", "settings"),
    [("a.mkv", {}), ("a.ts", {"clock": 90000}), ("a.avi", {"codec": "mpeg4", "clock": 25, "b_frames": 2})],
)
def test_clips_equal_read_frames(
    media: SimpleNamespace, tmp_path: Path, name: str, settings: dict, sampling: str
) -> None:
    clock = settings.get("clock", 1000)
    ticks = [clock * t // 1000 for t in EVEN] if clock != 25 else list(range(240))
    path = media.make_video(tmp_path / name, ticks, gop=10, **settings)
    clips = [(0.0, 2.0), (0.5, 7.0), (0.5, 1.0), (3.0, 3.1), (7.9, 9.0)]  # nested, overlapping, apart
    check_equal(list(read_clips(path, clips, 5, sampling=sampling)), path, clips, 5, sampling=sampling)


def test_clips_far_apart_decode_only_around_them(
    media: SimpleNamespace, tmp_path: Path, decoded: list[int]
) -> None:
    path = media.make_video(tmp_path / "a.mp4", [i * 40 for i in range(1000)], gop=25)
    clips = [(2.0, 3.0), (20.0, 21.0), (36.0, 37.0)]
    got = list(read_clips(path, clips, 4))
    assert len(decoded) < 250
    check_equal(got, path, clips, 4)


def test_a_rate_gives_what_read_frames_gives_for_as_many_frames(
    media: SimpleNamespace, tmp_path: Path
) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN)
    whole = list(stream_frames(path, 2.0))
    expected = read_frames(path, 24)  # 12 s at 2 a second
    assert [time for time, _ in whole] == expected.times_s.tolist()
    assert torch.equal(torch.stack([picture for _, picture in whole]), expected.pixels)
    part = list(stream_frames(path, 4.0, start_s=3.0, end_s=5.0))
    assert [time for time, _ in part] == read_frames(path, 8, start_s=3.0, end_s=5.0).times_s.tolist()
    # A bin whose centre lies past the end is none: 1.2 s at 2 a second have centres 0.25 and 0.75 only.
    assert [time for time, _ in stream_frames(path, 2.0, end_s=1.2)] == pytest.approx([0.2, 0.7])
    assert len(list(stream_frames(path, 0.001))) == 1


def test_a_rate_above_the_pictures_repeats_the_same_tensor(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", [0, 1000, 2000])
    pictures = [picture for _, picture in stream_frames(path, 2.0)]
    assert [media.read_number(p.numpy()) for p in pictures] == [0, 0, 1, 1, 2, 2]
    assert pictures[0] is pictures[1]
    assert pictures[1] is not pictures[2]


def test_a_slow_rate_seeks(media: SimpleNamespace, tmp_path: Path, decoded: list[int]) -> None:
    path = media.make_video(tmp_path / "a.mp4", [i * 40 for i in range(1000)], gop=25)
    times = [time for time, _ in stream_frames(path, 0.1)]
    assert times == pytest.approx([5.0, 15.0, 25.0, 35.0])
    assert len(decoded) < 200


def test_memory_is_bounded_by_the_windows_that_overlap(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", [i * 40 for i in range(500)])
    alive: list[weakref.ref] = []
    most = 0
    for frames in read_windows(path, 2.0, 10, overlap_s=1.0):
        alive.append(weakref.ref(frames.pixels))
        gc.collect()
        most = max(most, sum(one() is not None for one in alive))
        del frames
    assert len(alive) == 19
    assert most <= 2


@pytest.mark.filterwarnings("ignore::videoexpert.video.VideoWarning")
def test_damage_on_the_way_equals_read_frames_too(media: SimpleNamespace, tmp_path: Path) -> None:
    import av

    path = media.make_video(tmp_path / "a.mkv", EVEN, gop=20)
    with av.open(str(path)) as container:
        spans = [(p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    start, size, _ = next(span for span in spans if span[2] == 6300)
    data[start : start + size] = bytes(255 for _ in range(size))
    path.write_bytes(data)
    clips = window_clips(0.0, probe(path).duration_s, 3.0, 1.0)
    check_equal(list(read_windows(path, 3.0, 6, overlap_s=1.0)), path, clips, 6)
    whole = read_frames(path, 24)
    streamed = list(stream_frames(path, 24 / whole.duration_s))
    assert [time for time, _ in streamed] == whole.times_s.tolist()


def test_a_damaged_tail_is_said_aloud(media: SimpleNamespace, shared: Path) -> None:
    path = shared / "videos" / "corrupted_tail.mp4"
    small = lambda picture: torch.from_numpy(np.ascontiguousarray(picture[::16, ::16].transpose(2, 0, 1)))  # noqa: E731
    with pytest.warns(VideoWarning, match="corrupted_tail"):
        got = list(read_windows(path, 1.0, 4, resize=small))
    assert got[-1].start_s + got[-1].duration_s == pytest.approx(probe(path).duration_s)
    assert all(float(frames.times_s.max()) < 2.81 for frames in got)


def test_wrong_calls(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN)
    with pytest.raises(InputError, match="ascend"):
        read_clips(path, [(3, 4), (1, 2)])
    with pytest.raises(InputError, match="rate"):
        stream_frames(path, 0)
    with pytest.raises(InputError, match="num_frames"):
        read_windows(path, 1.0, 0)
    with pytest.raises(InputError, match=r"12\.00 s"):
        list(read_clips(path, [(50, 60)], 3))
    with pytest.raises(InputError, match="window"):
        list(read_windows(path, 0.0, 3))
    with pytest.raises(VideoError, match="does not exist"):
        stream_frames(tmp_path / "none.mp4", 1.0)
    assert list(read_clips(path, [], 3)) == []


def test_a_glance_says_what_probe_measures(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", UNEVEN)
    seen, info = glance(path), probe(path)
    assert (seen.duration_s, seen.frame_count) == (info.duration_s, info.frame_count)
    assert seen.average_fps == pytest.approx(info.average_fps)


def test_damage_that_only_some_runs_notice_ends_in_the_careful_way(
    media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several threads notice damage in one run and not in the next: measured quickly, it may not come again."""
    path = media.make_video(tmp_path / "a.mp4", EVEN)
    expected = read_frames(path, 24)

    def damaged(*args):
        raise pictures_module.DamageError
        yield

    # Measuring does not notice it, whatever reads afterwards does.
    for module in (decode_module, runs_module, stream_module):
        monkeypatch.setattr(module, "decode_quickly", damaged)
    assert torch.equal(read_frames(path, 24).pixels, expected.pixels)
    assert [time for time, _ in stream_frames(path, 2.0)] == expected.times_s.tolist()
    (window,) = read_clips(path, [(0.0, 12.0)], 24)
    assert torch.equal(window.pixels, expected.pixels)
    for module in (decode_module, stream_module):
        monkeypatch.setattr(module, "decode_carefully", damaged)
    with pytest.raises(VideoError, match="changed while it was read"):
        read_frames(path, 24)
    with pytest.raises(VideoError, match="changed while it was read"):
        list(stream_frames(path, 2.0))
