"""Opens one local video file safely and turns its stored pictures upright."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..errors import VideoError
from ..limits import limits, variable
from .colour import PYAV, TRANSFERS, to_rgb
from .diagnosis import is_picture, is_protected, stored_codec

# Formats that are one file each and carry their own times. Everything else is refused before its header is
# read: playlists and lists (hls, dash, concat, sdp) open other files or addresses, image sequences are
# patterns over other files, devices and lavfi are not files, raw elementary streams have no times.
# Audio formats are listed so that an audio file gets the sentence about missing pictures.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,flv,live_flv,ogg,mpeg,mpegts,asf,gif,apng,nut,mxf,wtv,dv,rm,"
    "ivf,yuv4mpegpipe,mp3,wav,flac,aac"
)
_OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file"}
_PLAYLIST_MARKS = (b"#EXTM3U", b"ffconcat", b"<MPD", b"v=0\r\no=", b"v=0\no=", b"[playlist]", b"<asx")
_PROTOCOLS = {"concat", "http", "https", "rtsp", "rtmp", "hls", "data"}
FULL_PIXELS = 4096 * 2304  # pictures up to 4K are decoded and converted as they are
FULL_HDR_PIXELS = 1280 * 720  # tone mapping costs more
_REDUCED_BY_DECODER = frozenset({"mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "jpeg2000", "dvvideo"})
_CLOCK_MAY_JUMP = 0x200  # AVFMT_TS_DISCONT
_DEFAULT_COUNTS = 5_000_000  # pixels
_MICROSECOND = Fraction(1, 1_000_000)
_MAX_SAMPLE_ASPECT = 8  # outside [1/8, 8] a sample aspect ratio is a broken header, not a picture


@dataclass(frozen=True)
class OpenFile:
    """An open file and its picture stream."""

    path: str
    container: av.container.InputContainer
    stream: av.VideoStream
    width: int  # as stored; pictures of another size in mid-stream are scaled to the stream's
    height: int
    reduce: bool

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the picture stream."""
        return Fraction(self.stream.time_base or Fraction(1, 1000))

    @property
    def clock_may_jump(self) -> bool:
        """Whether the container is one whose clock may start again or jump: MPEG streams, discs, recordings."""
        return bool(self.container.format.flags & _CLOCK_MAY_JUMP)

    def zero(self, *, pictures_too: bool = True) -> Fraction | None:
        """Tick, of the picture stream, of the players' zero: where the file begins, sound included.

        FFmpeg's ``start_time``, from which players and ``ffmpeg -ss`` count. None where the file does not say.
        ``pictures_too=False``: where the other streams begin.
        """
        streams = [s for s in self.container.streams if pictures_too or s.index != self.stream.index]
        starts = [
            Fraction(s.start_time) * s.time_base for s in streams if s.start_time is not None and s.time_base
        ]
        said = self.container.start_time
        if said is None or not pictures_too:
            return min(starts) / self.time_base if starts else None
        # FFmpeg rounds it to the microsecond: the stream's own start is exact.
        rounded = Fraction(said, av.time_base)
        exact = [start for start in starts if abs(start - rounded) < _MICROSECOND]
        return (exact[0] if exact else rounded) / self.time_base

    @property
    def sample_aspect_ratio(self) -> Fraction:
        """Width of a stored pixel over its height; 1 where unknown or senseless."""
        ratio = Fraction(self.stream.sample_aspect_ratio or 1)
        sensible = Fraction(1, _MAX_SAMPLE_ASPECT) <= ratio <= _MAX_SAMPLE_ASPECT
        return ratio if sensible else Fraction(1)

    @property
    def square_size(self) -> tuple[int, int]:
        """(width, height) of the stored picture with its width scaled to square pixels, before any turn."""
        return max(1, round(self.width * self.sample_aspect_ratio)), self.height

    @property
    def transfer(self) -> int:
        """The stream's transfer characteristic, ITU-T H.273; 2 where it says none."""
        return int(self.stream.codec_context.color_trc or 2)

    def upright(self, frame: av.VideoFrame) -> np.ndarray:
        """(height, width, 3) uint8 RGB. A picture of another size in mid-stream is scaled to the stream's.

        Alpha is dropped: what lies under transparent pixels shows, as in players without a backdrop. With
        ``reduce``, large pictures are halved until they are not.

        Raises:
            VideoError: a picture in a form that FFmpeg cannot convert.
        """
        width, height = self.square_size
        if self.reduce:
            halved = halvings(width, height, FULL_HDR_PIXELS if self.transfer in TRANSFERS else FULL_PIXELS)
            width, height = max(1, width >> halved), max(1, height >> halved)
        primaries = int(self.stream.codec_context.color_primaries or 2)
        try:
            picture = to_rgb(frame, width, height, transfer=self.transfer, primaries=primaries)
        except (av.FFmpegError, ValueError) as error:
            raise VideoError(
                f"{self.path!r} has pictures of the form {frame.format.name}, which cannot be converted to RGB "
                f"({error}): convert it to mp4."
            ) from error
        transpose, flip_x, flip_y = orientation(frame)
        if transpose:
            picture = picture.transpose(1, 0, 2)
        if flip_x:
            picture = picture[:, ::-1]
        if flip_y:
            picture = picture[::-1]
        return np.ascontiguousarray(picture)

    def upright_size(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) of what ``upright`` gives."""
        width, height = self.square_size
        return (height, width) if orientation(frame)[0] else (width, height)


def halvings(width: int, height: int, most: int) -> int:
    """How often a picture has to be halved to have at most ``most`` pixels."""
    count = 0
    while (width >> count) * (height >> count) > most:
        count += 1
    return count


def orientation(frame: av.VideoFrame) -> tuple[bool, bool, bool]:
    """(transpose, flip_x, flip_y) that turn the stored picture upright, flips after the transposition.

    Read from the display matrix [a b u; c d v; x y w] of the file: a point (p, q) of the stored picture
    lands on (a p + c q, b p + d q). Turns are taken to the nearest quarter; mirrored matrices (front
    cameras) too.
    """
    matrix: Any = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return False, False, False
    a, b, _, c, d, *_ = (int(value) for value in np.frombuffer(bytes(matrix), dtype=np.int32)[:9])
    if abs(b) + abs(c) > abs(a) + abs(d):
        return True, c < 0, b < 0
    return False, a < 0, d < 0


def clockwise_turn(frame: av.VideoFrame) -> int:
    """Clockwise degrees (0, 90, 180, 270) that turn the stored picture upright, mirroring aside."""
    transpose, flip_x, flip_y = orientation(frame)
    if transpose:
        return 90 if flip_x else 270
    return 180 if flip_y else 0


@contextmanager
def open_video(
    path: str | os.PathLike[str], *, threads: bool = True, reduce: bool = False
) -> Iterator[OpenFile]:
    """Opens a local video file for reading its best picture stream. The one place that opens videos.

    Only whitelisted single-file formats over the ``file`` protocol: a "video" that is really a playlist
    cannot make FFmpeg read anything else. ``threads=False`` decodes one packet at a time, so that damage is
    located. ``reduce``: pictures of more than ``FULL_PIXELS`` may be decoded at a half, a quarter or an eighth of
    their size, for callers that scale them down anyway.

    Raises:
        VideoError: no such file, a folder, an empty file, an address, a playlist, not a video, no pictures, a codec
            that FFmpeg does not know, encrypted pictures, pictures above the limit ``picture_pixels``.
    """
    name = os.fsdecode(path)
    _check_file(name)
    most = limits().picture_pixels
    try:
        container = _open_container(name, {"max_pixels": str(backstop(most))})
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        raise VideoError(_unreadable(name, error)) from error
    with container:
        stream = picture_stream(name, container, most)
        width, height = stream.width, stream.height
        large = width * height > FULL_PIXELS
        # Each thread of frames holds pictures of its own.
        stream.thread_type = ("SLICE" if large else "AUTO") if threads else "NONE"
        if not threads:
            stream.codec_context.thread_count = 1
        options = {"max_pixels": str(backstop(most))}
        if reduce and large and stream.codec_context.name in _REDUCED_BY_DECODER:
            options["lowres"] = str(min(3, halvings(width, height, FULL_PIXELS)))
        stream.codec_context.options = options
        yield OpenFile(name, container, stream, width, height, reduce)


def backstop(most: int) -> int:
    """FFmpeg's own limit, for sizes that only the pictures reveal: it counts padded rows, so it needs slack."""
    return min(2 * most + 2**16, 2**31 - 1)


def _open_container(name: str, options: dict[str, str]) -> av.container.InputContainer:
    # The prefix makes any name a file name: "-x.mp4", "concat:a.mp4" and "a:b.mp4" are names like others.
    return av.open(
        "file:" + os.path.abspath(name),
        mode="r",
        # PyAV below 17 crashes on options for streams that are found late (flv).
        options=options if PYAV >= 17 else {},
        container_options=dict(_OPTIONS),
        metadata_errors="replace",  # tags in Latin-1 say nothing about the pictures
    )


def _check_file(name: str) -> None:
    file = Path(name)
    try:
        if file.is_dir():
            raise VideoError(f"{name!r} is a folder, expected one video file: name a file inside it.")
        if not file.exists():
            if "://" in name or name.split(":", maxsplit=1)[0] in _PROTOCOLS:
                raise VideoError(
                    f"{name!r} is an address, expected a local video file: download it and name the file."
                )
            raise VideoError(f"{name!r} does not exist, expected a video file: check the path.")
        if not file.is_file():
            raise VideoError(f"{name!r} is not a regular file, expected a video file: name a file on disk.")
        with file.open("rb") as handle:
            head = handle.read(1024)
    except (OSError, ValueError) as error:  # no permission, a name too long, a null byte
        reason = getattr(error, "strerror", None) or error
        raise VideoError(
            f"{name!r} cannot be read ({reason}), expected a video file: check its path and permissions."
        ) from error
    if not head:
        raise VideoError(f"{name!r} is empty (0 bytes), expected a video file: copy or download it again.")
    if is_picture(head):
        raise VideoError(
            f"{name!r} is a picture, or pictures in a picture's format (PNG, WebP), which are not read; expected a "
            f"video: convert it to mp4."
        )
    if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(_PLAYLIST_MARKS) or (
        head.lstrip().startswith(b"<?xml") and b"<MPD" in head
    ):
        raise VideoError(_playlist(name))


def _playlist(name: str) -> str:
    return (
        f"{name!r} is a playlist, list or raw stream, expected one video file with its own times: such files "
        f"may make a reader open other files and are refused; convert it to mp4 first."
    )


def _unreadable(name: str, error: Exception) -> str:
    if is_protected(name):
        return protected(name)
    if getattr(error, "errno", None) == errno.EINVAL:  # what the format whitelist answers
        return _playlist(name)
    detail = str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".")
    log = getattr(error, "log", None)
    if log:
        detail += f"; {str(log[2]).strip()}"
    return (
        f"{name!r} is not a readable video ({detail}), expected a whole file such as mp4, mkv, webm, avi or "
        f"gif: copy or download it again, or convert it to mp4."
    )


def protected(name: str) -> str:
    """The sentence for encrypted pictures."""
    return (
        f"{name!r} is encrypted (copy protection), expected pictures that anyone can decode: export or record it "
        f"without protection."
    )


def picture_stream(name: str, container: av.container.InputContainer, most: int) -> av.VideoStream:
    """The video stream that FFmpeg's command line takes, cover art and stills left out."""
    not_moving = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    moving = [s for s in container.streams.video if not s.disposition & not_moving]
    if not moving:
        extra = " but a cover picture" if container.streams.video else ""
        kinds = sorted({s.type for s in container.streams if s.type != "video"})
        raise VideoError(
            f"{name!r} holds no video stream{extra} ({', '.join(kinds) or 'no stream at all'}), expected "
            f"moving pictures: name a file that has some."
        )
    if is_protected(name):
        raise VideoError(protected(name))
    known = [s for s in moving if s.codec_context is not None]  # None: FFmpeg has no decoder
    if not known:
        codec = stored_codec(name)
        raise VideoError(
            f"{name!r} has pictures in a codec that this FFmpeg does not know{f' ({codec!r})' if codec else ''}, "
            f"expected one such as H.264, HEVC, VP9 or AV1: convert it to mp4."
        )
    chosen = max(known, key=lambda s: _rank(s, known))
    _check_size(name, chosen, most)
    return chosen


def _rank(stream: av.VideoStream, streams: list[av.VideoStream]) -> tuple[bool, int]:
    """Streams with pictures first, then as FFmpeg's command line chooses: by size, a default flag counts 5 million."""
    empty = not stream.frames and any(other.frames for other in streams)
    default = bool(stream.disposition & av.stream.Disposition.default)
    return not empty, stream.width * stream.height + _DEFAULT_COUNTS * default


def _check_size(name: str, stream: av.VideoStream, most: int) -> None:
    size = stream.width, stream.height
    if not all(size):
        size = _size_beyond_limit(name, stream)
    pixels = size[0] * size[1]
    if pixels > most:
        what = f"the pictures of {name!r} have {pixels:,} pixels ({size[0]} x {size[1]})"
        limits().check("picture_pixels", pixels, what, VideoError)
    if not pixels:
        raise VideoError(
            f"{name!r} has a video stream without a picture size of at most {most:,} pixels, expected decodable "
            f"pictures: the file is damaged, its codec ({stream.codec_context.name}) unknown, or its pictures too "
            f"large ({variable('picture_pixels')}); convert it to mp4."
        )


def _size_beyond_limit(name: str, stream: av.VideoStream) -> tuple[int, int]:
    """Picture size by the header where FFmpeg, because of the limit, did not look at the pictures; (0, 0) if none."""
    if stream.codec_context.name in ("png", "apng"):  # FFmpeg decodes one, at full size, to learn about it
        return 0, 0
    try:
        with _open_container(name, {"skip_frame": "all"}) as container:
            found = container.streams[stream.index]
            return (found.width, found.height) if isinstance(found, av.VideoStream) else (0, 0)
    except (av.FFmpegError, OSError, ValueError):
        return 0, 0
