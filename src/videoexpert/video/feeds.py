"""Where the bytes of a video that is still coming in are read from: a growing file, a pipe, an address."""

from __future__ import annotations

import os
import re
import select
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av

from ..errors import InputError, VideoError
from ..limits import limits
from .colour import PYAV
from .container import FORMATS, OpenFile, backstop, picture_stream

STDIN = "-"
POLL_S = 0.05  # between two looks for more bytes
NETWORK_S = 10.0  # longest silence of an address
_PROTOCOLS = {
    "http": "http,tcp",
    "https": "https,http,tls,tcp",
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tls,tcp",
}

Feed = str | os.PathLike[str] | BinaryIO


def scheme_of(feed: Feed) -> str | None:
    """The scheme of an address; None for anything else. Raises InputError for one that is not read."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", feed) if isinstance(feed, str) else None
    if found is None:
        return None
    scheme = found[1].lower()
    if scheme not in _PROTOCOLS:
        raise InputError(
            f"{name_of(feed)!r} is an address of the kind {scheme}, expected one of {', '.join(_PROTOCOLS)}, a file "
            "or a pipe."
        )
    return scheme


def name_of(feed: Feed) -> str:
    """What a feed is called where people read it: without the password of an address."""
    if isinstance(feed, (str, os.PathLike)):
        return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", r"\1@", os.fsdecode(feed))
    return str(getattr(feed, "name", "the pipe"))


def check_feed(feed: Feed, network: bool) -> None:
    """Raises InputError for an address without ``network``, VideoError for a file that is not there."""
    if scheme_of(feed) is not None:
        if not network:
            raise InputError(
                f"{name_of(feed)!r} is an address, and nothing is read from the network unasked: pass network=True "
                "(--allow-network) to watch it."
            )
    elif isinstance(feed, (str, os.PathLike)) and os.fspath(feed) != STDIN:
        name = os.fsdecode(feed)
        if not os.path.exists(name):
            raise VideoError(f"{name!r} does not exist, expected a video file or a pipe: check the path.")
        if os.path.isdir(name):
            raise VideoError(f"{name!r} is a folder, expected one video file: name a file inside it.")


@contextmanager
def open_feed(
    feed: Feed, *, idle_s: float, ended: Callable[[], bool], stopped: threading.Event
) -> Iterator[OpenFile]:
    """Opens a feed for reading once, from its beginning; waits for its first bytes.

    ``idle_s``: a file that has not grown for this long is finished, as is one for which ``ended`` says so. ``stopped``
    ends the wait at any time. Formats are those of files; no playlist is followed, no redirect, and what a video
    names inside is never opened.

    Raises VideoError for what is not a readable video, or holds no pictures.
    """
    name, scheme = name_of(feed), scheme_of(feed)
    most = limits().picture_pixels
    opened: Any = None
    try:
        if scheme is None:
            opened = _reader(feed, idle_s, ended, stopped)
            container = _open(opened, {"format_whitelist": FORMATS, "protocol_whitelist": "none"})
        else:
            container = _open(feed, _network_options(scheme), timeout=(NETWORK_S, NETWORK_S))
    except (av.FFmpegError, OSError, ValueError, UnicodeError) as error:
        detail = str(getattr(error, "strerror", None) or error).splitlines()[0].rstrip(".")
        raise VideoError(
            f"{name!r} cannot be watched ({detail}), expected a video that can be read from its beginning while it "
            "is written: mpegts, mkv, webm, or mp4 in fragments."
        ) from error
    try:
        with container:
            stream = picture_stream(name, container, most)
            # one packet at a time: threads would hold pictures back, and hide where damage is
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            stream.codec_context.options = _most_pixels()
            yield OpenFile(name, container, stream, stream.width, stream.height, reduce=True)
    finally:
        if isinstance(opened, GrowingFile):
            opened.close()


def _open(file: Any, options: dict[str, str], **more: Any) -> av.container.InputContainer:
    return av.open(
        file,
        mode="r",
        options=_most_pixels() if PYAV >= 17 else {},
        container_options=options,
        metadata_errors="replace",
        **more,
    )


def _most_pixels() -> dict[str, str]:
    """FFmpeg's own limit, as of files."""
    return {"max_pixels": str(backstop(limits().picture_pixels))}


def _network_options(scheme: str) -> dict[str, str]:
    options = {"protocol_whitelist": _PROTOCOLS[scheme]}
    if scheme.startswith("rtsp"):
        return options | {"format_whitelist": "rtsp,mpegts", "rtsp_transport": "tcp"}
    return options | {"format_whitelist": FORMATS, "max_redirects": "0"}


def _reader(feed: Feed, idle_s: float, ended: Callable[[], bool], stopped: threading.Event) -> Any:
    if not isinstance(feed, (str, os.PathLike)):
        return Pipe(feed, stopped)
    if os.fspath(feed) == STDIN:
        return Pipe(sys.stdin.buffer, stopped)
    if stat.S_ISREG(os.stat(feed).st_mode):
        return GrowingFile(os.fspath(feed), idle_s, ended, stopped)
    return Pipe(open(feed, "rb", buffering=0), stopped)  # read for as long as it gives


class GrowingFile:
    """A file that is being written, read from its beginning: at its end, reading waits for more."""

    def __init__(self, name: str, idle_s: float, ended: Callable[[], bool], stopped: threading.Event) -> None:
        self.name, self.idle_s, self.ended, self.stopped = name, idle_s, ended, stopped
        self._file = open(name, "rb")  # noqa: SIM115  # closed by close()
        self._over = False

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none only at the end of a file that is finished."""
        waits_since = time.monotonic()
        while not self.stopped.is_set():
            over = self._over or time.monotonic() - waits_since > self.idle_s
            data = self._file.read(size)
            if data or over:
                return data
            # what was written before it ended is read in the next turn
            self._over = self.ended()
            if not self._over:
                self.stopped.wait(POLL_S)
        return b""

    def close(self) -> None:
        """Done with it."""
        self._file.close()


class Pipe:
    """Bytes that come when they come; waiting for them can be stopped where the system lets it."""

    def __init__(self, file: BinaryIO, stopped: threading.Event) -> None:
        self.file, self.stopped = file, stopped
        self.name = str(getattr(file, "name", "the pipe"))
        try:
            self._number: int | None = file.fileno() if os.name == "posix" else None
        except (OSError, AttributeError):  # bytes in memory
            self._number = None

    def read(self, size: int) -> bytes:
        """Up to ``size`` bytes; none at the end."""
        while not self.stopped.is_set():
            if self._number is None:
                return self.file.read(size)
            if select.select([self._number], [], [], POLL_S)[0]:
                return os.read(self._number, size)
        return b""
