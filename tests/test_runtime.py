"""Worker processes start clean."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

from videoexpert.runtime import clean_start

LOADED = "{!r} in __import__('sys').modules"


def test_a_worker_has_nothing_of_this_process(monkeypatch):
    """A fork would: FFmpeg contexts too, without their threads, and hang when it frees one."""
    monkeypatch.setitem(sys.modules, "a_mark", sys)
    with ProcessPoolExecutor(1, mp_context=clean_start("torch")) as pool:
        assert pool.submit(eval, LOADED.format("a_mark")).result() is False


@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="no forkserver here")
def test_workers_share_one_import_of_torch():
    with ProcessPoolExecutor(1, mp_context=clean_start("torch")) as pool:
        assert pool.submit(eval, LOADED.format("torch")).result()


def test_without_forkserver_they_are_spawned(monkeypatch):
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert clean_start("torch").get_start_method() == "spawn"
