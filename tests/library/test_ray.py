"""Indexing on a Ray cluster of two workers: the library of one process, whatever dies."""

from __future__ import annotations

import os
import signal
from functools import partial
from pathlib import Path

import pytest

from library.conftest import Colours, write
from library.test_build import environment, paths, shards
from videoexpert.cluster import Cluster
from videoexpert.errors import DataError, WriteError
from videoexpert.library import care
from videoexpert.library.build import Tools, index
from videoexpert.library.manifest import Manifest

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def two_workers():
    """One cluster for all of these tests: a start takes seconds."""
    import ray

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    place = {"env_vars": {"PYTHONPATH": environment()["PYTHONPATH"]}}
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR",
             object_store_memory=100 * 2**20, runtime_env=place)  # fmt: skip
    yield
    ray.shutdown()


class Dying(Colours):
    """Its worker is killed in the middle of one video, the first time: ``mark`` remembers; without it, always."""

    def __init__(self, mark: Path | None) -> None:
        super().__init__()
        self.mark = mark

    def encode(self, path):
        if "more2" in str(path) and not (self.mark and self.mark.exists()):
            if self.mark:
                self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(path)


class Full(Colours):
    """The disk is full."""

    def encode(self, path):
        raise WriteError("no space is left on the disk; free some.")


def plain() -> Tools:
    return Tools(Colours())


def other() -> Tools:
    return Tools(Colours("another"))


def dying(mark: Path | None) -> Tools:
    return Tools(Dying(mark))


def full() -> Tools:
    return Tools(Full())


@pytest.fixture
def more(videos):
    for i in range(6):
        write(videos / f"more{i}.mp4", ["red", "blue"], part_s=0.5 + i / 4)
    return videos


def test_two_workers_make_the_library_of_one_process(more, tmp_path):
    (more / "unlucky.mp4").write_bytes((more / "red.mp4").read_bytes() + b"\0")
    (more / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red door\n")
    index([more], tmp_path / "one", Colours())
    heard = []
    done = index(
        [more], tmp_path / "two", Colours(), cluster=Cluster(workers=2), make=plain,
        progress=lambda *told: heard.append(told),
    )  # fmt: skip
    assert (done.encoded, list(done.failed.values())) == (9, ["this one cannot be decoded."])
    assert shards(tmp_path / "two") == shards(tmp_path / "one")
    assert paths(tmp_path / "two") == paths(tmp_path / "one")
    assert heard[-1][:2] == (10, 10)
    assert (
        heard[-1][2] == pytest.approx(done.seconds) == pytest.approx(care.info(tmp_path / "one").hours * 3600)
    )
    assert care.verify(tmp_path / "two") == []


def test_workers_fetch_addresses_themselves(more, tmp_path):
    (more / "red.srt").write_text("1\n00:00:01,000 --> 00:00:02,500\nthe red door\n")
    index([more], tmp_path / "one", Colours())
    done = index([f"file://{more}"], tmp_path / "two", Colours(), cluster=Cluster(workers=2), make=plain)
    assert (done.encoded, done.failed) == (9, {})
    assert shards(tmp_path / "two") == shards(tmp_path / "one")
    assert paths(tmp_path / "two")["red.mp4"] == (f"file://{more}/red.mp4",)
    assert len(Manifest(tmp_path / "two").search_texts("door")) == 1


def test_a_worker_that_is_killed_costs_one_video_that_is_done_again(more, tmp_path):
    index([more], tmp_path / "one", Colours())
    mark = tmp_path / "killed"
    done = index([more], tmp_path / "two", Colours(), cluster=Cluster(workers=2), make=partial(dying, mark))
    assert mark.exists()
    assert (done.encoded, done.failed) == (9, {})
    assert shards(tmp_path / "two") == shards(tmp_path / "one")
    assert not [file for file in (tmp_path / "two").rglob("*") if file.name.endswith(".part")]


def test_a_video_that_always_kills_its_worker_is_listed_with_the_reason(more, tmp_path):
    cluster = Cluster(workers=1, tries=2)
    done = index([more], tmp_path / "lib", Colours(), cluster=cluster, make=partial(dying, None))
    assert done.encoded == 8
    assert list(done.failed) == [str(more / "more2.mp4")]
    assert "worker died" in done.failed[str(more / "more2.mp4")]


def test_a_full_disk_ends_the_run_and_gives_the_claims_back(more, tmp_path):
    with pytest.raises(WriteError, match="no space"):
        index([more], tmp_path / "lib", Colours(), cluster=Cluster(workers=2), make=full)
    assert care.info(tmp_path / "lib").videos == 0
    assert index([more], tmp_path / "lib", Colours()).encoded == 9


def test_a_worker_with_another_model_is_refused(more, tmp_path):
    with pytest.raises(DataError, match="another model or version"):
        index([more], tmp_path / "lib", Colours(), cluster=Cluster(workers=1), make=other)
