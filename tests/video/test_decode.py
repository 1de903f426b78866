from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from videoexpert.errors import InputError, VideoError
from videoexpert.video import VideoWarning, bin_centres, probe, read_frames
from videoexpert.video import pictures as pictures_module
from videoexpert.video import runs as runs_module

EVEN = list(range(0, 4000, 100))  # 40 pictures, 10 a second, 4 s
NO_SCENE_CUT = {"x264-params": "scenecut=0"}  # key frames where gop says, and nowhere else
UNEVEN = [0, 40, 80, 400, 410, 1000, 1033, 1900, 2500, 2533, 2566, 3900]


def numbers(media: SimpleNamespace, pixels: torch.Tensor) -> list[int]:
    return [media.read_number(picture.numpy()) for picture in pixels]


def test_the_picture_on_show_at_each_bin_centre_by_hand(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mkv", EVEN)
    frames = read_frames(path, 8)  # centres at 0.25, 0.75, ...
    assert numbers(media, frames.pixels) == [2, 7, 12, 17, 22, 27, 32, 37]
    assert frames.times_s.tolist() == pytest.approx([0.2, 0.7, 1.2, 1.7, 2.2, 2.7, 3.2, 3.7])
    assert (frames.start_s, frames.duration_s) == (0.0, pytest.approx(4.0))
    assert frames.pixels.shape == (8, 3, 32, 80)
    assert frames.times_s.dtype == torch.float64


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("b_frames.mp4", {}),
        ("open_gop.mp4", {"options": {"x264-params": "open-gop=1:scenecut=0"}}),
        ("one_key.mkv", {"gop": 1000}),
        ("stream.ts", {"clock": 90000}),
        ("old.avi", {"codec": "mpeg4", "clock": 25, "b_frames": 0}),
        ("mislabelled.avi", {"codec": "mpeg4", "clock": 25, "b_frames": 2}),
        ("film.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8"}}),
        ("altref.webm", {"codec": "libvpx", "options": {"auto-alt-ref": "1", "lag-in-frames": "16"}}),
        ("flash.flv", {}),
    ],
)
def test_every_container_gives_what_a_plain_full_decode_gives(
    media: SimpleNamespace, tmp_path: Path, name: str, settings: dict[str, Any]
) -> None:
    clock = settings.get("clock", 1000)
    ticks = [clock * t // 1000 for t in EVEN] if clock != 25 else list(range(60))
    path = media.make_video(tmp_path / name, ticks, **settings)
    times = media.plain_times(path)
    frames = read_frames(path, 13)
    expected = [media.on_show(times, c) for c in bin_centres(13, 0.0, frames.duration_s)]
    assert frames.times_s.tolist() == pytest.approx(times[expected].tolist(), abs=1e-6)
    assert numbers(media, frames.pixels) == expected
    pictures = media.plain_pictures(path, expected)
    for picture, index in zip(frames.pixels, expected, strict=True):
        plain = pictures[index].to_ndarray(format="rgb24").transpose(2, 0, 1)
        assert np.array_equal(picture.numpy(), plain)


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv"])
@pytest.mark.parametrize("num_frames", [1, 7, 100])
def test_variable_frame_rate(media: SimpleNamespace, tmp_path: Path, name: str, num_frames: int) -> None:
    path = media.make_video(tmp_path / name, UNEVEN)
    frames = read_frames(path, num_frames)
    times = np.asarray(UNEVEN) / 1000
    expected = [media.on_show(times, c) for c in bin_centres(num_frames, 0.0, frames.duration_s)]
    assert frames.times_s.tolist() == pytest.approx(times[expected].tolist(), abs=1e-3)
    assert numbers(media, frames.pixels) == expected
    info = probe(path)
    assert info.variable_frame_rate
    assert info.frame_count == len(UNEVEN)
    assert info.picture_times_s.tolist() == pytest.approx(times.tolist(), abs=1e-3)


@pytest.mark.parametrize("name", ["late.mkv", "late.ts", "late.mp4"])
def test_times_count_from_the_first_picture(media: SimpleNamespace, tmp_path: Path, name: str) -> None:
    path = media.make_video(tmp_path / name, [7000 + t for t in EVEN], clock=1000)
    frames, info = read_frames(path, 8), probe(path)
    assert info.start_offset_s == pytest.approx(7.0, abs=2.0)  # a muxer may add its own delay to it
    assert numbers(media, frames.pixels) == [2, 7, 12, 17, 22, 27, 32, 37]
    assert frames.times_s.tolist() == pytest.approx([0.2 + 0.5 * i for i in range(8)], abs=1e-3)


def test_fewer_pictures_than_frames_repeat_and_are_converted_once(
    media: SimpleNamespace, tmp_path: Path
) -> None:
    path = media.make_video(tmp_path / "few.mp4", [0, 500, 1000])
    converted = []

    def resize(picture: np.ndarray) -> torch.Tensor:
        converted.append(media.read_number(picture))
        return torch.from_numpy(picture[::2, ::2].transpose(2, 0, 1).copy())

    frames = read_frames(path, 30, resize=resize)
    assert converted == [0, 1, 2]
    assert frames.pixels.shape == (30, 3, 16, 40)
    assert sorted(set(frames.times_s.tolist())) == pytest.approx([0.0, 0.5, 1.0])
    assert numbers(media, frames.pixels) == [round(t * 2) for t in frames.times_s.tolist()]


def test_clip(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN)
    frames = read_frames(path, 4, start_s=1.0, end_s=3.0)  # centres 1.25, 1.75, 2.25, 2.75
    assert numbers(media, frames.pixels) == [12, 17, 22, 27]
    assert (frames.start_s, frames.duration_s) == (1.0, 2.0)
    # A picture that came on before the clip keeps its own time.
    inside = read_frames(path, 2, start_s=2.31, end_s=2.39)
    assert inside.times_s.tolist() == pytest.approx([2.3, 2.3])
    rest = read_frames(path, 2, start_s=3.0)
    assert rest.duration_s == pytest.approx(1.0)
    assert read_frames(path, 2, start_s=3.0, end_s=rest.duration_s + 3.0).duration_s == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("start_s", "end_s"), [(-1.0, None), (4.0, None), (None, 5.5), (2.0, 2.0), (3.0, 1.0), (9.0, 10.0)]
)
def test_a_clip_outside_the_video_is_the_callers_error_and_says_the_length(
    media: SimpleNamespace, tmp_path: Path, start_s: float | None, end_s: float | None
) -> None:
    path = media.make_video(tmp_path / "a.mkv", EVEN)
    with pytest.raises(InputError, match=r"4\.00 s"):
        read_frames(path, 4, start_s=start_s, end_s=end_s)


def test_wrong_arguments(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN)
    with pytest.raises(InputError, match="num_frames is 0"):
        read_frames(path, 0)
    with pytest.raises(InputError, match="finite"):
        read_frames(path, 4, start_s=float("nan"))
    with pytest.raises(InputError, match="sampling is 'random'"):
        read_frames(path, 4, sampling="random")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"torch\.uint8"):
        read_frames(path, 4, resize=lambda p: torch.zeros(3, 4, 4))
    sizes = iter(range(4, 100))
    with pytest.raises(VideoError, match="one shape"):
        read_frames(path, 4, resize=lambda p: torch.zeros(3, next(sizes), 4, dtype=torch.uint8))


def test_linspace_takes_pictures_by_number(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", UNEVEN)
    frames = read_frames(path, 5, sampling="linspace")  # of 12: 0, 2.75, 5.5, 8.25, 11 rounded down
    assert numbers(media, frames.pixels) == [0, 2, 5, 8, 11]
    assert frames.times_s.tolist() == pytest.approx([0.0, 0.08, 1.0, 2.5, 3.9])
    clip = read_frames(path, 3, start_s=0.4, end_s=2.0, sampling="linspace")  # pictures 3 to 7
    assert numbers(media, clip.pixels) == [3, 5, 7]
    shown = read_frames(path, 2, start_s=3.0, end_s=3.5, sampling="linspace")  # none begins in there
    assert numbers(media, shown.pixels) == [10, 10]


# ---- seeking -------------------------------------------------------------------------------------


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Ticks of every picture the quick way decodes."""
    seen: list[int] = []
    original = pictures_module.decode_quickly

    def counting(*args: Any) -> Any:
        for tick, frame in original(*args):
            seen.append(tick)
            yield tick, frame

    monkeypatch.setattr(runs_module, "decode_quickly", counting)
    return seen


LONG = {
    "long.mp4": {},
    "open.mp4": {"options": {"x264-params": "open-gop=1:scenecut=0"}},
    "open.mkv": {"options": {"x264-params": "open-gop=1:scenecut=0"}},
    "long.ts": {"clock": 90000},
    "mpeg2.ts": {"codec": "mpeg2video", "clock": 25},
    "long.avi": {"codec": "mpeg4", "clock": 25, "b_frames": 0},
    "long.webm": {"codec": "libvpx", "options": {"cpu-used": "16", "deadline": "realtime"}},
}


@pytest.mark.parametrize("name", LONG)
def test_seeking_gives_the_pictures_of_a_full_decode_and_decodes_fewer(
    media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, decoded: list[int], name: str
) -> None:
    settings = LONG[name]
    step = settings.get("clock", 1000) // 25
    path = media.make_video(tmp_path / name, [i * step for i in range(600)], gop=25, **settings)
    sought = read_frames(path, 5)
    assert len(decoded) < 350
    decoded.clear()
    monkeypatch.setattr(runs_module, "_SEEK_COST", 10**9)
    full = read_frames(path, 5)
    assert len(decoded) == 600
    assert torch.equal(sought.pixels, full.pixels)
    assert torch.equal(sought.times_s, full.times_s)
    assert sought.duration_s == full.duration_s
    assert numbers(media, full.pixels) == [60, 180, 300, 420, 540]


def test_a_clip_late_in_a_long_video_decodes_only_around_it(
    media: SimpleNamespace, tmp_path: Path, decoded: list[int]
) -> None:
    path = media.make_video(tmp_path / "long.mp4", [i * 40 for i in range(1000)], gop=25)
    frames = read_frames(path, 10, start_s=30.0, end_s=32.0)
    assert len(decoded) < 120
    assert numbers(media, frames.pixels) == [752 + 5 * i for i in range(10)]


def test_without_key_frames_to_seek_to_everything_is_decoded_once(
    media: SimpleNamespace, tmp_path: Path, decoded: list[int]
) -> None:
    path = media.make_video(tmp_path / "one_key.mp4", [i * 40 for i in range(600)], gop=10_000)
    frames = read_frames(path, 5)
    assert len(decoded) == 600
    assert numbers(media, frames.pixels) == [60, 180, 300, 420, 540]


def test_a_recovery_point_that_is_no_key_frame_does_not_harm(media: SimpleNamespace, tmp_path: Path) -> None:
    # Intra refresh: packets are marked as key frames from which decoding is not exact until later.
    options = {"x264-params": "intra-refresh=1:keyint=30"}
    path = media.make_video(tmp_path / "i.mkv", [i * 40 for i in range(900)], b_frames=0, options=options)
    assert numbers(media, read_frames(path, 5).pixels) == [90, 270, 450, 630, 810]


def test_memory_does_not_grow_with_the_video(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", [i * 40 for i in range(500)])
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def resize(picture: np.ndarray) -> torch.Tensor:
        nonlocal most
        alive.append(weakref.ref(picture))
        most = max(most, sum(reference() is not None for reference in alive))
        return torch.zeros(3, 4, 4, dtype=torch.uint8)

    frames = read_frames(path, 50, resize=resize)
    assert len(alive) == 50  # only chosen pictures are converted
    assert most <= 2  # and none is kept at full size
    assert frames.pixels.nbytes == 50 * 3 * 4 * 4


# ---- upright, square pixels ----------------------------------------------------------------------


def corners(number: int) -> np.ndarray:
    """Red at the top left, green at the top right, blue at the bottom left, white at the bottom right."""
    picture = np.zeros((64, 128, 3), dtype=np.uint8)
    picture[:32, :64, 0] = picture[:32, 64:, 1] = picture[32:, :64, 2] = 255
    picture[32:, 64:] = 255
    return picture


def corner_names(picture: np.ndarray) -> str:
    """Letters of the colours at the top left, top right, bottom left, bottom right of (3, height, width)."""
    letters = ""
    for y in (8, -8):
        for x in (8, -8):
            red, green, blue = (int(v) > 128 for v in picture[:, y, x])
            letters += "W" if red and green and blue else "RGB"[[red, green, blue].index(True)]
    return letters


# What the mp4 display matrix (a, b, c, d) makes of the stored R G / B W, worked out by hand.
MATRICES = {
    (1, 0, 0, 1): ("RGBW", 0),
    (0, 1, -1, 0): ("BRWG", 90),
    (-1, 0, 0, -1): ("WBGR", 180),
    (0, -1, 1, 0): ("GWRB", 270),
    (-1, 0, 0, 1): ("GRWB", 0),  # mirrored left to right
    (0, 1, 1, 0): ("RBGW", 270),  # transposed
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_display_matrix(media: SimpleNamespace, tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN[:5], pictures=corners)
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # after version 0's fixed fields
    a, b, c, d = (value * 65536 for value in matrix)
    for i, value in enumerate((a, b, 0, c, d, 0, 0, 0, 1 << 30)):
        data[at + 4 * i : at + 4 * i + 4] = value.to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    expected, turn = MATRICES[matrix]
    frames, info = read_frames(path, 2), probe(path)
    assert corner_names(frames.pixels[0].numpy()) == expected
    assert (info.width, info.height) == ((64, 128) if matrix[0] == 0 else (128, 64))
    assert frames.pixels.shape[2:] == (info.height, info.width)
    assert info.rotation_deg == turn


@pytest.mark.parametrize(
    ("ratio", "width"), [(Fraction(2, 1), 160), (Fraction(1, 2), 40), (Fraction(64, 51), 100)]
)
def test_sample_aspect_ratio(media: SimpleNamespace, tmp_path: Path, ratio: Fraction, width: int) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN[:5], sample_aspect=ratio)
    frames, info = read_frames(path, 5), probe(path)
    assert frames.pixels.shape == (5, 3, 32, width)
    assert (info.width, info.height, info.sample_aspect_ratio) == (width, 32, pytest.approx(float(ratio)))
    assert numbers(media, frames.pixels) == [0, 1, 2, 3, 4]


# ---- damage --------------------------------------------------------------------------------------


def packets_of(path: Path) -> list[tuple[int, int, int]]:
    """(position, size, tick) of each packet in file order."""
    with av.open(str(path)) as container:
        return [(p.pos, p.size, p.pts) for p in container.demux(video=0) if p.size]


def test_a_truncated_file_gives_its_pictures_up_to_the_cut(media: SimpleNamespace, tmp_path: Path) -> None:
    whole = media.make_video(tmp_path / "whole.mp4", EVEN, b_frames=0, options={"movflags": "faststart"})
    data = whole.read_bytes()
    if data.index(b"moov") > data.index(b"mdat"):  # the header must come first for a cut file to open
        with (
            av.open(str(whole)) as source,
            av.open(str(tmp_path / "fast.mp4"), "w", options={"movflags": "faststart"}) as target,
        ):
            stream = target.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    target.mux(packet)
        whole = tmp_path / "fast.mp4"
        data = whole.read_bytes()
    position, size, _ = packets_of(whole)[25]
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: position + size // 2])
    with pytest.warns(VideoWarning, match="damaged"):
        frames = read_frames(cut, 50)
    assert frames.duration_s == pytest.approx(2.5)
    assert frames.times_s.max() == pytest.approx(2.4)
    assert numbers(media, frames.pixels) == [i // 2 for i in range(50)]
    info = probe(cut)
    assert (info.frame_count, info.duration_s) == (25, frames.duration_s)
    assert any("damaged" in problem for problem in info.problems)
    assert any("promises 40 pictures, 25" in problem for problem in info.problems)
    assert np.array_equal(info.frame_times(50), frames.times_s.numpy())
    with pytest.raises(InputError, match=r"2\.50 s"):
        read_frames(cut, 4, end_s=3.6)


def test_damage_in_the_middle_costs_the_pictures_to_the_next_key_frame(
    media: SimpleNamespace, tmp_path: Path
) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN, gop=10, b_frames=0, options=NO_SCENE_CUT)
    position, size, _ = packets_of(path)[14]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.warns(VideoWarning, match="next key frame"):
        frames = read_frames(path, 40)
    usable = [*range(14), *range(20, 40)]
    assert numbers(media, frames.pixels) == [max(i for i in usable if i <= number) for number in range(40)]
    assert frames.times_s.tolist() == pytest.approx(
        [max(i for i in usable if i <= n) / 10 for n in range(40)]
    )
    assert frames.duration_s == pytest.approx(4.0)
    assert probe(path).frame_count == len(usable)


def test_damage_in_a_stretch_that_is_sought_over_or_into(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(
        tmp_path / "a.mp4", [i * 40 for i in range(1000)], gop=25, b_frames=0, options=NO_SCENE_CUT
    )
    position, size, _ = packets_of(path)[495]
    data = bytearray(path.read_bytes())
    data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    with pytest.warns(VideoWarning):
        into = read_frames(path, 1, start_s=19.85, end_s=19.95)
    assert numbers(media, into.pixels) == [494]
    over = read_frames(path, 5)  # 500 is a key frame: the damage at 495 is not met
    assert numbers(media, over.pixels) == [100, 300, 500, 700, 900]


def test_a_recording_that_begins_in_mid_group(media: SimpleNamespace, tmp_path: Path) -> None:
    ticks = [i * 9000 for i in range(200)]
    path = media.make_video(tmp_path / "a.ts", ticks, clock=90000, gop=20, options=NO_SCENE_CUT)
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 3 // 188 * 188 :])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", VideoWarning)
        frames = read_frames(path, 50)
    found = numbers(media, frames.pixels)
    assert 40 < found[0] < 100
    assert found[-1] >= 196
    # Whatever could be decoded, pictures and times belong together, and both reports agree.
    first = found[0] - round(float(frames.times_s[0]) * 10)
    assert [round(time * 10) for time in frames.times_s.tolist()] == [n - first for n in found]
    info = probe(path)
    assert info.duration_s == frames.duration_s
    assert np.array_equal(info.frame_times(50), frames.times_s.numpy())


def test_no_picture_at_all(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", EVEN, gop=100, b_frames=0)
    data = bytearray(path.read_bytes())
    for position, size, _ in packets_of(path):
        data[position : position + size] = b"\xff" * size
    path.write_bytes(data)
    for read in (read_frames, probe):
        with pytest.raises(VideoError, match="0 frames"):
            read(path)


def test_a_lone_picture(media: SimpleNamespace, tmp_path: Path) -> None:
    frames = read_frames(media.make_video(tmp_path / "one.mkv", [0]), 3)
    assert frames.times_s.tolist() == [0.0, 0.0, 0.0]
    assert 0 < frames.duration_s <= 0.1


# ---- several streams -----------------------------------------------------------------------------


def two_streams(
    media: SimpleNamespace,
    path: Path,
    mark: Callable[[Any, Any], None],
    codecs: tuple[str, str] = ("libx264", "libx264"),
) -> Path:
    """A small first stream (80 x 32) and a large second one (160 x 64), five pictures each."""
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=10) for codec in codecs]
        for scale, stream in enumerate(streams, start=1):
            stream.height, stream.width = media.numbered_picture(0, scale).shape[:2]
            stream.pix_fmt = "yuvj420p" if stream.codec_context.name == "mjpeg" else "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
        mark(*streams)
        for scale, stream in enumerate(streams, start=1):
            cover = bool(stream.disposition & av.stream.Disposition.attached_pic)
            ticks = EVEN[: 1 if cover else 5]
            media.add_pictures(
                container, stream, ticks, 1000, lambda i, s=scale: media.numbered_picture(i, s)
            )
    return path


def test_cover_art_beside_a_video_is_passed_over(media: SimpleNamespace, tmp_path: Path) -> None:
    def cover_is_large(first: Any, second: Any) -> None:
        second.disposition = av.stream.Disposition.attached_pic.value

    path = two_streams(media, tmp_path / "a.mp4", cover_is_large, ("libx264", "mjpeg"))
    with av.open(str(path)) as container:
        covers = [bool(s.disposition & av.stream.Disposition.attached_pic) for s in container.streams.video]
    if True not in covers:
        pytest.skip("this FFmpeg's muxer does not write cover art this way")
    assert read_frames(path, 2).pixels.shape[2:] == (32, 80)


def test_the_default_stream_wins(media: SimpleNamespace, tmp_path: Path) -> None:
    def second_is_default(first: Any, second: Any) -> None:
        first.disposition = 0
        second.disposition = av.stream.Disposition.default.value

    path = two_streams(media, tmp_path / "a.mkv", second_is_default)
    info = probe(path)
    assert (info.width, info.height) == (160, 64)
    assert info.streams == ("video:h264", "video:h264")
    assert read_frames(path, 5).pixels.shape[2:] == (64, 160)
