"""Parts of a video as files: what they hold, that sound and pictures stay together, and that nothing half is left."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from videoexpert.errors import InputError, VideoError, WriteError
from videoexpert.testing import tiny_video
from videoexpert.video import probe, read_frames
from videoexpert.video.clip import cut
from videoexpert.video.encode import Span, encode_spans, pictures
from videoexpert.video.sound import HERTZ, sound

RATE, SECONDS, KEYS_S = 25, 6, 2
FLASHES = (1.0, 3.4, 5.0)  # a white picture, and a click at the same time


@pytest.fixture(scope="session")
def flashes(tmp_path_factory) -> Path:
    """Black with three flashes and clicks, a key frame every two seconds, frames reordered."""
    path = tmp_path_factory.mktemp("flashes") / "flashes.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        keys = str(KEYS_S * RATE)
        video.options = {"g": keys, "keyint_min": keys, "sc_threshold": "0", "bf": "2"}
        audio = container.add_stream("aac", rate=HERTZ)
        audio.layout = "stereo"
        for number in range(SECONDS * RATE):
            lit = 255 if number / RATE in FLASHES else 16
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), lit, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        samples = np.zeros((2, SECONDS * HERTZ), np.float32)
        for flash in FLASHES:
            place = round(flash * HERTZ)
            samples[:, place : place + 480] = np.sin(np.arange(480) / 4) * 0.9
        for place in range(0, samples.shape[1], 1024):
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(samples[:, place : place + 1024]), "fltp", "stereo"
            )
            block.sample_rate, block.pts = HERTZ, place
            container.mux(audio.encode(block))
        container.mux(audio.encode(None))
    return path


def lit(path: Path) -> list[float]:
    """Seconds at which the picture is white."""
    info = probe(path)
    found = pictures(Span(str(path), 0.0, info.duration_s))
    return [float(time) for time, picture in found if picture.mean() > 128]


def clicks(path: Path) -> list[float]:
    """Seconds at which a click begins."""
    heard = np.concatenate(list(sound(path, 0.0, probe(path).duration_s)), axis=1)
    loud = np.flatnonzero(np.abs(heard[0]) > 0.3)
    return [] if not len(loud) else [loud[0] / HERTZ, *(loud[1:][np.diff(loud) > HERTZ // 10] / HERTZ)]


def test_the_fixture_flashes_and_clicks_together(flashes):
    assert lit(flashes) == pytest.approx(FLASHES)
    assert clicks(flashes) == pytest.approx(FLASHES, abs=0.01)


def test_an_exact_clip_holds_what_was_asked_for(flashes, tmp_path):
    clip = cut(flashes, 2.9, 5.5, tmp_path / "a", exact=True)
    assert clip.path == tmp_path / "a.mp4"
    assert (clip.start_s, clip.end_s, clip.exact) == (2.9, 5.5, True)
    info = probe(clip.path)
    assert info.duration_s == pytest.approx(2.6, abs=1e-4)
    assert info.problems == ()
    assert lit(clip.path) == pytest.approx([0.5, 2.1], abs=1e-4)
    assert clicks(clip.path) == pytest.approx([0.5, 2.1], abs=0.01)


def test_a_copied_clip_begins_at_the_key_frame_before(flashes, tmp_path):
    clip = cut(flashes, 2.9, 4.5, tmp_path / "a")
    assert (clip.path.name, clip.start_s, clip.exact) == ("a.mp4", 2.0, False)
    # no picture that was asked for is missing, and few that were not are there
    assert 4.5 <= clip.end_s <= 4.7
    assert probe(clip.path).duration_s == pytest.approx(clip.end_s - clip.start_s, abs=1e-4)
    assert lit(clip.path) == pytest.approx([1.4])
    assert clicks(clip.path) == pytest.approx([1.4], abs=0.01)
    assert [s.codec_context.name for s in av.open(str(clip.path)).streams] == ["h264", "aac"]


def test_a_copy_is_the_same_pictures(flashes, tmp_path):
    clip = cut(flashes, 2.0, 4.0, tmp_path / "a")
    copied = read_frames(clip.path, 50, end_s=2.0)
    assert np.array_equal(copied.pixels, read_frames(flashes, 50, start_s=2.0, end_s=4.0).pixels)


def test_a_clip_from_the_first_picture_to_the_last(flashes, tmp_path):
    clip = cut(flashes, 0.0, 6.0, tmp_path / "a")
    assert (clip.start_s, clip.end_s) == (0.0, 6.0)
    assert probe(clip.path).frame_count == SECONDS * RATE


@pytest.mark.parametrize("ending", [".mkv", ".webm"])
def test_containers_keep_what_they_can_hold(ending, tmp_path):
    source = tmp_path / f"a{ending}"
    codec = "libvpx" if ending == ".webm" else "mpeg4"
    with av.open(str(source), "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(30):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), number * 8, np.uint8), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = cut(source, 1.0, 2.0, tmp_path / "clip")
    assert (clip.path.suffix, clip.exact) == (ending, False)
    assert probe(clip.path).duration_s == pytest.approx(clip.end_s - clip.start_s, abs=0.002)


def test_what_cannot_be_copied_is_encoded(tmp_path):
    source = tmp_path / "a.gif"
    with av.open(str(source), "w") as container:
        stream = container.add_stream("gif", rate=10)
        stream.width, stream.height, stream.pix_fmt = 63, 47, "rgb8"
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(np.full((47, 63, 3), number * 12, np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="rgb8")))
        container.mux(stream.encode(None))
    clip = cut(source, 0.5, 1.0, tmp_path / "clip")
    assert (clip.path.suffix, clip.exact) == (".mp4", True)
    info = probe(clip.path)
    assert (info.width, info.height, info.has_audio) == (62, 46, False)
    assert info.duration_s == pytest.approx(0.5, abs=1e-4)


def test_spans_of_several_videos_become_one(flashes, tmp_path):
    silent = tiny_video(tmp_path / "silent.mp4", 3.0)
    out = tmp_path / "reel.mp4"
    encode_spans(
        [Span(str(silent), 0.5, 1.5), Span(str(flashes), 0.8, 1.3), Span(str(silent), 1.0, 2.0)], out
    )
    info = probe(out)
    assert info.duration_s == pytest.approx(2.5, abs=1e-4)
    assert (info.width, info.height) == (64, 48)
    assert clicks(out) == pytest.approx([1.2], abs=0.01)
    heard = np.concatenate(list(sound(out, 0.0, 2.5)), axis=1)
    assert heard.shape == (2, round(2.5 * HERTZ))
    # the bar of the silent video crosses the picture; at 1.2 s the picture is white
    assert 1.2 in [pytest.approx(time, abs=1e-4) for time in lit(out)]


def test_another_shape_gets_black_sides(flashes, tmp_path):
    tall = tmp_path / "tall.mp4"
    encode_spans([Span(str(flashes), 1.0, 1.04)], tall)
    wide = tmp_path / "wide.mp4"
    with av.open(str(wide), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 48, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.full((48, 128, 3), 128, np.uint8), format="rgb24")
        frame.pts = 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    out = tmp_path / "out.mp4"
    encode_spans([Span(str(wide), 0.0, 0.1), Span(str(tall), 0.0, 0.04)], out)
    *_, (_, last) = pictures(Span(str(out), 0.0, 0.14))
    assert last.shape == (48, 128, 3)
    assert last[:, :28].max() < 40
    assert last[:, 36:92].min() > 200
    assert last[:, 100:].max() < 40


def test_colours_come_back(tmp_path):
    source = tmp_path / "red.mp4"
    tiny = np.zeros((48, 64, 3), np.uint8)
    tiny[..., 0], tiny[..., 1] = 200, 60
    with av.open(str(source), "w") as container:
        stream = container.add_stream("libx264rgb", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(tiny, format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    out = cut(source, 0.0, 0.5, tmp_path / "out", exact=True).path
    with av.open(str(out)) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (1, 1, 1)
        frame = next(container.decode(video=0))
    shown = frame.reformat(format="rgb24", src_colorspace=1).to_ndarray()
    assert np.abs(shown.astype(int) - tiny).max() <= 6


def test_sound_is_silence_where_there_is_none(flashes, tmp_path):
    silent = tiny_video(tmp_path / "silent.mp4", 2.0)
    assert not np.concatenate(list(sound(silent, 0.25, 1.75)), axis=1).any()
    # and behind the end of the sound
    tail = np.concatenate(list(sound(flashes, 5.5, 8.0)), axis=1)
    assert tail.shape == (2, round(2.5 * HERTZ))
    assert not tail[:, HERTZ:].any()


def test_sound_in_parts_is_the_sound(flashes):
    whole = np.concatenate(list(sound(flashes, 0.0, 6.0)), axis=1)
    for start, end in ((0.9, 1.1), (3.25, 3.75), (4.0, 6.0)):
        part = np.concatenate(list(sound(flashes, start, end)), axis=1)
        assert np.abs(part - whole[:, round(start * HERTZ) : round(end * HERTZ)]).max() < 0.02


def test_pictures_keep_their_own_times(flashes):
    times = [time for time, _ in pictures(Span(str(flashes), 1.02, 1.1))]
    assert times == [0, Fraction(2, 100), Fraction(6, 100)]  # those of 1.00, 1.04 and 1.08


def test_spans_that_are_not_there(flashes, tmp_path):
    for start, end in ((5.0, 9.0), (3.0, 2.0), (-1.0, 2.0)):
        for exact in (False, True):
            with pytest.raises(InputError, match="was asked for"):
                cut(flashes, start, end, tmp_path / "a", exact=exact)
    (tmp_path / "text.mp4").write_text("a text")
    with pytest.raises(VideoError, match="not a readable video"):
        cut(tmp_path / "text.mp4", 0, 1, tmp_path / "a")
    assert [file.name for file in tmp_path.iterdir()] == ["text.mp4"]


def test_nothing_half_is_left_behind(flashes, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "a.mp4").mkdir()  # a folder is in the way
    with pytest.raises(WriteError, match="cannot be written"):
        cut(flashes, 1, 2, target / "a")
    with pytest.raises(WriteError, match="cannot be written"):
        cut(flashes, 1, 2, target / "a", exact=True)
    assert [file.name for file in target.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    "name",
    [
        "sideways_rot90.mov",
        "mmaction2_test.avi",
        pytest.param("fire2_rot180_vfr.mp4", marks=pytest.mark.slow),
        "sample_amr.3gp",
        "hevc_10bit.mp4",
    ],
)
def test_real_videos(shared, tmp_path, name):
    source = shared / "videos" / name
    info = probe(source)
    start, end = info.duration_s * 0.4, info.duration_s * 0.7
    for exact in (False, True):
        clip = cut(source, start, end, tmp_path / f"a{exact}", exact=exact)
        made = probe(clip.path)
        assert made.duration_s == pytest.approx(clip.end_s - clip.start_s, abs=0.05)
        assert clip.start_s <= start + 1e-6
        assert clip.end_s >= end - 1e-6
        assert (made.width // 2, made.height // 2) == (info.width // 2, info.height // 2)
        assert made.has_audio == info.has_audio
