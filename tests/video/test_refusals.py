"""Only single local video files are opened; everything else gets one sentence."""

from __future__ import annotations

import os
import wave
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest

from videoexpert.errors import VideoError
from videoexpert.video import container as container_module
from videoexpert.video import probe, read_frames

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{secret}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile {secret}\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011">'
    "<BaseURL>{secret}</BaseURL></MPD>\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
}


def refused(path: str | Path) -> str:
    """The sentence ``path`` is refused with."""
    sentences = []
    for read in (read_frames, probe):
        with pytest.raises(VideoError) as caught:
            read(path)
        sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    (sentence,) = set(sentences)
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "expected" in sentence
    assert Path(path).name in sentence or str(path) in sentence
    return sentence


@pytest.fixture
def secret(media: SimpleNamespace, tmp_path: Path) -> Path:
    """A real video that a playlist must not lead to."""
    return media.make_video(tmp_path / "secret.ts", list(range(0, 90000, 9000)), clock=90000)


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("suffix", [".mp4", ".m3u8", ".mkv", ".ffconcat", ".mpd", ".sdp"])
@pytest.mark.parametrize("recognised", [True, False])
def test_playlists_are_refused_under_any_name(
    secret: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, suffix: str, recognised: bool
) -> None:
    path = tmp_path / f"holiday{suffix}"
    path.write_text(PLAYLISTS[kind].format(secret=secret.name))
    if recognised:
        assert "playlist" in refused(path)
    else:  # the list of formats alone has to hold too
        monkeypatch.setattr(container_module, "_PLAYLIST_MARKS", ())
        refused(path)


def test_playlists_would_have_been_read(secret: Path, tmp_path: Path) -> None:
    """The tests above mean something: FFmpeg left alone follows such a list."""
    path = tmp_path / "holiday.mp4"
    path.write_text(PLAYLISTS["concat"].format(secret=secret.name))
    with av.open(str(path)) as followed:
        assert followed.format.name == "concat"


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:9/a.mp4",
        "https://example.org/a.mp4",
        "concat:a.mp4|b.mp4",
        "rtsp://x/y",
        "data:video/mp4,x",
    ],
)
def test_addresses_are_refused(address: str) -> None:
    assert "address" in refused(address)


def test_image_sequences_devices_and_raw_streams_are_refused(media: SimpleNamespace, tmp_path: Path) -> None:
    for i in range(3):
        frame = av.VideoFrame.from_ndarray(media.numbered_picture(i), format="rgb24")
        frame.to_image().save(tmp_path / f"a{i:03d}.png")
    refused(tmp_path / "a%03d.png")
    refused(tmp_path / "a000.png")
    refused("testsrc=size=64x64")
    assert "raw stream" in refused(media.make_video(tmp_path / "raw.h264", list(range(0, 1000, 40))))


def test_what_is_no_file(tmp_path: Path) -> None:
    assert "does not exist" in refused(tmp_path / "missing.mp4")
    assert "is a folder" in refused(tmp_path)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "not a regular file" in refused(tmp_path / "pipe.mp4")
    refused("x" * 5000)
    with pytest.raises(VideoError, match="expected a video file"):
        read_frames("a\0b.mp4")


@pytest.mark.parametrize(
    "content",
    [
        "Dear diary, nothing moved today.\n" * 200,
        "1\n00:00:01,000 --> 00:00:02,000\nHello\n",
        b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2mp41\x00\x00\x00\x08free\x00\x00\x00\x08mdat",
        bytes(range(256)) * 20,
        b"\x00" * 4096,
    ],
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ""])
def test_what_is_no_video(tmp_path: Path, content: str | bytes, suffix: str) -> None:
    path = tmp_path / f"note{suffix}"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    refused(path)


def test_an_empty_file(tmp_path: Path) -> None:
    path = tmp_path / "nothing.mp4"
    path.touch()
    assert "empty" in refused(path)


def test_sound_only(tmp_path: Path) -> None:
    path = tmp_path / "song.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    assert "no video stream" in refused(path)
    renamed = tmp_path / "song.mp4"
    path.rename(renamed)
    assert "(audio)" in refused(renamed)


def test_sound_with_a_cover_picture(media: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        sound = container.add_stream("mp3", rate=44100)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 80, 32, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic.value
        picture = av.VideoFrame.from_ndarray(media.numbered_picture(3), format="rgb24").reformat(
            format="yuvj420p"
        )
        container.mux([*cover.encode(picture), *cover.encode(None)])
        for start in range(0, 44100, 1152):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 2304), np.int16), format="s16", layout="stereo")
            frame.sample_rate, frame.pts = 44100, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    assert "cover picture" in refused(path)


@pytest.mark.parametrize(
    "name", ["-i.mp4", "concat:a.mp4", "a:b%03d.mp4", "file:x.mp4", "häuser & wälder?.mp4"]
)
def test_odd_names_are_names_like_others(
    media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    media.make_video(tmp_path / "a.mkv", [0, 100, 200]).rename(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    assert len(read_frames(name, 3)) == 3
