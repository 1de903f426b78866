"""Files in object stores, by address: ``s3://bucket/folder``, ``gs://bucket/talk.mp4``. Through fsspec.

An address is one only where a command says that it takes one, and only with a scheme of SCHEMES: nothing here reads
from the web, whatever a list or a name of a file says.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from ..errors import DependencyError, InputError, VideoError, VideoExpertError, WriteError
from ..limits import limits

# of each scheme the extra that brings its package; memory and file need fsspec alone
SCHEMES = {"s3": "s3", "gs": "gcs", "az": "azure", "file": "remote", "memory": "remote"}
# what the stores call the time of the last change
_CHANGED = ("mtime", "LastModified", "last_modified", "updated", "created")


@dataclass(frozen=True)
class Entry:
    """A file in a store; ``changed`` in nanoseconds since 1970, 0 where the store does not say."""

    address: str
    size: int
    changed: int


def is_address(name: str | os.PathLike[str]) -> bool:
    """Whether a name is an address (``scheme://...``) rather than a path."""
    return isinstance(name, str) and re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", name) is not None


def real_address(address: str) -> str:
    """One spelling for all addresses of one thing. Raises InputError, DependencyError."""
    store, path = _open(address)
    scheme = address.partition("://")[0].lower()
    plain = str(path).rstrip(store.sep)
    return f"{scheme}://{plain if scheme == 'file' else plain.lstrip(store.sep)}"


def listing(address: str) -> list[Entry]:
    """The files below an address, or the one that it names. Raises InputError for nothing, or a store that refuses."""
    store, path = _open(address)
    with _told(address):
        store.invalidate_cache()
        try:
            info = store.info(path)
            found = {path: info} if info["type"] == "file" else dict(_below(store, path, set()))
        except FileNotFoundError:
            raise InputError(f"there is no file or folder {address!r}; check the address.") from None
        base, real = real_address(address), str(path).rstrip(store.sep)
        return [
            Entry(base + str(name)[len(real) :], int(one["size"] or 0), _changed(one))
            for name, one in sorted(found.items())
        ]


def head(entry: Entry, count: int) -> bytes:
    """The first bytes of a file, at most so many; none where it cannot be read."""
    try:
        return size_and_reader(entry.address)[1](0, min(count, entry.size))
    except OSError:
        return b""


def beside(address: str) -> list[Entry]:
    """The files of the folder that a file is in."""
    store, path = _open(address)
    with _told(address):
        parent = address[: -len(str(path).rsplit(store.sep, 1)[-1])]
        infos = store.ls(store._strip_protocol(parent), detail=True)
        files = [one for one in infos if one["type"] == "file"]
        names = [str(one["name"]).rsplit(store.sep, 1)[-1] for one in files]
        return [
            Entry(parent + name, int(one["size"] or 0), _changed(one))
            for name, one in sorted(zip(names, files, strict=True), key=lambda pair: pair[0])
        ]


def _below(store: Any, path: str, seen: set[str]) -> Iterator[tuple[str, Any]]:
    """All files below a path. A disk is walked link by link, no folder twice; a store has no links."""
    if "file" not in _protocols(store):
        yield from store.find(path, detail=True).items()
        return
    seen.add(os.path.realpath(path))
    for one in store.ls(path, detail=True):
        if os.path.isdir(one["name"]):
            if os.path.realpath(one["name"]) not in seen:
                yield from _below(store, one["name"], seen)
        elif one["type"] == "file" and os.path.isfile(one["name"]):
            yield one["name"], one


def size_and_reader(name: str | os.PathLike[str]) -> tuple[int, Callable[[int, int], bytes]]:
    """Bytes of a file, and what reads those from a place to another; of an address only these are fetched.

    Raises OSError.
    """
    if not is_address(name):
        return os.path.getsize(name), lambda start, end: _part(name, start, end)
    address = str(name)
    store, path = _open(address)
    with _told(address):
        size = int(store.info(path)["size"])

    def read(start: int, end: int) -> bytes:
        with _told(address):
            return bytes(store.cat_file(path, start=start, end=end))

    return size, read


def _part(name: str | os.PathLike[str], start: int, end: int) -> bytes:
    with open(name, "rb") as file:
        file.seek(start)
        return file.read(end - start)


@contextmanager
def local(name: str | os.PathLike[str]) -> Iterator[Path]:
    """A file of this machine: a path is itself, an address is fetched whole and gone after the block.

    A copy, not reads here and there: a video is looked at several times, and its times come out as of the file that was
    stored. Errors of the block name the address. Raises VideoError for a file that cannot be fetched or is larger than
    the limit ``remote_bytes``, WriteError where the disk has no room for it.
    """
    if not is_address(name):
        yield Path(name)
        return
    address = str(name)
    store, path = _open(address)
    with tempfile.TemporaryDirectory(prefix="videoexpert-") as folder:
        copy = Path(folder) / f"fetched{os.path.splitext(str(path))[1]}"
        _fetch(store, path, address, copy)
        try:
            yield copy
        except VideoExpertError as error:
            raise type(error)(str(error).replace(str(copy), address)) from error


def _fetch(store: Any, path: str, address: str, copy: Path) -> None:
    try:
        with _told(address):
            size = int(store.info(path)["size"])
            limits().check("remote_bytes", size, f"{address!r} has {size:,} bytes", VideoError)
            if size > shutil.disk_usage(copy.parent).free:
                raise WriteError(
                    f"{address!r} has {size:,} bytes, more than is free in {str(copy.parent.parent)!r}; free some "
                    "space, or set TMPDIR to another place."
                )
            store.get_file(path, str(copy))
    except OSError as error:
        raise VideoError(str(error)) from error
    if copy.stat().st_size != size:
        raise VideoError(f"{address!r} changed while it was read; run the same command again.")


def upload(folder: Path, address: str, last: str) -> None:
    """The files of a folder to an address; ``last`` is taken away first and written last: it says that all is there.

    Raises WriteError.
    """
    store, path = _open(address)
    path = str(path).rstrip(store.sep)
    try:
        store.makedirs(path, exist_ok=True)
        if store.exists(f"{path}/{last}"):
            store.rm_file(f"{path}/{last}")
        for file in sorted(folder.iterdir(), key=lambda file: (file.name == last, file.name)):
            store.put_file(str(file), f"{path}/{file.name}")
    except Exception as error:
        raise WriteError(f"{address!r} cannot be written ({_why(error)}); check its permissions.") from error


def is_free(address: str, mark: str) -> bool:
    """Whether nothing is there, or a folder with the file ``mark``. Raises WriteError for a store that refuses."""
    store, path = _open(address)
    try:
        store.invalidate_cache()
        if not store.exists(path):
            return True
        return bool(store.exists(f"{str(path).rstrip(store.sep)}/{mark}")) or (
            store.isdir(path) and not store.ls(path)
        )
    except Exception as error:
        raise WriteError(f"{address!r} cannot be read ({_why(error)}); check its permissions.") from error


def _open(address: str) -> tuple[Any, str]:
    """The store and the path in it. Raises InputError for another scheme, DependencyError without its package."""
    scheme, _, rest = address.partition("://")
    scheme = scheme.lower()
    if scheme not in SCHEMES or "::" in rest or not rest:
        raise InputError(
            f"{address!r} is not an address of an object store, expected "
            f"{', '.join(f'{known}://' for known in SCHEMES)} and what is there; download it and name the file."
        )
    try:
        import fsspec

        store = fsspec.filesystem(scheme)
    except ImportError as error:
        raise DependencyError(
            f"{scheme}:// needs a package that is not installed ({error}); run "
            f"pip install 'videoexpert[{SCHEMES[scheme]}]'."
        ) from error
    return store, str(store._strip_protocol(f"{scheme}://{rest}"))


@contextmanager
def _told(address: str) -> Iterator[None]:
    """What a store refuses (no permission, no network, no such file) as an OSError with the address."""
    try:
        yield
    except VideoExpertError:
        raise
    except Exception as error:
        raise OSError(f"{address!r} cannot be read ({_why(error)}).") from error


def _why(error: Exception) -> str:
    return " ".join(f"{getattr(error, 'strerror', None) or error or type(error).__name__}".split()).rstrip(
        "."
    )[:200]


def _protocols(store: Any) -> tuple[str, ...]:
    return (store.protocol,) if isinstance(store.protocol, str) else tuple(store.protocol)


def _changed(info: dict[str, Any]) -> int:
    value = next((info[name] for name in _CHANGED if info.get(name) is not None), 0)
    if isinstance(value, str):
        value = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return int((value.timestamp() if isinstance(value, datetime) else value) * 1e9)
