"""Every file of the shared reference videos: right times and upright frames, or one clear sentence."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
import torch

from videoexpert.errors import VideoError
from videoexpert.video import VideoInfo, VideoWarning, bin_centres, probe, read_frames

ROOT = Path(os.environ.get("VIDEOEXPERT_SHARED", Path(__file__).resolve().parents[3] / "shared"))
VIDEOS = ROOT / "videos"
RECORDS: list[dict[str, Any]] = (
    json.loads((VIDEOS / "videos.json").read_text()) if (VIDEOS / "videos.json").is_file() else []
)
READABLE = [r for r in RECORDS if r["probe"]["opens"]]
SOUND = [r for r in READABLE if r["probe"]["decode_error"] is None]


def name(record: dict[str, Any]) -> str:
    return record["file"]


@functools.cache
def probed(file: str) -> VideoInfo:
    return probe(VIDEOS / file)


def tiny(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture[::16, ::16].transpose(2, 0, 1)))


def test_the_reference_videos_are_all_here(shared: Path) -> None:
    assert len(READABLE) >= 20
    assert {r["file"] for r in RECORDS} == {
        f.name for f in (shared / "videos").iterdir() if f.suffix not in (".json", ".md")
    }


@pytest.mark.parametrize("record", SOUND, ids=name)
def test_times_and_frames_are_those_of_a_plain_full_decode(
    media: SimpleNamespace, record: dict[str, Any]
) -> None:
    path, header = VIDEOS / record["file"], record["probe"]
    times = media.plain_times(path)
    assert len(times) == header["decoded_frames"]
    frames = read_frames(path, 100, resize=tiny)
    assert probed(record["file"]).picture_times_s.tolist() == pytest.approx(times.tolist(), abs=1e-6)
    # From the players' zero to the last picture's time and on for about one gap.
    span = times[-1]
    assert span < frames.duration_s <= span + max(header["max_gap_s"], 0.005) + 0.002
    centres = bin_centres(100, 0.0, frames.duration_s)
    expected = [media.on_show(times, centre) for centre in centres]
    assert frames.times_s.tolist() == pytest.approx(times[expected].tolist(), abs=1e-6)
    check_properties(frames.times_s.numpy(), centres, times, frames.duration_s)
    turn = header["rotation_ccw_deg"] // 90
    pictures = media.plain_pictures(path, [expected[i] for i in (3, 25, 60)])
    for i in (3, 25, 60):
        plain = upright(pictures[expected[i]], header["sample_aspect_ratio"], turn)
        assert np.array_equal(frames.pixels[i].numpy(), plain[::16, ::16].transpose(2, 0, 1))


def upright(frame: av.VideoFrame, aspect: str | None, quarter_turns_ccw: int) -> np.ndarray:
    top, _, bottom = (aspect or "1").partition("/")
    width = round(frame.width * int(top) / int(bottom or 1))
    # HD pictures that do not say which matrix they mean are BT.709, as in players.
    unsaid = frame.colorspace == 2 and (frame.width >= 1280 or frame.height > 576)
    matrix = {"src_colorspace": 1, "dst_colorspace": 1, "src_color_range": 1} if unsaid else {}
    # The file's rotation is applied as it stands: -90 is one quarter clockwise.
    return np.rot90(frame.to_ndarray(format="rgb24", width=width, **matrix), quarter_turns_ccw)


def check_properties(got: np.ndarray, centres: np.ndarray, times: np.ndarray, duration_s: float) -> None:
    assert (np.diff(got) >= 0).all()
    assert got.min() >= 0
    assert got.max() < duration_s
    ends = np.append(times[1:], duration_s)
    for time, centre in zip(got, centres, strict=True):
        if centre < times[0]:  # sound began before the pictures
            assert time == times[0]
            continue
        gap = ends[np.searchsorted(times, time + 1e-9) - 1] - time
        assert -1e-6 <= centre - time <= gap + 1e-6


@pytest.mark.parametrize("record", READABLE, ids=name)
@pytest.mark.filterwarnings("ignore::videoexpert.video.VideoWarning")
def test_probe_says_what_was_measured_and_what_is_read(record: dict[str, Any]) -> None:
    path, header = VIDEOS / record["file"], record["probe"]
    info = probed(record["file"])
    frames = read_frames(path, 7)
    assert info.duration_s == frames.duration_s
    assert np.array_equal(info.frame_times(7), frames.times_s.numpy())
    assert info.frame_count == header["decoded_frames"]
    assert info.variable_frame_rate == header["variable_frame_rate"]
    assert info.start_offset_s == pytest.approx(header["first_pts_s"], abs=1e-3)
    assert info.has_audio == header["has_audio"]
    assert info.rotation_deg == -header["rotation_ccw_deg"] % 360
    assert info.codec.split("-")[-1] in (header["codec"], "dav1d", "libdav1d")
    assert info.pixel_format == header["pix_fmt"]
    width = round(header["width"] * info.sample_aspect_ratio)
    size = (width, header["height"]) if header["rotation_ccw_deg"] % 180 == 0 else (header["height"], width)
    assert (info.width, info.height) == size
    assert frames.pixels.shape == (7, 3, info.height, info.width)


@pytest.mark.parametrize("record", [r for r in READABLE if r["probe"]["decode_error"]], ids=name)
def test_a_damaged_tail_ends_the_video_with_a_warning(record: dict[str, Any]) -> None:
    path, header = VIDEOS / record["file"], record["probe"]
    with pytest.warns(VideoWarning, match=record["file"]):
        frames = read_frames(path, 100, resize=tiny)
    assert float(frames.times_s.max()) == pytest.approx(header["last_pts_s"], abs=1e-3)
    assert header["last_pts_s"] < frames.duration_s <= header["last_pts_s"] + header["max_gap_s"] + 1e-3
    assert any("damaged" in problem for problem in probed(record["file"]).problems)


@pytest.mark.parametrize("record", [r for r in RECORDS if not r["probe"]["opens"]], ids=name)
def test_what_does_not_open_gets_one_sentence(record: dict[str, Any]) -> None:
    for read in (read_frames, probe):
        with pytest.raises(VideoError, match=record["file"]) as caught:
            read(VIDEOS / record["file"])
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("record", SOUND, ids=name)
def test_a_clip_shows_what_the_whole_shows_then(record: dict[str, Any]) -> None:
    path = VIDEOS / record["file"]
    whole = probed(record["file"])
    start, end = round(whole.duration_s * 0.2, 2), round(whole.duration_s * 0.45, 2)
    clip = read_frames(path, 9, start_s=start, end_s=end, resize=tiny)
    assert (clip.start_s, clip.duration_s) == (pytest.approx(start), pytest.approx(end - start))
    times = whole.picture_times_s
    shown = np.searchsorted(times, bin_centres(9, start, end - start) + 1e-7, side="right") - 1
    assert clip.times_s.numpy() == pytest.approx(times[shown], abs=1e-6)
