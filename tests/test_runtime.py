"""Worker processes start clean, and know which of several they are."""

from __future__ import annotations

import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest
import torch

from videoexpert.errors import InputError
from videoexpert.runtime import clean_start, pick_device, rank_of_process

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


@pytest.mark.parametrize(
    ("environment", "expected"),
    [({}, (0, 1)), ({"RANK": "2", "WORLD_SIZE": "4"}, (2, 4)), ({"RANK": "0", "WORLD_SIZE": "1"}, (0, 1))],
)
def test_rank_of_a_process(environment, expected):
    assert rank_of_process(environment) == expected


@pytest.mark.parametrize(
    "environment", [{"RANK": "1"}, {"RANK": "-1", "WORLD_SIZE": "2"}, {"WORLD_SIZE": "0"}]
)
def test_a_rank_that_makes_no_sense(environment):
    with pytest.raises(InputError, match="expected 0 <= RANK < WORLD_SIZE"):
        rank_of_process(environment)


def test_each_process_of_a_machine_takes_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert pick_device("auto") == torch.device("cuda")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert pick_device("auto") == torch.device("cuda", 1)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")


def test_reading_ahead_keeps_order_errors_and_bounds():
    import threading

    from videoexpert.runtime import read_ahead

    made = []

    def items():
        for number in range(100):
            made.append(number)
            yield number

    assert list(read_ahead(items(), 3)) == list(range(100))
    made.clear()
    stream = read_ahead(items(), 3)
    assert [next(stream) for _ in range(2)] == [0, 1]
    stream.close()  # the thread stops too
    assert len(made) <= 7
    assert not any(t.name == "read-ahead" for t in threading.enumerate())

    def broken():
        yield 1
        raise OSError("disk")

    stream = read_ahead(broken(), 2)
    assert next(stream) == 1
    with pytest.raises(OSError, match="disk"):
        next(stream)
