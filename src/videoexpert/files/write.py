"""A file or folder written whole or not at all.

``whole_file`` and ``whole_folder`` give a place beside the target to fill. When the block ends well, its bytes are on
the disk and then take the target's name; otherwise they are removed and the target stays as it was.
"""

from __future__ import annotations

import errno
import hashlib
import itertools
import json
import math
import os
import platform
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..errors import VideoExpertError, WriteError

# Unfinished files and folders are called .NAME.MACHINE.PROCESS-NUMBER.part, so that parallel writers keep apart
# and what a killed process left can be told from what a running one still writes. A folder that is just being
# replaced ends in .old.
_UNFINISHED = re.compile(
    r"\.(?P<name>.+)\.(?P<machine>[\w-]+)\.(?P<process>\d+)-\d+\.(?P<state>part|old)", re.DOTALL
)
_MACHINE = re.sub(r"[^\w-]", "-", platform.node())[:32] or "here"
_NUMBERS = itertools.count()
_open: set[Path] = set()
_swept: dict[Path, float] = {}
_SWEEP_EVERY_S = 5.0  # a folder of a hundred thousand videos is not listed at every write
_LONGEST_NAME = 120  # bytes of the target's name that the unfinished one repeats; file systems end at 255

_CAUSES = {
    errno.ENOSPC: "no space is left on the disk; free some, or choose another place",
    errno.EDQUOT: "the disk quota is used up; free some space, or choose another place",
    errno.EACCES: "permission is denied; choose a folder that you may write to",
    errno.EPERM: "permission is denied; choose a folder that you may write to",
    errno.EROFS: "the file system is read-only; choose another place",
    errno.EIO: "the disk reports an input/output error; check it, or choose another place",
    errno.EFBIG: "it outgrows what the file system or this process may write; choose another place",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.ENOTDIR: "a file is in the way where a folder is expected; choose another place",
    errno.EEXIST: "a file is in the way where a folder is expected; choose another place",
    errno.EISDIR: "a folder has that name; choose another name",
}


@contextmanager
def whole_file(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A path to write a file to; it becomes ``target`` if the block succeeds, and is removed otherwise.

    Missing folders are made, a symbolic link keeps its place, an existing file its access rights. A target that
    is not a regular file (``/dev/stdout``, a pipe) is written to in the end.
    Raises WriteError where the place or the disk does not allow it; the block should do nothing but write.
    """
    if os.path.exists(target) and not os.path.isfile(target) and not os.path.isdir(target):
        with _copied_into(Path(target)) as part:
            yield part
        return
    path = Path(os.path.realpath(target))
    with _writing(path, target), beside(path) as part:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        part.touch()
        # libraries that write for their owner alone (safetensors) get the rights of any other file here
        rights = (path if path.exists() else part).stat().st_mode & 0o777
        yield part
        part.chmod(rights)
        _to_disk(part)
        os.replace(part, path)
        _to_disk(path.parent)


@contextmanager
def whole_folder(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A folder to fill; it replaces ``target`` if the block succeeds, and is removed otherwise.

    The old folder is removed only once the new one is complete. Its files get the access rights of new files here.
    Raises WriteError like ``whole_file``.
    """
    path = Path(os.path.realpath(target))
    with _writing(path, target), beside(path) as part:
        part.mkdir()
        yield part
        _take_place(part, path)


def publish(part: Path, target: Path) -> None:
    """Give a folder that several processes filled its name, like the end of ``whole_folder``. Raises WriteError."""
    with _writing(target, target):
        _take_place(part, target)


def _take_place(part: Path, path: Path) -> None:
    """``part`` in place of ``path``: its bytes reach the disk first, and the old folder goes last."""
    rights = part.stat().st_mode & 0o666
    for found in part.rglob("*"):
        if found.is_file() and not found.is_symlink():
            found.chmod(rights)
            _to_disk(found)
    _to_disk(part)
    with beside(path, "old") as old:
        if path.exists():
            path.rename(old)
        try:
            part.rename(path)
        except OSError:
            if old.exists():
                old.rename(path)
            raise
    _to_disk(path.parent)


def write_bytes(target: str | os.PathLike[str], data: bytes) -> None:
    """``data`` as a file, whole or not at all. Raises WriteError."""
    with whole_file(target) as part:
        part.write_bytes(data)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """``text`` in UTF-8, line ends as they are; what UTF-8 cannot hold (half a surrogate pair) is escaped."""
    write_bytes(target, text.encode("utf-8", "backslashreplace"))


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """``value`` as indented JSON. Raises WriteError."""
    write_text(target, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def is_unfinished(name: str) -> bool:
    """Whether a file or folder of that name is one that ``whole_file`` or ``whole_folder`` did not finish."""
    return _UNFINISHED.fullmatch(name) is not None


@contextmanager
def writing(target: str | os.PathLike[str]) -> Iterator[None]:
    """What the system refuses inside becomes a WriteError: one sentence about ``target``. Missing folders are made."""
    with _writing(Path(target), target):
        yield


@contextmanager
def _writing(path: Path, target: str | os.PathLike[str]) -> Iterator[None]:
    """What the system refuses inside becomes a WriteError: one sentence about ``target``."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield
    except VideoExpertError:
        raise
    except UnicodeEncodeError as error:  # of a library that writes to names in UTF-8 alone
        raise WriteError(
            f"{os.fspath(target)} cannot be written: its name is not UTF-8; choose another."
        ) from error
    except Exception as error:
        code = _error_number(error)
        if code is None and not isinstance(error, OSError):
            raise
        cause = _CAUSES.get(code or 0, f"{str(error) or type(error).__name__}; choose another place")
        raise WriteError(f"{os.fspath(target)} cannot be written: {cause}.") from error


def make_folder(folder: str | os.PathLike[str]) -> None:
    """The folder, with those above it, unless it is there. Raises WriteError, also where a file has its name."""
    with writing(folder):
        Path(folder).mkdir(exist_ok=True)


def _error_number(error: Exception) -> int | None:
    """The system's number of an error; safetensors, which is not Python's, names it in its message."""
    if isinstance(error, OSError):
        return error.errno
    if "inline_container.cc" in str(error):  # how torch says that it could not write all of a file
        return errno.ENOSPC
    named = re.search(r"\(os error (\d+)\)", str(error))
    return int(named[1]) if named else None


@contextmanager
def beside(path: Path, state: str = "part") -> Iterator[Path]:
    """A free name in the folder of ``path``, cleared afterwards; clears what killed processes left."""
    if time.monotonic() - _swept.get(path.parent, -math.inf) > _SWEEP_EVERY_S:
        _swept[path.parent] = time.monotonic()
        _sweep(path.parent)
    name = path.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()[:32]
    part = path.with_name(f".{name}.{_MACHINE}.{os.getpid()}-{next(_NUMBERS)}.{state}")
    _open.add(part)
    try:
        yield part
    finally:
        _remove(part)
        _open.discard(part)


def _sweep(folder: Path) -> None:
    """Remove what processes of this machine that run no more left unfinished; a folder they moved comes back."""
    for entry in sorted(folder.iterdir()):
        found = _UNFINISHED.fullmatch(entry.name)
        if not found or found["machine"] != _MACHINE or _still_writes(entry, int(found["process"])):
            continue
        if found["state"] == "old" and not (folder / found["name"]).exists():
            entry.rename(folder / found["name"])
        else:
            _remove(entry)


def _still_writes(part: Path, process: int) -> bool:
    if process == os.getpid():
        return part in _open
    if os.name == "nt":  # there, asking with signal 0 would end the process
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _remove(part: Path) -> None:
    if part.is_dir() and not part.is_symlink():
        shutil.rmtree(part, ignore_errors=True)
    else:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def _copied_into(special: Path) -> Iterator[Path]:
    """A temporary file whose bytes end up in a device or pipe."""
    with tempfile.TemporaryDirectory() as scratch, _writing(special, special):
        part = Path(scratch) / "part"
        part.touch()
        yield part
        with part.open("rb") as source, special.open("wb") as sink:
            shutil.copyfileobj(source, sink)


def _to_disk(path: Path) -> None:
    """Wait until the bytes of a file, or the names in a folder, would survive a power cut."""
    folder = path.is_dir()
    if folder and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if folder else os.O_RDWR)
    try:
        os.fsync(handle)
    except OSError:
        if not folder:  # some network drives refuse it for folders
            raise
    finally:
        os.close(handle)
