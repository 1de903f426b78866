"""Folders of videos -> library: every content once, resumable, by as many processes as you like."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..cluster import Cluster, Lost, spread
from ..errors import DataError, VideoError, VideoExpertError, WriteError
from ..features.store import content_hash
from ..files.remote import local
from . import transcripts
from .captions import Told
from .cues import CAPTION, Text, Transcript
from .encoders import LibraryEncoder
from .graph import SENTENCES
from .hearing import Said, hear, listen
from .manifest import File, Manifest
from .scan import Found, scan, under
from .shards import Shard, shard_path, write_shard
from .snapshot import renew_graph


@dataclass(frozen=True)
class Summary:
    """What an indexing run did.

    failed   path -> reason, of videos that are not in the library, and of transcripts whose words are not
    skipped  path -> reason, of files that are not videos
    """

    found: int
    encoded: int
    removed: int
    seconds: float
    failed: dict[str, str]
    skipped: dict[str, str]


def index(
    folders: Sequence[str | os.PathLike[str]],
    library: str | os.PathLike[str],
    encoder: LibraryEncoder,
    *,
    captions: Callable[[Path, Shard], Told] | None = None,
    retry: bool = False,
    cluster: Cluster | None = None,
    make: Callable[[], Tools] | None = None,
    progress: Callable[[int, int, float], None] = lambda done, total, seconds: None,
) -> Summary:
    """Bring a library up to date with folders (or single files): new, changed, moved and removed videos.

    captions   yields (start, end, words) of a video and its shard; transcripts beside it are read in any case
    retry      tries failed videos again
    cluster    encode on a Ray cluster, whose workers ``make`` an encoder equal to this one, and captions
    progress   is called with videos done, failed ones too, videos to do, and seconds of video encoded

    After a kill it resumes. Several processes may index one library: each takes videos that none has taken.
    Raises InputError for a folder that does not exist, WriteError where the library cannot be written.
    """
    spread_over = None if cluster is None or make is None else (cluster, make)
    with closing(Manifest(Path(library), create=True)) as manifest:
        return _index(manifest, folders, Tools(encoder, captions), retry, spread_over, progress)


def build_graph(
    library: str | os.PathLike[str],
    encoder: LibraryEncoder,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any] | None:
    """Build the graph of a library that is too large for exact search, or let it grow (library/graph.py).

    Returns ``rows``, ``breadth`` and ``recall`` of what was built; None where nothing was due. Raises DependencyError
    without usearch, WriteError.
    """
    with closing(Manifest(Path(library))) as manifest:
        number = manifest.encoder(encoder.fields)
        videos = manifest.videos(number)

    def probes() -> np.ndarray:
        return encoder.encode_texts(SENTENCES).numpy()

    return renew_graph(Path(library), number, videos, encoder.width, probes, progress)


def _index(
    manifest: Manifest,
    folders: Sequence[str | os.PathLike[str]],
    tools: Tools,
    retry: bool,
    spread_over: tuple[Cluster, Callable[[], Tools]] | None,
    progress: Callable[[int, int, float], None],
) -> Summary:
    number = manifest.encoder(tools.encoder.fields, add=True)
    there = scan(folders)
    paths, faults = there.videos, there.faults
    removed = _update(manifest, there, folders)
    listen(manifest, there, folders)
    known = manifest.files()
    contents = sorted({known[path].content for path in paths if path in known})
    where: dict[str, list[str]] = {}
    for path in paths:
        if path in known:
            where.setdefault(known[path].content, []).append(path)
    ready = {content for content, owner in manifest.ready() if owner == number}
    left = deque(content for content in contents if content not in ready)
    total, encoded, seconds = len(left), 0, 0.0
    jobs = _claimed(manifest, number, left, where, there.transcripts, retry)
    if spread_over is None:
        ended = _here(manifest, jobs, tools)
    else:
        cluster, make = spread_over
        ended = _there(manifest, jobs, cluster, partial(_worker, make, tools.encoder.fields))
    for done, made in enumerate(ended, 1):
        if made is not None:
            encoded, seconds = encoded + 1, seconds + made.duration
        progress(done, total, seconds)
    known_faults = manifest.faults()
    own = {*paths, *faults, *transcripts.of_videos(known_faults, paths)}
    failed = {path: reason for path, reason in known_faults.items() if path in own}
    return Summary(len(paths), encoded, removed, seconds, failed, there.skipped)


@dataclass(frozen=True)
class Tools:
    """What makes shards and, if anything does, captions."""

    encoder: LibraryEncoder
    captions: Callable[[Path, Shard], Told] | None = None


@dataclass(frozen=True)
class Job:
    """One claimed video: the files that hold it, the transcripts beside them, and where its shard goes."""

    content: str
    encoder: int
    paths: tuple[str, ...]
    transcripts: tuple[Transcript, ...]
    target: Path


@dataclass(frozen=True)
class Made:
    """What the manifest records of a video whose shard is written, and what is said in it."""

    duration: float
    frames: int
    bytes: int
    texts: tuple[Text, ...]
    said: Said


def encode(job: Job, tools: Tools) -> Made:
    """A video's shard, on the disk, and its words. Raises VideoError, DataError, WriteError.

    A transcript that cannot be read costs its own words and no more.
    """
    with local(job.paths[0]) as path:
        shard = tools.encoder.encode(path)
        said = hear(job.content, job.transcripts)
        texts = list(said.texts)
        if tools.captions is not None:
            texts += [Text(job.content, CAPTION, *cue) for cue in tools.captions(path, shard)]
    size = write_shard(job.target, shard)
    return Made(shard.duration, len(shard.embeddings), size, tuple(texts), said)


def _claimed(
    manifest: Manifest,
    number: int,
    left: deque[str],
    where: dict[str, list[str]],
    heard: dict[str, list[Transcript]],
    retry: bool,
) -> Iterator[Job]:
    """Videos that no other process has taken, each taken when it is requested."""
    while (content := manifest.claim(number, left, retry=retry)) is not None:
        paths = tuple(where[content])
        said = tuple(file for path in paths for file in heard.get(path, ()))
        yield Job(content, number, paths, said, shard_path(manifest.folder, content, number))


def _here(manifest: Manifest, jobs: Iterator[Job], tools: Tools) -> Iterator[Made | None]:
    """Encode in this process. A video that fails is a row with the reason, and None."""
    for job in jobs:
        try:
            made = encode(job, tools)
            _finish(manifest, job, made)
            yield made
        except (VideoError, DataError) as error:
            manifest.fail(job.encoder, job.content, str(error))
            yield None
        except BaseException as error:
            # a full disk, a missing package, Ctrl-C: nothing that the video is to blame for
            with suppress(WriteError):
                manifest.release(job.encoder, job.content)
            if isinstance(error, VideoExpertError) or not isinstance(error, Exception):
                raise
            manifest.fail(job.encoder, job.content, f"{type(error).__name__}: {' '.join(str(error).split())}")
            yield None


def _there(
    manifest: Manifest, jobs: Iterator[Job], cluster: Cluster, make: Callable[[], Callable[[Job], Made]]
) -> Iterator[Made | None]:
    """Encode on a cluster, whose workers write the shards; this process alone writes the manifest."""
    taken: dict[str, Job] = {}

    def noted() -> Iterator[Job]:
        for job in jobs:
            taken[job.content] = job
            yield job

    try:
        for job, made in spread(cluster, make, noted()):
            del taken[job.content]
            if isinstance(made, Lost):
                manifest.fail(job.encoder, job.content, made.reason)
                yield None
            else:
                _finish(manifest, job, made)
                yield made
    finally:
        with suppress(WriteError):
            for job in taken.values():
                manifest.release(job.encoder, job.content)


def _worker(make: Callable[[], Tools], fields: dict[str, Any]) -> Callable[[Job], Made]:
    """What a worker of a cluster does. Raises DataError where it would make other shards than its driver."""
    tools = make()
    if tools.encoder.fields != fields:
        raise DataError(
            "a worker of the cluster has another model or version than this process; install the same on all."
        )
    return partial(encode, tools=tools)


def _finish(manifest: Manifest, job: Job, made: Made) -> None:
    manifest.put_faults(made.said.faults, [file.path for file in made.said.read])
    manifest.finish(
        job.encoder, job.content, made.duration, made.frames, made.bytes, made.texts, made.said.read
    )


def _update(manifest: Manifest, there: Found, folders: Sequence[str | os.PathLike[str]]) -> int:
    """Paths and contents as they are now. Returns how many paths no longer exist."""
    known, changed, missing = manifest.files(), [], dict(there.faults)
    for path in there.videos:
        try:
            size, mtime_ns = there.stamps.get(path) or _stamp(path)
            old = known.get(path)
            if old is None or (old.size, old.mtime_ns) != (size, mtime_ns):
                changed.append(File(path, content_hash(path), size, mtime_ns))
        except OSError as error:
            missing[path] = f"the file cannot be read ({error.strerror})." if error.strerror else str(error)
    below, found = under(folders), set(there.videos)
    manifest.put_faults(missing, [path for path in (*found, *filter(below, manifest.faults()))])
    manifest.put_files(changed)
    # what could not be listed may still be there
    lost = under(there.faults)
    gone = [path for path in known if path not in found and below(path) and not lost(path)]
    manifest.forget_files(gone)
    return len(gone)


def _stamp(path: str) -> tuple[int, int]:
    stat = os.stat(path)
    return stat.st_size, stat.st_mtime_ns
