"""One run a folder: a lock that names the process and the machine that hold it."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .errors import InputError, ResumeWarning
from .files import loads
from .files.write import beside, writing
from .runtime import process_name, process_runs

LOCK = ".lock"
_TRIES = 5


@contextmanager
def held(folder: Path, name: str = LOCK) -> Iterator[None]:
    """The folder is this process's own while the block runs; with a ``name``, the part of it that the lock stands for.

    Raises InputError if a running process holds it, or one of another machine, whose state is unknown here.
    The lock of a process that ended without giving it back is taken over, with a ResumeWarning.
    """
    lock = folder / name
    _take(lock)
    try:
        yield
    finally:
        with suppress(OSError):
            lock.unlink()


def _take(lock: Path) -> None:
    for _ in range(_TRIES):
        if _create(lock):
            return
        holder = _holder(lock)
        if holder is None:
            continue  # it was given back meanwhile
        name = str(holder.get("process", ""))
        runs = _still_runs(holder)
        if runs is None:
            machine, _, number = name.rpartition(":")
            raise InputError(
                f"{lock.parent} is in use by process {number} on {machine}, which this machine cannot ask: wait for "
                f"it, or delete {lock} if it runs no more."
            )
        if runs:
            raise InputError(
                f"{lock.parent} is in use by process {name.rpartition(':')[2]} on this machine: wait for it, or choose "
                "another folder."
            )
        # one of several that see a stale lock moves it away; the others find none
        with beside(lock) as aside, suppress(FileNotFoundError):
            os.rename(lock, aside)
            warnings.warn(
                f"{lock.parent} was locked by process {name.rpartition(':')[2] or '(unknown)'}, which ended without "
                "giving it back; its work goes on here.",
                ResumeWarning,
                stacklevel=4,
            )
    raise InputError(
        f"{lock} could not be taken: other runs of this folder come and go; choose another folder."
    )


def _create(lock: Path) -> bool:
    """Makes the lock, whole with its content, unless there is one. Raises WriteError."""
    text = json.dumps({"process": process_name(), "began": time.time(), "birth": _birth(os.getpid())}) + "\n"
    with writing(lock), beside(lock) as part:
        try:
            part.write_text(text, encoding="utf-8")
            os.link(part, lock)
        except FileExistsError:
            return False
        except (PermissionError, NotImplementedError, AttributeError):  # no links on this file system
            try:
                with lock.open("x", encoding="utf-8") as file:
                    file.write(text)
            except FileExistsError:
                return False
    return True


def _holder(lock: Path) -> dict[str, Any] | None:
    """The lock's content; {} if it is empty (a full disk, a kill), None if it no longer exists."""
    try:
        found = loads(lock.read_text(encoding="utf-8", errors="replace"))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    except OSError as error:
        raise InputError(
            f"{lock} cannot be read ({error.strerror}), so that nobody knows whether {lock.parent} is in use: delete "
            f"{lock} if no run of this folder is left."
        ) from error
    return found if isinstance(found, dict) else {}


def _still_runs(holder: dict[str, Any]) -> bool | None:
    """Whether the holder runs; None where it is another machine's."""
    name = str(holder.get("process", ""))
    if not name:
        return False
    runs = process_runs(name)
    if runs and holder.get("birth") is not None:
        # the number may be another process's by now
        return bool(_birth(int(name.rpartition(":")[2])) == holder["birth"])
    return runs


def _birth(process: int) -> str | None:
    """When a process began, in ticks since the machine did; None if the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return f"{boot}:{fields[19]}"


__all__ = ["LOCK", "held"]
