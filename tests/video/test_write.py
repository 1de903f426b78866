from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from videoexpert.errors import InputError, WriteError
from videoexpert.video import probe, read_frames, write_video

TICK = 1 / 90_000


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(gaps=st.lists(st.integers(1, 2000), min_size=1, max_size=40), last=st.integers(1, 5000))
def test_times_and_duration_come_back(
    media: SimpleNamespace, tmp_path: Path, gaps: list[int], last: int
) -> None:
    times = np.cumsum([0, *gaps]) / 1000
    duration = float(times[-1] + last / 1000)
    path = tmp_path / "a.mp4"
    write_video(
        path, (media.numbered_picture(i) for i in range(len(times))), times.tolist(), duration_s=duration
    )
    info = probe(path)
    assert info.picture_times_s == pytest.approx(times, abs=TICK)
    assert info.duration_s == pytest.approx(duration, abs=TICK)
    assert info.declared_duration_s == pytest.approx(duration, abs=1e-3)
    assert info.problems == ()
    frames = read_frames(path, 100)
    assert frames.duration_s == info.duration_s
    centres = (np.arange(100) + 0.5) / 100 * frames.duration_s
    expected = np.searchsorted(info.picture_times_s, centres, side="right") - 1
    # Within one tick of a picture's start either is right.
    clear = np.abs(centres[:, None] - info.picture_times_s).min(axis=1) > 2 * TICK
    got = np.asarray([media.read_number(picture.numpy()) for picture in frames.pixels])
    assert (got[clear] == expected[clear]).all()


@pytest.mark.parametrize("fps", [5, 8, 23.976, 25, 30, 60])
def test_constant_rates(media: SimpleNamespace, tmp_path: Path, fps: float) -> None:
    count = 31
    times = [i / fps for i in range(count)]
    pictures = [media.numbered_picture(i) for i in range(count)]
    write_video(tmp_path / "a.mp4", pictures, times, duration_s=count / fps)
    info = probe(tmp_path / "a.mp4")
    assert info.average_fps == pytest.approx(fps, rel=1e-4)
    assert not info.variable_frame_rate
    assert (info.codec, info.pixel_format, info.has_audio) == ("h264", "yuv420p", False)


def test_pixels_survive(tmp_path: Path) -> None:
    y, x = np.mgrid[0:96, 0:128]
    picture = np.stack([x * 2, y * 2, 255 - x - y], axis=-1).astype(np.uint8)
    write_video(tmp_path / "a.mp4", [picture] * 5, [0.0, 0.1, 0.2, 0.3, 0.4], duration_s=0.5)
    error = np.abs(
        read_frames(tmp_path / "a.mp4", 2).pixels[0].permute(1, 2, 0).numpy().astype(int) - picture
    )
    assert error.mean() < 3


def test_same_bytes_and_header_first(media: SimpleNamespace, tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        pictures = (media.numbered_picture(i) for i in range(50))
        write_video(tmp_path / name, pictures, [i / 10 for i in range(50)], duration_s=5.0)
    data = (tmp_path / "a.mp4").read_bytes()
    assert data == (tmp_path / "b.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_quality_follows_crf(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for crf in (10, 40):
        write_video(tmp_path / f"{crf}.mp4", [noise] * 3, [0, 1, 2], duration_s=3, crf=crf)
    assert (tmp_path / "10.mp4").stat().st_size > 2 * (tmp_path / "40.mp4").stat().st_size


def test_a_failure_leaves_the_old_file_and_nothing_else(media: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")

    def broken():  # type: ignore[no-untyped-def]
        yield media.numbered_picture(0)
        raise RuntimeError("the painter stopped")

    with pytest.raises(RuntimeError, match="painter"):
        write_video(path, broken(), [0.0, 0.5], duration_s=1.0)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("times", "duration"), [([], 1.0), ([0.0, 0.0], 1.0), ([0.5, 0.1], 1.0), ([0.0, 1.0], 1.0), ([-0.1], 1.0)]
)
def test_times_must_ascend(
    media: SimpleNamespace, tmp_path: Path, times: list[float], duration: float
) -> None:
    pictures = [media.numbered_picture(i) for i in range(len(times))]
    with pytest.raises(InputError, match="ascending"):
        write_video(tmp_path / "a.mp4", pictures, times, duration_s=duration)
    assert not list(tmp_path.iterdir())


def test_pictures_must_fit(media: SimpleNamespace, tmp_path: Path) -> None:
    good = media.numbered_picture(0)
    for pictures, message in (
        ([good], "1 pictures for 2 times"),
        ([good, good, good], "more than 2 pictures"),
        ([good, good[:16]], r"picture 2 is \(16, 80, 3\)"),
        ([good[:31], good[:31]], "even size"),
        ([good.astype(float)] * 2, "float64"),
        ([], "0 pictures for 2 times"),
    ):
        with pytest.raises(InputError, match=message):
            write_video(tmp_path / "a.mp4", pictures, [0.0, 0.5], duration_s=1.0)
    assert not list(tmp_path.iterdir())


def test_a_file_where_a_folder_is_expected(media: SimpleNamespace, tmp_path: Path) -> None:
    (tmp_path / "no").touch()
    with pytest.raises(WriteError, match=r"a\.mp4 cannot be written: a file is in the way"):
        write_video(tmp_path / "no" / "a.mp4", [media.numbered_picture(0)], [0.0], duration_s=1.0)


def test_any_player_sees_the_times(media: SimpleNamespace, tmp_path: Path) -> None:
    times = [0.0, 0.25, 1.0, 1.125]
    write_video(tmp_path / "a.mp4", [media.numbered_picture(i) for i in range(4)], times, duration_s=2.0)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [frame.time for frame in container.decode(video=0)] == pytest.approx(times)
        assert container.duration / av.time_base == pytest.approx(2.0)


@pytest.mark.parametrize("size", [(64, 96), (720, 1280)])
def test_colours_come_back(tmp_path: Path, size: tuple[int, int]) -> None:
    colour = np.asarray([200, 40, 90], dtype=np.uint8)
    picture = np.broadcast_to(colour, (*size, 3)).copy()
    write_video(tmp_path / "a.mp4", [picture, picture], [0.0, 0.5], duration_s=1.0)
    got = read_frames(tmp_path / "a.mp4", 1).pixels[0, :, 20, 20].numpy()
    assert np.abs(got.astype(int) - colour).max() <= 4
