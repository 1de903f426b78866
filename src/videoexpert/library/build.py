"""Folders of videos -> library: every content once, resumable, by as many processes as you like."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..annotations.videos import is_video
from ..errors import DataError, InputError, VideoError, VideoExpertError, WriteError
from ..features.store import content_hash
from . import transcripts
from .captions import Told
from .encoders import LibraryEncoder
from .manifest import File, Manifest, Text, real_path
from .shards import Shard, shard_path, write_shard


@dataclass(frozen=True)
class Summary:
    """What an indexing run did; ``failed`` path -> reason, of everything that is not in the library."""

    found: int
    encoded: int
    removed: int
    seconds: float
    failed: dict[str, str]


def index(
    folders: Sequence[str | os.PathLike[str]],
    library: str | os.PathLike[str],
    encoder: LibraryEncoder,
    *,
    captions: Callable[[Path, Shard], Told] | None = None,
    retry: bool = False,
    progress: Callable[[int, int, float], None] = lambda done, total, seconds: None,
) -> Summary:
    """Bring a library up to date with folders (or single files): new, changed, moved and removed videos.

    ``captions`` tells (start, end, words) of a video and its shard; transcripts beside it are read in any case.
    ``retry`` tries failed videos again. ``progress`` is called with videos done, videos to do, and seconds of video
    done. Killed, it continues where it stopped. Several processes may index one library: each takes what nobody has
    taken.

    Raises InputError for a folder that does not exist, WriteError where the library cannot be written.
    """
    manifest = Manifest(Path(library), create=True)
    number = manifest.encoder(encoder.fields, add=True)
    paths, faults = scan(folders)
    removed = _update(manifest, paths, faults, folders)
    known = manifest.files()
    contents = sorted({known[path].content for path in paths if path in known})
    where = {known[path].content: path for path in reversed(paths) if path in known}
    ready = {content for content, owner in manifest.ready() if owner == number}
    left = [content for content in contents if content not in ready]
    done, seconds = 0, 0.0
    while (content := manifest.claim(number, left, retry=retry)) is not None:
        seconds += _encode(manifest, number, encoder, content, Path(where[content]), captions)
        left.remove(content)
        done += 1
        progress(done, len(contents) - len(ready), seconds)
    own = set(paths) | set(faults)
    failed = {path: reason for path, reason in manifest.faults().items() if path in own}
    manifest.close()
    return Summary(len(paths), done, removed, seconds, failed)


def scan(folders: Sequence[str | os.PathLike[str]]) -> tuple[list[str], dict[str, str]]:
    """Real paths of all videos under folders, each once and in order, and what could not be looked at.

    Links are followed, but no folder twice. Raises InputError for a name that does not exist.
    """
    found: dict[str, None] = {}
    faults: dict[str, str] = {}
    seen: set[str] = set()
    for folder in folders:
        if os.path.isfile(folder):
            found[real_path(folder)] = None
        elif os.path.isdir(folder):
            for file in _walk(real_path(folder), seen, faults):
                found[file] = None
        else:
            raise InputError(f"there is no file or folder {os.fspath(folder)!r} to index.")
    return sorted(found), faults


def _walk(folder: str, seen: set[str], faults: dict[str, str]) -> Iterator[str]:
    if folder in seen:
        return
    seen.add(folder)
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        faults[folder] = f"the folder cannot be read ({error.strerror})."
        return
    for entry in entries:
        target = real_path(entry.path)
        if entry.name.startswith("."):
            continue
        if os.path.isdir(target):
            yield from _walk(target, seen, faults)
        elif is_video(Path(target)):
            yield target


def _update(
    manifest: Manifest,
    paths: Sequence[str],
    faults: dict[str, str],
    folders: Sequence[str | os.PathLike[str]],
) -> int:
    """Paths and contents as they are now. Returns how many paths are no more."""
    known, changed, missing = manifest.files(), [], dict(faults)
    for path in paths:
        try:
            stat = os.stat(path)
            old = known.get(path)
            if old is None or (old.size, old.mtime_ns) != (stat.st_size, stat.st_mtime_ns):
                changed.append(File(path, content_hash(path), stat.st_size, stat.st_mtime_ns))
        except OSError as error:
            missing[path] = f"the file cannot be read ({error.strerror})."
    manifest.put_faults(missing, [path for path in paths if path not in missing])
    manifest.put_files(changed)
    roots = [real_path(folder) for folder in folders]
    gone = [
        path
        for path in known
        if path not in set(paths) and any(path == root or path.startswith(root + os.sep) for root in roots)
    ]
    manifest.forget_files(gone)
    return len(gone)


def _encode(
    manifest: Manifest,
    number: int,
    encoder: LibraryEncoder,
    content: str,
    path: Path,
    captions: Callable[[Path, Shard], Told] | None,
) -> float:
    """One claimed video: its shard, then its row. Returns its seconds; a video that fails is a row with the reason."""
    try:
        shard = encoder.encode(path)
        texts = [
            Text(content, "transcript", *cue)
            for file in transcripts.beside(path)
            for cue in transcripts.read(file)
        ]
        if captions is not None:
            texts += [Text(content, "caption", *cue) for cue in captions(path, shard)]
        size = write_shard(shard_path(manifest.folder, content, number), shard)
        manifest.finish(number, content, shard.duration, len(shard.embeddings), size, texts)
    except (VideoError, DataError) as error:
        manifest.fail(number, content, str(error))
        return 0.0
    except BaseException as error:
        # a full disk, a missing package, Ctrl-C: nothing that the video is to blame for
        with suppress(WriteError):
            manifest.release(number, content)
        if isinstance(error, VideoExpertError) or not isinstance(error, Exception):
            raise
        manifest.fail(number, content, f"{type(error).__name__}: {' '.join(str(error).split())}")
        return 0.0
    return shard.duration
