"""A first look at untrusted files, in a child process with limits: an exploited decoder takes down only the child."""

from __future__ import annotations

import os
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from ..errors import VideoError, VideoExpertError
from ..runtime import clean_start

# Address space above what the child has mapped when it begins.
MEMORY_BYTES = 4 * 2**30


@dataclass(frozen=True)
class Look:
    """What a child found: the video decodes from end to end. Seconds and pixels, as in VideoInfo."""

    duration_s: float
    width: int
    height: int
    frame_count: int


def probe_safely(path: str | os.PathLike[str], *, timeout_s: float = 600.0, name: str | None = None) -> Look:
    """Decodes a video once in a child process that may use MEMORY_BYTES and ``timeout_s`` seconds.

    ``name`` replaces the path in sentences. Raises VideoError for a file that gives no frames, and for one that
    kills the decoder or outlasts the limits.
    """
    shown = name or os.path.basename(os.fspath(path))
    context = clean_start(__name__)
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=_look, args=(os.fspath(path), timeout_s, sender), daemon=True)  # type: ignore[attr-defined]
    child.start()
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            raise VideoError(
                f"{shown!r} takes longer than {timeout_s:g} s to decode; cut it, or allow more time."
            )
        kind, found = receiver.recv()
    except EOFError:
        raise VideoError(
            f"{shown!r} makes the decoder fail; convert it with another program first."
        ) from None
    finally:
        child.kill()
        child.join()
        receiver.close()
    if kind == "look":
        return Look(*found)
    raise VideoError(str(found).replace(os.fspath(path), shown))


def _look(path: str, timeout_s: float, sender: Connection) -> None:
    """The child: limits itself, decodes, and sends what it found or the reason for its failure."""
    from .probe import probe

    _limit(timeout_s)
    try:
        info = probe(path)
        answer: tuple[str, Any] = ("look", (info.duration_s, info.width, info.height, info.frame_count))
    except VideoExpertError as error:
        answer = ("error", str(error))
    except MemoryError:
        answer = ("error", f"{path!r} needs more memory to decode than this server gives a video.")
    sender.send(answer)


def _limit(timeout_s: float) -> None:
    """Seconds of processor time and bytes of address space, where the system knows such limits."""
    try:
        import resource
    except ImportError:
        return
    mapped = Path("/proc/self/statm")
    if mapped.exists():
        most = int(mapped.read_text().split()[0]) * resource.getpagesize() + MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    seconds = max(1, int(timeout_s))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
