"""Clips encoded by the workers of a Ray cluster; the process that asked writes the store, so its bytes are its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from ..cluster import Cluster, Lost, spread
from ..errors import DataError, VideoError
from .clips import Clip
from .encode import Encoded, FailedClip, TokenEncoder, encode_videos, videos_a_pass
from .store import EncoderId

Pass = tuple[int, Sequence[Clip]]  # number and clips of one pass of the encoder


def encode_on(
    cluster: Cluster, encoder: TokenEncoder, make: Callable[[], TokenEncoder], batch_size: int
) -> Callable[[Sequence[Clip]], Iterator[Encoded | FailedClip]]:
    """``encode_videos`` on a cluster, in the order of the clips: the passes, and so the bits, of one process.

    ``make`` gives a worker the encoder. A clip whose worker dies is encoded by another one.
    """
    each = videos_a_pass(encoder.config, batch_size)
    work = partial(_worker, make, encoder.id, batch_size)

    def encode(clips: Sequence[Clip]) -> Iterator[Encoded | FailedClip]:
        passes = [(i, clips[first : first + each]) for i, first in enumerate(range(0, len(clips), each))]
        waiting: dict[int, list[Encoded | FailedClip]] = {}
        due = 0
        for (number, own), made in spread(cluster, work, passes):
            lost = [FailedClip(clip, made.reason) for clip in own] if isinstance(made, Lost) else made
            waiting[number] = list(lost)
            while due in waiting:
                yield from waiting.pop(due)
                due += 1

    return encode


def _worker(
    make: Callable[[], TokenEncoder], wanted: EncoderId, batch_size: int
) -> Callable[[Pass], list[Encoded | FailedClip]]:
    """What a worker does. Raises DataError where it would make other tokens than its driver."""
    encoder = make()
    if encoder.id.digest != wanted.digest:
        raise DataError(
            "a worker of the cluster has another model or version than this process; install the same on all."
        )

    def encode(task: Pass) -> list[Encoded | FailedClip]:
        found = list(encode_videos(task[1], encoder, batch_size=batch_size))
        if len(found) == 1 and isinstance(found[0], FailedClip):
            # tried again: another machine may see the file
            raise VideoError(found[0].reason)
        return found

    return encode
