"""Work on files that nobody trusts, in a child process with limits: a decoder that is overrun falls alone."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeVar

from ..errors import VideoError, VideoExpertError
from ..runtime import clean_start

T = TypeVar("T")
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
    """Decodes a video once, as ``run_safely`` does."""
    return run_safely(_look, path, timeout_s=timeout_s, name=name)


def run_safely(
    work: Callable[..., T],
    path: str | os.PathLike[str],
    *arguments: Any,
    timeout_s: float = 600.0,
    name: str | None = None,
    **options: Any,
) -> T:
    """What ``work(path, ...)`` gives, done in a child process that may use MEMORY_BYTES and ``timeout_s`` seconds.

    ``work`` is a function of a module, and what it gives can be pickled; ``name`` stands for the path in sentences.
    Raises VideoError for what the work raises, and for a file that kills the decoder or outlasts the limits.
    """
    shown = name or os.path.basename(os.fspath(path))
    context = clean_start(__name__)
    receiver, sender = context.Pipe(duplex=False)
    told = (work, os.fspath(path), arguments, options, timeout_s, sender)
    child = context.Process(target=_child, args=told, daemon=True)  # type: ignore[attr-defined]
    child.start()
    sender.close()
    try:
        if not receiver.poll(timeout_s):
            raise VideoError(
                f"{shown!r} takes longer than {timeout_s:g} s to decode; cut it, or allow more time."
            )
        done, found = receiver.recv()
    except EOFError:
        raise VideoError(
            f"{shown!r} makes the decoder fail; convert it with another program first."
        ) from None
    finally:
        child.kill()
        child.join()
        receiver.close()
    if not done:
        raise VideoError(str(found).replace(os.fspath(path), shown))
    result: T = found
    return result


def _look(path: str) -> Look:
    from .probe import probe

    info = probe(path)
    return Look(info.duration_s, info.width, info.height, info.frame_count)


def _child(
    work: Callable[..., Any],
    path: str,
    arguments: tuple[Any, ...],
    options: dict[str, Any],
    timeout_s: float,
    sender: Connection,
) -> None:
    """Limits itself, works, and sends whether it is done and what it found, or why it did not."""
    _limit(timeout_s)
    try:
        answer: tuple[bool, Any] = (True, work(path, *arguments, **options))
    except VideoExpertError as error:
        answer = (False, str(error))
    except MemoryError:
        answer = (False, f"{path!r} needs more memory to decode than this server gives a video.")
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
