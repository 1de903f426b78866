"""Breaks of a file's clock, by hand on times alone, and in files that are made to have them."""

from __future__ import annotations

import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.types import Moment, Stretch
from videoexpert.video import VideoWarning, glance, probe, read_frames, read_windows, stream_frames
from videoexpert.video.clock import holes, lay_out

SECOND = 10.0  # ticks a second in the tests by hand: ten pictures a second


def laid(ticks, keys=(0,), *, dts=None, closes_jumps=False):
    """The times of packets once laid out, None for those left out; and the breaks."""
    ticks = np.asarray(ticks)
    flags = np.isin(np.arange(len(ticks)), keys)
    durations = np.ones(len(ticks), dtype=np.int64)
    decoding = None if dts is None else np.asarray(dts)
    layout = lay_out(ticks, decoding, durations, flags, SECOND, closes_jumps)
    times = (ticks + layout.offset_of(len(ticks))).tolist()
    kept = [None if out else t for t, out in zip(times, layout.left_out.tolist(), strict=True)]
    return kept, [(b.at, b.jump) for b in layout.breaks]


REORDERED = [0, 4, 2, 1, 3, 8, 6, 5, 7, 12, 10, 9, 11]


@pytest.mark.parametrize("closes_jumps", [True, False])
@pytest.mark.parametrize("first", [0, 16, 90_000])
def test_a_sound_clock_stays_as_it_is(closes_jumps: bool, first: int) -> None:
    for ticks in (list(range(40)), REORDERED, [0], [0, 3, 50, 51, 120]):
        moved = [first + tick for tick in ticks]
        assert laid(moved, keys=(0, 9), closes_jumps=closes_jumps) == (moved, [])


@pytest.mark.parametrize("closes_jumps", [True, False])
def test_a_key_frame_earlier_than_what_is_ahead_of_it_begins_anew(closes_jumps: bool) -> None:
    part = list(range(5, 65))
    expected = [*range(5, 65), *range(65, 125), *range(125, 185)]
    got, breaks = laid([*part, *part, *part], keys=(0, 60, 120), closes_jumps=closes_jumps)
    assert got == expected
    assert breaks == [(65, -60), (125, -60)]


def test_pictures_shown_out_of_the_order_of_the_file_are_no_break() -> None:
    ticks = [*range(0, 40), 45, 42, 41, 43, 44]
    assert laid(ticks, keys=(0, 40)) == (ticks, [])
    slow = [tick * 600 for tick in REORDERED]  # one picture a minute
    assert laid(slow, keys=(0, 5, 9)) == (slow, [])


def test_decoding_times_that_fall_begin_anew_in_mpeg_streams_even_without_a_key_frame() -> None:
    part = list(range(60))
    got, breaks = laid([*part, *part], keys=(0, 70), dts=[*part, *part], closes_jumps=True)
    assert got == list(range(120))
    assert breaks == [(60, -60)]


def test_a_jump_ahead_is_closed_in_mpeg_streams_and_is_time_elsewhere() -> None:
    ticks = [*range(60), *range(1060, 1120)]
    dts = list(ticks)
    assert laid(ticks, keys=(0, 60), dts=dts, closes_jumps=True) == (list(range(120)), [(60, 1000)])
    assert laid(ticks, keys=(0, 60), dts=dts) == (ticks, [])
    small = [*range(60), *range(155, 215)]  # 9.5 s: FFmpeg lets ten seconds pass
    assert laid(small, keys=(0, 60), dts=small, closes_jumps=True) == (small, [])
    insane = [*range(60), *range(2_000_000, 2_000_060)]  # 55 hours
    assert laid(insane, keys=(0, 60))[0] == list(range(120))


@pytest.mark.parametrize("where", [(60, 61), (5, 80), (1, 2), (98, 99)])
@pytest.mark.parametrize("off", [3000, 300, -4000])
@pytest.mark.parametrize("keys", [(0,), (0, 60)])
def test_a_few_insane_times_are_left_out(where: tuple[int, int], off: int, keys: tuple[int, ...]) -> None:
    ticks = list(range(100))
    for place in where:
        ticks[place] += off
    if where == (98, 99) and off > 0:  # at the end they cannot be told from a long gap
        return
    expected = [None if place in where else place for place in range(100)]
    assert laid(ticks, keys=keys) == (expected, [])


@pytest.mark.parametrize("places", [(59,), (58, 59), (0,), (20, 41), (57,)])
def test_a_picture_shown_long_after_it_is_decoded_is_left_out(places: tuple[int, ...]) -> None:
    """Where decoding times are stated, they tell an insane last time from a long gap."""
    decoding = list(range(60))
    ticks = [tick + (500 if tick in places else 0) for tick in decoding]
    expected = [None if tick in places else tick for tick in decoding]
    assert laid(ticks, dts=decoding) == (expected, [])
    gap = [*range(58), 600, 601]
    assert laid(gap, dts=gap) == (gap, [])


def test_an_insane_first_time_is_left_out() -> None:
    assert laid([5000, *range(1, 100)])[0] == [None, *range(1, 100)]


def test_a_clock_that_jumps_to_and_fro_all_the_time_is_not_repaired_by_leaving_half_out() -> None:
    ticks = [tick + (5000 if tick % 2 else 0) for tick in range(60)]
    got, _ = laid(ticks)
    assert None not in got


@settings(max_examples=60, deadline=None)
@given(
    ticks=st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=60),
    keys=st.lists(st.integers(0, 59), max_size=10),
    closes_jumps=st.booleans(),
    decoding=st.booleans(),
)
def test_any_times_give_one_clock(ticks, keys, closes_jumps, decoding) -> None:
    got, breaks = laid(ticks, keys, dts=ticks if decoding else None, closes_jumps=closes_jumps)
    kept = [tick for tick in got if tick is not None]
    assert len(kept) >= max(1, len(ticks) - max(2, len(ticks) // 20))
    ats = [at for at, _ in breaks]
    assert ats == sorted(ats)


def holes_of(ticks, lasting=None, begins=0):
    values = np.asarray(ticks)
    lasts = np.zeros(len(values), dtype=np.int64) if lasting is None else np.asarray(lasting)
    return holes(values, lasts, Fraction(begins), SECOND)


def test_holes_by_hand() -> None:
    assert holes_of(range(100)) == []
    late = [30 + tick for tick in range(100)]
    assert holes_of(late) == [(0, 30)]
    assert holes_of(late, begins=26) == []  # under half a second
    jump = [*range(100), *range(36100, 36200)]
    assert holes_of(jump) == [(100, 36100)]
    assert holes_of(jump, lasting=[1] * 200) == [(100, 36100)]
    # Slides, one a minute or two: a picture that stands is no hole.
    assert holes_of([0, 1000, 1700, 2900, 3600]) == []
    # A slide of three minutes in a talk of ten: longer than any other gap, not longer than everything else.
    talk = [*range(3000), *range(4800, 7000)]
    assert holes_of(talk) == []
    # A camera that dropped out for three minutes of ten: its last picture was to last a tenth of a second.
    assert holes_of(talk, lasting=[1] * len(talk)) == [(3000, 4800)]


def test_the_clock_of_a_stretch_by_hand() -> None:
    clip = Stretch(2.0, 20.0, ((5.0, 8.0), (10.0, 15.0)))  # seen: 2-5, 8-10, 15-22
    assert clip.seen_s == 12.0
    assert [clip.at(s) for s in (0.0, 2.0, 3.0, 4.0, 5.0, 12.0)] == [2.0, 4.0, 8.0, 9.0, 15.0, 22.0]
    assert [clip.at(s, end=True) for s in (3.0, 5.0, 12.0)] == [5.0, 10.0, 22.0]
    assert [clip.seen_at(t) for t in (2.0, 5.0, 7.0, 8.0, 12.0, 16.0, 22.0)] == [0, 3, 3, 3, 5, 6, 12]
    moment = clip.moment(Moment(3.0, 5.0, 0.5))
    assert (moment.start, moment.end, moment.score) == (8.0, 10.0, 0.5)
    assert Stretch(0.0, 23.0, ((0.0, 3.0),)).moment(Moment(0.0, 0.0)) == Moment(3.0, 3.0)
    for wrong in (((5.0, 4.0),), ((1.0, 3.0),), ((3.0, 6.0), (5.0, 7.0)), ((2.0, 22.0),)):
        with pytest.raises(ValueError, match="holes"):
            Stretch(2.0, 20.0, wrong)


@given(st.lists(st.floats(0.1, 50), min_size=2, max_size=9), st.floats(0, 30))
def test_at_and_seen_at_are_inverse(lengths: list[float], start: float) -> None:
    edges = (start + np.cumsum(lengths)).tolist()
    inner = tuple(zip(edges[:-1:2], edges[1::2], strict=False))
    clip = Stretch(start, edges[-1] + 5.0 - start, inner)
    for share in (0.0, 0.2, 0.5, 0.9, 1.0):
        seen = share * clip.seen_s
        assert clip.seen_at(clip.at(seen)) == pytest.approx(seen, abs=1e-6)
        assert clip.at(seen, end=True) <= clip.at(seen)


# ---- files ---------------------------------------------------------------------------------------

TEN = list(range(0, 6000, 100))  # 60 pictures, 10 a second


def numbers(media: SimpleNamespace, pixels) -> list[int]:
    return [media.read_number(picture.numpy()) for picture in pixels]


def joined(media: SimpleNamespace, folder: Path, suffix: str, **settings) -> Path:
    """Two recordings of 6 s, pictures 0-59 and 100-159, one behind the other in one file."""
    clock = settings.get("clock", 1000)
    ticks = [clock * t // 1000 for t in TEN] if clock != 25 else list(range(60))
    first = media.make_video(folder / f"a{suffix}", ticks, **settings)
    second = media.make_video(
        folder / f"b{suffix}", ticks, pictures=lambda i: media.numbered_picture(100 + i), **settings
    )
    path = folder / f"joined{suffix}"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


JOINED = [
    (".ts", {"clock": 90000}),
    (".mpg", {"codec": "mpeg2video", "clock": 25}),  # 25 pictures a second, as its muxer assumes
    (".webm", {"codec": "libvpx", "options": {"cpu-used": "16", "deadline": "realtime"}}),
    (".mkv", {"codec": "mpeg4", "b_frames": 0}),
]


@pytest.mark.parametrize(("suffix", "settings"), JOINED, ids=[s for s, _ in JOINED])
def test_joined_recordings_are_laid_end_to_end(
    media: SimpleNamespace, tmp_path: Path, suffix, settings
) -> None:
    path = joined(media, tmp_path, suffix, **settings)
    with pytest.warns(VideoWarning, match="starts again at"):
        frames = read_frames(path, 24)
    info = probe(path)
    lasts = 12.0 if suffix != ".mpg" else 4.8
    assert frames.duration_s == info.duration_s == pytest.approx(lasts, abs=0.15)
    assert glance(path).duration_s == pytest.approx(frames.duration_s)
    assert info.frame_count == 120
    assert any("starts again at" in problem for problem in info.problems)
    expected = [*range(2, 60, 5), *range(102, 160, 5)]
    assert all(abs(a - b) <= 1 for a, b in zip(numbers(media, frames.pixels), expected, strict=True))
    assert np.allclose(info.frame_times(24), frames.times_s.numpy())
    with pytest.warns(VideoWarning, match="starts again at"):
        late = read_frames(path, 4, start_s=lasts * 2 / 3, end_s=lasts * 5 / 6)
    assert all(
        abs(a - b) <= 1 for a, b in zip(numbers(media, late.pixels), [122, 127, 132, 137], strict=True)
    )


@pytest.mark.parametrize(
    ("suffix", "codec"), [(".mp4", "libx264"), (".flv", "flv"), (".wmv", "wmv2"), (".mkv", "mpeg4")]
)
def test_a_recording_behind_the_end_is_named(media: SimpleNamespace, tmp_path: Path, suffix, codec) -> None:
    """FFmpeg reads one, of Matroska two, of several recordings in such a file."""
    one = media.make_video(tmp_path / f"one{suffix}", TEN, codec=codec, b_frames=0)
    path = tmp_path / f"three{suffix}"
    path.write_bytes(3 * one.read_bytes())
    said = "another recording begins where this one ends"
    with pytest.warns(VideoWarning, match=said):
        read_frames(path, 4)
    assert any(said in problem for problem in probe(path).problems)
    assert glance(path).problems
    assert not any(said in problem for problem in probe(one).problems)


@pytest.mark.parametrize(("suffix", "codec"), [(".flv", "flv"), (".mkv", "mpeg4"), (".mp4", "libx264")])
def test_a_file_that_is_cut_short_ends_with_its_pictures(
    media: SimpleNamespace, tmp_path: Path, suffix, codec
) -> None:
    path = tmp_path / f"cut{suffix}"
    whole = media.make_video(tmp_path / f"a{suffix}", TEN, codec=codec, b_frames=0)
    if suffix == ".mp4":  # its index comes first
        with (
            av.open(str(whole)) as source,
            av.open(str(path), "w", options={"movflags": "faststart"}) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        whole.write_bytes(path.read_bytes())
    path.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * 0.7)])
    said = "the header says 6.0 s, the pictures end at"
    with pytest.warns(VideoWarning, match=said):
        frames = read_frames(path, 12)
    last = media.read_number(frames.pixels[-1].numpy())
    assert frames.duration_s == pytest.approx((last + 1) / 10, abs=0.5)
    assert 1.0 < frames.duration_s < 5.0
    assert any(said in problem for problem in probe(path).problems)


@pytest.mark.filterwarnings("error::videoexpert.video.VideoWarning")
def test_packets_without_bytes_let_the_picture_stay(media: SimpleNamespace, tmp_path: Path) -> None:
    """Theora's and AVI's way of saying that nothing changes. Decoders take such packets for the end."""
    plain = media.make_video(tmp_path / "plain.avi", range(0, 120, 2), codec="mpeg4", b_frames=0, clock=20)
    path = tmp_path / "still.nut"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.pts is not None:
                empty = av.Packet(b"")
                empty.pts = empty.dts = packet.dts + 1
                empty.time_base = packet.time_base
                packet.stream = empty.stream = stream
                target.mux(packet)
                target.mux(empty)
    frames, info = read_frames(path, 12), probe(path)
    assert info.frame_count == 60
    assert not any("damaged" in problem for problem in info.problems)
    assert frames.duration_s == pytest.approx(6.0, abs=0.1)
    assert numbers(media, frames.pixels) == list(range(2, 60, 5))


@pytest.mark.filterwarnings("ignore::videoexpert.video.VideoWarning")
def test_windows_over_a_joint_equal_read_frames(media: SimpleNamespace, tmp_path: Path) -> None:
    path = joined(media, tmp_path, ".ts", clock=90000)
    for frames in read_windows(path, 4.0, 8, overlap_s=1.0):
        end = frames.start_s + frames.duration_s
        alone = read_frames(path, 8, start_s=frames.start_s, end_s=end)
        assert np.array_equal(frames.pixels, alone.pixels)
        assert np.array_equal(frames.times_s, alone.times_s)


def shifted(path: Path, to: Path, shift, **options) -> Path:
    """A copy whose packet i is stamped ``shift(i)`` ticks later."""
    with av.open(str(path)) as source, av.open(str(to), "w", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts += shift(number)
                packet.dts += shift(number) if "offset" not in options else 0
                packet.stream = stream
                target.mux(packet)
    return to


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_clock_that_jumps_an_hour(media: SimpleNamespace, tmp_path: Path, suffix: str) -> None:
    plain = media.make_video(tmp_path / "plain.mkv", TEN, b_frames=0, gop=20)
    path = shifted(plain, tmp_path / f"gap{suffix}", lambda i: 3_600_000 if i >= 20 else 0)
    with pytest.warns(VideoWarning, match="no picture for 3600"):
        frames = read_frames(path, 12)
    assert numbers(media, frames.pixels) == list(range(2, 60, 5))  # spread over what there is
    assert frames.duration_s == pytest.approx(3606.0)
    assert frames.times_s.tolist()[3:5] == pytest.approx([1.7, 3602.2])
    ((begin, end),) = frames.holes
    assert (begin, end) == pytest.approx((2.0, 3602.0))
    info = probe(path)
    assert info.holes == frames.holes
    assert any("3600.0 s after 2.0 s" in problem for problem in info.problems)
    # Asked about the hole alone, the picture on show is what there is.
    with pytest.warns(VideoWarning):
        still = read_frames(path, 2, start_s=100.0, end_s=200.0)
    assert (numbers(media, still.pixels), still.holes) == ([19, 19], ())
    with pytest.warns(VideoWarning):
        streamed = list(stream_frames(path, 2.0))
    with pytest.warns(VideoWarning):
        windows = list(read_windows(path, 3.0, 6))
    assert len(streamed) == 12
    assert [numbers(media, w.pixels) for w in windows] == [list(range(2, 30, 5)), list(range(32, 60, 5))]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_two_insane_times(media: SimpleNamespace, tmp_path: Path, suffix: str) -> None:
    plain = media.make_video(tmp_path / "plain.mkv", TEN, b_frames=0, gop=20)
    path = tmp_path / f"insane{suffix}"
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size:
                packet.pts += 300_000 if number in (20, 41) else 0
                packet.stream = stream
                target.mux(packet)
    with pytest.warns(VideoWarning, match="2 of 60 pictures"):
        frames = read_frames(path, 60)
    assert frames.duration_s == pytest.approx(6.0)
    sound = [i for i in range(60) if i not in (20, 41)]
    assert numbers(media, frames.pixels) == [max(i for i in sound if i <= n) for n in range(60)]
    assert probe(path).frame_count == 58


def with_sound(path: Path, source: Path, late_s: float) -> Path:
    """The pictures of ``source`` from ``late_s`` on, under sound from 0 on."""
    with av.open(str(source)) as pictures, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(pictures.streams.video[0])
        sound = target.add_stream("aac", rate=48000)
        packets = [p for p in pictures.demux(video=0) if p.size]
        late = round(late_s / packets[0].time_base)
        waiting = []
        for start in range(0, round((late_s + 2) * 48000), 1024):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
            waiting += sound.encode(frame)
        waiting += sound.encode(None)
        for packet in packets:
            packet.pts, packet.dts, packet.stream = packet.pts + late, packet.dts + late, stream
        for packet in sorted([*waiting, *packets], key=lambda p: p.dts * p.time_base):
            target.mux(packet)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_pictures_that_begin_after_the_sound_are_on_the_players_clock(
    media: SimpleNamespace, tmp_path: Path, suffix: str
) -> None:
    plain = media.make_video(tmp_path / "plain.mkv", TEN, b_frames=0)
    path = with_sound(tmp_path / f"late{suffix}", plain, 3.0)
    frames, info = read_frames(path, 12), probe(path)
    # One sound frame may lie before the zero of the pictures: priming.
    zero = float(frames.times_s[0]) - 0.2
    assert zero == pytest.approx(3.0, abs=0.1)
    assert numbers(media, frames.pixels) == list(range(2, 60, 5))
    assert frames.holes == info.holes == ((0.0, pytest.approx(zero)),)
    assert frames.duration_s == pytest.approx(zero + 6.0)
    assert float(info.picture_times_s[0]) == pytest.approx(zero)
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed: what players call second 5.2 cannot be compared")
    # What ffmpeg cuts at a frame's own time is that frame.
    for place in (1, 4, 9):
        cut = tmp_path / f"cut{place}.mkv"
        time = float(frames.times_s[place])
        seek, file = ["-ss", f"{time - 0.01:.4f}"], ["-i", str(path)]
        # In TS ffmpeg seeks to key frames alone, and counts from the first picture where sound is left out.
        order = [*file, *seek] if suffix == ".ts" else [*seek, *file]
        output = ["-map", "0", "-c:v", "ffv1", "-c:a", "pcm_s16le", "-frames:v", "1", str(cut)]
        subprocess.run(["ffmpeg", "-v", "error", "-y", *order, *output], check=True)
        with av.open(str(cut)) as container:
            picture = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert media.read_number(picture) == media.read_number(frames.pixels[place].numpy())


def test_sound_that_begins_after_the_pictures_moves_nothing(media: SimpleNamespace, tmp_path: Path) -> None:
    plain = media.make_video(tmp_path / "plain.mp4", TEN)
    frames = read_frames(plain, 12)
    assert (frames.start_s, frames.holes) == (0.0, ())
    assert frames.times_s.tolist() == pytest.approx([t / 10 for t in range(2, 60, 5)])


def test_an_end_a_little_past_the_video_is_cut_to_it(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mkv", TEN)
    frames = read_frames(path, 4, start_s=2.0, end_s=6.9)
    assert (frames.start_s, frames.duration_s) == (2.0, pytest.approx(4.0))


@pytest.mark.parametrize(
    ("file", "duration_s", "says"),
    [
        ("cat_ts/cat.ts", 20.0, "starts again at 10.0 s"),
        ("outlier_pts/outlier.mp4", 20.0, "2 of 200 pictures"),
        ("ts_gap/gap.mkv", 3620.0, "no picture for 3600.0 s"),
    ],
)
def test_clocks_from_the_field(shared: Path, file: str, duration_s: float, says: str) -> None:
    with pytest.warns(VideoWarning, match=says):
        frames = read_frames(shared / "field" / "reports" / file, 64)
    assert frames.duration_s == pytest.approx(duration_s)
    assert len(set(frames.times_s.tolist())) >= 63
    assert frames.stretch.seen_s == pytest.approx(20.0)
