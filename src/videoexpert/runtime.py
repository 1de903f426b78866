"""What the machine gives: installed files, devices, clean workers, and this process's place among several."""

from __future__ import annotations

import multiprocessing
import os
import platform
import queue
import re
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .errors import InputError

if TYPE_CHECKING:
    import torch

T = TypeVar("T")


def shared_folders(name: str) -> list[Path]:
    """Where ``docs`` and ``recipes`` may be: in the source tree, or where the wheel puts them."""
    source = Path(__file__).resolve().parents[2]
    places = [source / name] if (source / "pyproject.toml").is_file() else []
    return [*places, Path(sys.prefix) / "share" / "videoexpert" / name]


def clean_start(*modules: str) -> BaseContext:
    """The context to start workers with: ``forkserver``, or ``spawn`` without it; never a fork of this process.

    A fork copies locks and FFmpeg's contexts but not the threads behind them. Its child waits for those threads as
    soon as it frees such a context, and its parent waits for the child, for ever. ``modules`` are what the
    workers need: the server of the first call imports them once, instead of every worker.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(modules))
    return context


def process_name() -> str:
    """This process on this machine, for claims and locks that others read."""
    return f"{platform.node()}:{os.getpid()}"


_LONGEST_NUMBER = 18  # digits of a process's


def process_runs(name: str) -> bool | None:
    """Whether the process of a ``process_name`` still runs; None for a process of another machine, or of none."""
    machine, _, number = name.rpartition(":")
    if machine != platform.node() or not (number.isascii() and number.isdigit()):
        return None
    if len(number) > _LONGEST_NUMBER:
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except OverflowError:  # no process has such a number
        return False
    except PermissionError:
        pass
    return True


def hardware(device: torch.device) -> dict[str, str]:
    """What measured, in words."""
    import torch

    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    threads = torch.get_num_threads()
    return {
        "hardware": name,
        "platform": f"{platform.machine()}, torch {torch.__version__}, {threads} torch threads",
    }


def pick_device(device: str) -> torch.device:
    """The device of that name; raises InputError when this machine has none."""
    import torch

    if device == "auto":
        if not torch.cuda.is_available():
            return torch.device("cpu")
        local = os.environ.get("LOCAL_RANK", "")  # of several processes on this machine, each has its own GPU
        return (
            torch.device("cuda", int(local) % torch.cuda.device_count())
            if local.isdigit()
            else torch.device("cuda")
        )
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} is not available here; use --device cpu.") from error
    return found


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Where memory runs out inside, an InputError says so and gives the advice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        said = str(error)
        if isinstance(error, MemoryError) or re.search(
            r"out of memory|not enough memory|can't allocate", said
        ):
            size = re.search(r"allocate ([\d.]+ ?\w+)", said)
            tried = f" ({size[1]} were asked for)" if size else ""
            raise InputError(f"there is not enough memory{tried}; {advice}.") from error
        raise


def rank_of_process(environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """(rank, world size) that torchrun or accelerate gave this process; (0, 1) without them.

    Raises InputError for values that make no sense.
    """
    rank, world = environment.get("RANK", "0"), environment.get("WORLD_SIZE", "1")
    if not (rank.isdigit() and world.isdigit() and int(rank) < int(world)):
        raise InputError(f"RANK is {rank!r} and WORLD_SIZE {world!r}, expected 0 <= RANK < WORLD_SIZE.")
    return int(rank), int(world)


def read_ahead(items: Iterator[T], waiting: int, stopped: threading.Event | None = None) -> Iterator[T]:
    """The items, made by a thread while the caller works on earlier ones; at most ``waiting`` of them wait.

    What the thread raises is raised here, in its place. A caller that stops early stops the thread: ``stopped`` is set
    then, for items that wait for something.
    """
    worker = _Ahead(items, max(1, waiting), stopped or threading.Event())
    try:
        yield from worker.made()
    finally:
        worker.stop()


class _Ahead(Generic[T]):
    """A thread that makes items until it is stopped."""

    def __init__(self, items: Iterator[T], waiting: int, stopped: threading.Event) -> None:
        self._items, self._stopped = items, stopped
        self._queue: queue.Queue[tuple[bool, Any]] = queue.Queue(waiting)
        self._thread = threading.Thread(target=self._work, name="read-ahead", daemon=True)
        self._thread.start()

    def made(self) -> Iterator[T]:
        while True:
            more, item = self._queue.get()
            if more:
                yield item
            elif item is None:
                return
            else:
                raise item

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _work(self) -> None:
        last: BaseException | None = None
        try:
            for item in self._items:
                if not self._put((True, item)):
                    return
        except BaseException as error:  # whatever it is, it belongs to the caller
            last = error
        self._put((False, last))

    def _put(self, entry: tuple[bool, Any]) -> bool:
        """False once the caller has stopped."""
        while not self._stopped.is_set():
            try:
                self._queue.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
