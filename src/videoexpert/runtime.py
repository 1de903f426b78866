"""What the machine gives: devices, and workers that start clean."""

from __future__ import annotations

import multiprocessing
import os
import platform
from multiprocessing.context import BaseContext
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    import torch


def clean_start(module: str) -> BaseContext:
    """The context to start workers with: ``forkserver``, or ``spawn`` without it; never a fork of this process.

    A fork copies locks and FFmpeg's contexts but not the threads behind them. Its child waits for those threads as
    soon as it frees such a context, and its parent waits for the child, for ever. ``module`` is what the workers
    need: the server of the first call imports it once, instead of every worker.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([module])
    return context


def process_name() -> str:
    """This process on this machine, for claims and locks that others read."""
    return f"{platform.node()}:{os.getpid()}"


def process_runs(name: str) -> bool | None:
    """Whether the process of a ``process_name`` still runs; None where another machine's, or nobody's, is named."""
    machine, _, number = name.rpartition(":")
    if machine != platform.node() or not number.isdigit():
        return None
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
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
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(1, device=found)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device {device!r} is not available here; use --device cpu.") from error
    return found
