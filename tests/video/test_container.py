"""The one door that opens videos: what a file is called when it gives no pictures, foreign tags, bounds."""

from __future__ import annotations

import os
import socket
import struct
import zlib
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
import torch

from videoexpert.errors import InputError, VideoError
from videoexpert.video import glance, probe, read_frames, read_windows, stream_frames
from videoexpert.video.container import FULL_PIXELS, halvings
from videoexpert.video.diagnosis import is_protected, stored_codec

TICKS = list(range(0, 1000, 100))


def small(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(picture[:4, :4].transpose(2, 0, 1)))


def refused(path: Path, *, match: str) -> str:
    sentences = set()
    for read in (probe, glance, read_frames):
        with pytest.raises(VideoError, match=match) as caught:
            read(path)
        sentences.add(str(caught.value))
    (sentence,) = sentences
    assert "\n" not in sentence
    assert sentence.endswith(".")
    return sentence


@pytest.mark.parametrize(
    ("name", "codec", "stored", "unknown"),
    [
        ("a.mp4", "libx264", b"avc1", b"zzzz"),
        ("a.mov", "libx264", b"avc1", b"q~ z"),
        ("a.avi", "mpeg4", b"FMP4", b"ZZZZ"),
        ("a.mkv", "libx264", b"V_MPEG4/ISO/AVC", b"V_NEXT/ISO/1999"),
        ("a.wmv", "wmv2", b"WMV2", b"WXQ9"),
    ],
)
def test_an_unknown_codec_is_named(
    media: SimpleNamespace, tmp_path: Path, name: str, codec: str, stored: bytes, unknown: bytes
) -> None:
    path = media.make_video(
        tmp_path / name, TICKS, codec=codec, clock=1000 if name != "a.avi" else 25, b_frames=0
    )
    assert stored_codec(str(path)) == stored.decode()
    path.write_bytes(path.read_bytes().replace(stored, unknown))
    sentence = refused(path, match="codec")
    said = unknown.decode("latin-1").encode("ascii", "backslashreplace").decode()
    assert repr(said) in sentence


def test_other_streams_of_a_known_codec_are_used(media: SimpleNamespace, tmp_path: Path) -> None:
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream(codec, rate=10) for codec in ("mpeg4", "libx264")]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 80, 32, "yuv420p"
        for stream in streams:
            media.add_pictures(container, stream, TICKS[:5], 1000, media.numbered_picture)
    path.write_bytes(path.read_bytes().replace(b"V_MPEG4/ISO/ASP", b"V_NEXT2/ISO/ASP"))
    assert probe(path).codec == "h264"


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_the_largest_stream_is_read(media: SimpleNamespace, tmp_path: Path, suffix: str) -> None:
    """As FFmpeg's command line does; a stream for previews often comes first."""
    path = tmp_path / f"two{suffix}"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("libx264", rate=10) for _ in range(2)]
        for stream, scale in zip(streams, (1, 2), strict=True):
            stream.width, stream.height, stream.pix_fmt = 80 * scale, 32 * scale, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 90_000)
        ticks = range(0, 90_000, 9000)
        for stream, scale in zip(streams, (1, 2), strict=True):
            media.add_pictures(
                container, stream, ticks, 90_000, lambda i, by=scale: media.numbered_picture(i, by)
            )
    assert (probe(path).width, probe(path).frame_count) == (160, 10)


@pytest.mark.parametrize(
    "head",
    [
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sIIBBBBB", 13, b"IHDR", 9, 9, 8, 2, 0, 0, 0),
        b"RIFF\x40\0\0\0WEBPVP8X",
        b"\xff\xd8\xff\xe0\0\x10JFIF",
        b"II*\0\x08\0\0\0",
        b"BM\x40\0\0\0",
        b"\0\0\0\x18ftypheic",
    ],
)
@pytest.mark.parametrize("name", ["img001.png", "clip.mp4"])
def test_a_picture_is_called_a_picture(tmp_path: Path, head: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(head + bytes(200))
    refused(tmp_path / name, match="is a picture")


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_tags_that_are_no_utf_8_do_not_matter(media: SimpleNamespace, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "caf-- --nchen"
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 80, 32, "yuv420p"
        media.add_pictures(container, stream, range(5), 10, media.numbered_picture)
    data = path.read_bytes()
    assert b"caf-- --nchen" in data
    path.write_bytes(data.replace(b"caf-- --nchen", b"caf\xe9\xff \xfc\x80nchen"))
    assert probe(path).frame_count == 5


def test_latin_1_from_the_field(shared: Path) -> None:
    for name in ("latin1_title.avi", "latin1_handler.mp4"):
        assert probe(shared / "field" / "containers" / name).duration_s == pytest.approx(10.0, abs=0.05)


# ---- protection ----------------------------------------------------------------------------------


def box(kind: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack(">I", len(body) + 8) + kind + body


def movie(*entries: bytes) -> bytes:
    """A movie whose video tracks hold these sample entries, with a sound track first."""

    def track(handler: bytes, entry: bytes) -> bytes:
        description = box(b"stsd", struct.pack(">II", 0, 1), box(entry, bytes(70)))
        inner = box(b"minf", box(b"stbl", description))
        return box(b"trak", box(b"mdia", box(b"hdlr", bytes(8), handler, bytes(13)), inner))

    tracks = [track(b"soun", b"enca"), *(track(b"vide", entry) for entry in entries)]
    return box(b"ftyp", b"isom") + box(b"mdat", bytes(100)) + box(b"moov", *tracks)


def transport(flags: list[int]) -> bytes:
    return b"".join(b"G\x01\x00" + bytes([flag << 6 | 0x10]) + bytes(184) for flag in flags)


PROTECTED = {
    "common.mp4": movie(b"encv"),
    "fairplay.m4v": movie(b"drmi"),
    "broadcast.ts": transport([0, 0, *[2, 3] * 20]),
    "disc.vob": b"\0\0\1\xba" + bytes(10) + b"\0\0\1\xe0\x07\xec\xb1" + bytes(100),
    "windows.wmv": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
    + bytes(50)
    + bytes.fromhex("fbb3112223bdd211b4b700a0c955fc6e"),
    "widevine.webm": bytes.fromhex("1a45dfa3")
    + bytes(60)
    + b"\x6d\x80\x90\x62\x40\x8d\x50\x31\x81\x00\x50\x35\x87",
}
OPEN = {
    "clear.mp4": movie(b"avc1"),
    "some.mp4": movie(b"encv", b"avc1"),
    "broadcast.ts": transport([0] * 40),
    "disc.vob": b"\0\0\1\xba" + bytes(10) + b"\0\0\1\xe0\x07\xec\x81" + bytes(100),
    "windows.wmv": bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + bytes(50),
    "text": b"Dear diary, " * 100,
    "nothing": b"",
    "endless.mp4": box(b"moov", box(b"trak", b"\0\0\0\x08free" * 100_000)),
    "deep.mp4": b"\0\0\0\0moov" * 50_000,
}


@pytest.mark.parametrize("name", PROTECTED)
def test_protection_is_seen(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(PROTECTED[name])
    assert is_protected(str(path))
    refused(path, match="encrypted")


@pytest.mark.parametrize("name", OPEN)
def test_what_is_not_protected(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(OPEN[name])
    assert not is_protected(str(path))


def test_protection_of_files_that_are_not_there(tmp_path: Path) -> None:
    assert not is_protected(str(tmp_path / "none.mp4"))
    assert stored_codec(str(tmp_path)) is None


def test_an_encrypted_file_from_the_field(shared: Path) -> None:
    refused(shared / "field" / "reports" / "encrypted" / "enc.mp4", match="encrypted")


# ---- names and kinds of files --------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [b"caf\xe9.mp4", "\x1b[31mred\x1b[0m.mp4", "a\nb.mp4", "\u202egpj.mp4", "映画.mp4"]
)
def test_foreign_names_open_and_are_escaped_in_sentences(
    media: SimpleNamespace, tmp_path: Path, name: str | bytes
) -> None:
    source = media.make_video(tmp_path / "a.mp4", TICKS)
    path = os.path.join(os.fsencode(tmp_path), name) if isinstance(name, bytes) else str(tmp_path / name)
    os.rename(source, path)
    assert len(read_frames(path, 2)) == 2
    assert len(read_frames(os.fsdecode(path), 2)) == 2
    os.truncate(path, 100)
    with pytest.raises(VideoError) as caught:
        read_frames(path)
    sentence = str(caught.value)
    assert sentence.isprintable()
    sentence.encode()  # no lone surrogate


def test_what_is_no_file_on_disk_is_refused_at_once(tmp_path: Path) -> None:
    pipe, listening = tmp_path / "pipe.mp4", tmp_path / "socket.mp4"
    os.mkfifo(pipe)
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(listening))
    for path in (pipe, listening, "/dev/zero", "/dev/tty"):
        if not os.path.exists(path):
            continue
        with pytest.raises(VideoError, match="not a regular file"):
            read_frames(path)
    server.close()
    with pytest.raises(VideoError, match="is a folder"):
        read_frames(tmp_path)


# ---- bounds --------------------------------------------------------------------------------------


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def huge_gif(width: int, height: int) -> bytes:
    picture = b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00"
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0xF0, 0, 0) + b"\0\0\0\xff\xff\xff"
    return screen + picture * 3 + b"\x3b"


def huge_apng(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    control = struct.pack(">IIIIIHHBB", 0, width, height, 0, 0, 1, 10, 0, 0)
    data = zlib.compress(bytes(1000))
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"acTL", struct.pack(">II", 2, 0))
        + chunk(b"fcTL", control)
        + chunk(b"IDAT", data)
        + chunk(b"IEND", b"")
    )


def test_huge_pictures_are_refused_with_both_numbers(tmp_path: Path) -> None:
    path = tmp_path / "huge.gif"
    path.write_bytes(huge_gif(15_000, 15_000))
    sentence = refused(path, match="225,000,000 pixels")
    assert "67,108,864" in sentence
    assert "VIDEOEXPERT_MAX_PICTURE_PIXELS" in sentence


def test_huge_animated_pngs_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(huge_apng(15_000, 15_000))
    refused(path, match="VIDEOEXPERT_MAX_PICTURE_PIXELS")


def test_the_limit_is_a_setting(
    media: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = media.make_video(tmp_path / "a.mp4", TICKS)
    monkeypatch.setenv("VIDEOEXPERT_MAX_PICTURE_PIXELS", "2000")
    refused(path, match=r"2,560 pixels \(80 x 32\)")
    monkeypatch.setenv("VIDEOEXPERT_MAX_PICTURE_PIXELS", "2560")
    assert len(read_frames(path, 2)) == 2


def test_halvings_by_hand() -> None:
    sizes = ((10, 10), (11, 10), (20, 20), (21, 20), (400, 400))
    assert [halvings(width, height, 100) for width, height in sizes] == [0, 1, 1, 1, 6]


@pytest.mark.parametrize(("name", "codec"), [("a.avi", "mjpeg"), ("a.mp4", "mpeg4"), ("a.mkv", "libx264")])
def test_pictures_above_4k_are_reduced_for_callers_that_scale(tmp_path: Path, name: str, codec: str) -> None:
    height, width = 2400, 4800
    assert height * width > FULL_PIXELS
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    picture[: height // 2, : width // 2] = picture[height // 2 :, width // 2 :] = 200
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream(codec, rate=5)
        stream.height, stream.width = height, width
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.options = {"preset": "ultrafast"} if codec == "libx264" else {}
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        container.mux([*stream.encode(frame), *stream.encode(None)])
    shapes = []

    def resize(shown: np.ndarray) -> torch.Tensor:
        shapes.append(shown.shape)
        return small(shown[::300, ::600])

    frames = read_frames(tmp_path / name, 1, resize=resize)
    assert shapes == [(height // 2, width // 2, 3)]
    corners = frames.pixels[0, :, [0, 3, 0], [0, 3, 3]].numpy().astype(int)
    assert np.abs(corners - [200, 200, 0]).max() <= 12


def test_numbers_of_frames_are_bounded(media: SimpleNamespace, tmp_path: Path) -> None:
    path = media.make_video(tmp_path / "a.mp4", TICKS)
    for count in (1_000_000, 10**9):
        with pytest.raises(InputError, match=rf"{count:,}.*16,384.*VIDEOEXPERT_MAX_FRAMES"):
            read_frames(path, count)
        with pytest.raises(InputError, match="VIDEOEXPERT_MAX_FRAMES"):
            read_windows(path, 1.0, count)
    with pytest.raises(InputError, match="VIDEOEXPERT_MAX_STREAMED_FRAMES"):
        stream_frames(path, 1e9)
    with pytest.raises(InputError, match="VIDEOEXPERT_MAX_VIDEO_WINDOWS"):
        list(read_windows(path, 1e-7, 4))


def test_an_hour_of_tiny_pictures_costs_no_memory(shared: Path) -> None:
    path = shared / "field" / "containers" / "one_hour_2x2.mkv"
    info = probe(path)
    assert info.duration_s == pytest.approx(3600, abs=2)
    assert info.timeline.ticks.nbytes < 2_000_000
