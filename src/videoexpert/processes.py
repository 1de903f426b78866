"""Where this package's worker processes start from."""

from __future__ import annotations

import multiprocessing
from multiprocessing.context import BaseContext


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
