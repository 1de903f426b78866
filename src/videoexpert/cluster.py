"""Work spread over a Ray cluster: each worker loads a model once and gets tasks that name the path of their input.

    for number, result in spread(cluster, load_model_and_return_a_function, paths): ...

A worker owns an accelerator, or a core where the cluster has none. More are started as machines join, up to
``workers``; asked for more than there are, Ray's autoscaler adds machines. A task whose worker dies, or that fails, is
tried again, and in the end given back as ``Lost`` with its reason.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from .errors import DataError, DependencyError, InputError, ServerError, VideoError, VideoExpertError

T = TypeVar("T")
R = TypeVar("R")
LOCAL = "local"
# what is the task's own fault, and may be another time's luck; any other error of ours ends the run
OF_THE_TASK = (VideoError, DataError, InputError, ServerError)
# workers that may die one after another before they have done anything
DEATHS = 3


@dataclass(frozen=True)
class Cluster:
    """Where work runs.

    address    of a Ray cluster; ``auto``: the one on this machine; ``local``: one of its own
    workers    most workers at a time; None: one for each accelerator, or core, that the cluster has
    tries      how often a task is tried
    """

    address: str = LOCAL
    workers: int | None = None
    tries: int = 3

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}, expected at least 1.")
        if self.tries < 1:
            raise InputError(f"tries is {self.tries}, expected at least 1.")


@dataclass(frozen=True)
class Lost:
    """Why a task has no result."""

    reason: str


def spread(
    cluster: Cluster, make: Callable[[], Callable[[T], R]], tasks: Iterable[T]
) -> Iterator[tuple[T, R | Lost]]:
    """Each task with its result, in the order in which they end. ``tasks`` are drawn when a worker is free.

    ``make`` runs once in each worker. Raises DependencyError without Ray, ServerError where no cluster answers or no
    worker lives, and what ``make`` raises.
    """
    ray, own = join(cluster)
    pool = _Pool(ray, cluster, make, iter(tasks))
    try:
        yield from pool.run()
    finally:
        pool.stop()
        if own:
            ray.shutdown()


def join(cluster: Cluster) -> tuple[Any, bool]:
    """Ray, joined to the cluster, and whether that began here, and so ends here.

    Raises DependencyError without Ray, ServerError where no cluster answers.
    """
    ray = _ray()
    return ray, _connect(ray, cluster)


class _Worker:
    """What runs in an actor's process."""

    def __init__(self, make: Callable[[], Callable[[Any], Any]]) -> None:
        self._make = make

    def ready(self) -> tuple[str, Any]:
        """Answers once the model is loaded."""
        try:
            self._do = self._make()
        except Exception as error:
            return "stop", error
        return "done", None

    def do(self, task: Any) -> tuple[str, Any]:
        """("done", result), ("failed", why), or ("stop", error) for what no other try would change."""
        try:
            return "done", self._do(task)
        except OF_THE_TASK as error:
            return "failed", str(error)
        except VideoExpertError as error:
            return "stop", error
        except Exception as error:
            return "failed", f"{type(error).__name__}: {' '.join(str(error).split())}"


@dataclass
class _Try(Generic[T]):
    task: T
    tries: int = 0


@dataclass
class _Pool(Generic[T, R]):
    """Actors and their work; a reference represents a start or a task under way."""

    ray: Any
    cluster: Cluster
    make: Callable[[], Callable[[T], R]]
    tasks: Iterator[T]
    again: deque[_Try[T]] = field(default_factory=deque)
    idle: list[Any] = field(default_factory=list)
    busy: dict[Any, tuple[Any, _Try[T] | None]] = field(default_factory=dict)
    deaths: int = 0

    def run(self) -> Iterator[tuple[T, R | Lost]]:
        next_one = self._next()
        while next_one is not None or self._working():
            if next_one is not None and self.idle:
                actor = self.idle.pop()
                self.busy[actor.do.remote(next_one.task)] = (actor, next_one)
                next_one = self._next()
                continue
            if next_one is not None and len(self.busy) < self._most():
                self._start()
                continue
            found = self._wait()
            if found is not None:
                yield found
            next_one = next_one or self._next()
            self._release(next_one)

    def stop(self) -> None:
        """End every actor."""
        for actor in [*self.idle, *(actor for actor, _ in self.busy.values())]:
            self.ray.kill(actor)

    def _release(self, next_one: _Try[T] | None) -> None:
        """At the end, machines go back: as many idle workers stay as tasks may still fail."""
        under_way = sum(task is not None for _, task in self.busy.values())
        while next_one is None and len(self.idle) > under_way:
            self.ray.kill(self.idle.pop())

    def _working(self) -> bool:
        return any(task is not None for _, task in self.busy.values())

    def _next(self) -> _Try[T] | None:
        if self.again:
            return self.again.popleft()
        for task in self.tasks:
            return _Try(task)
        return None

    def _most(self) -> int:
        if self.cluster.workers is not None:
            return self.cluster.workers
        there = self.ray.cluster_resources()
        return max(1, int(there.get("GPU", 0) or there.get("CPU", 1)))

    def _start(self) -> None:
        gpus = 1 if self.ray.cluster_resources().get("GPU", 0) else 0
        made = self.ray.remote(_Worker).options(num_cpus=1, num_gpus=gpus, max_restarts=0)
        actor = made.remote(self.make)
        self.busy[actor.ready.remote()] = (actor, None)

    def _wait(self) -> tuple[T, R | Lost] | None:
        """What the next actor has to say."""
        (done,), _ = self.ray.wait(list(self.busy), num_returns=1)
        actor, tried = self.busy.pop(done)
        try:
            said = self.ray.get(done)
        except self.ray.exceptions.RayActorError as error:
            return self._died(tried, error)
        self.idle.append(actor)
        self.deaths = 0
        state, value = said
        if state == "stop":
            raise value
        if tried is None:
            return None
        return (tried.task, value) if state == "done" else self._failed(tried, value)

    def _died(self, tried: _Try[T] | None, error: Any) -> tuple[T, R | Lost] | None:
        if tried is None:
            self.deaths += 1
            if self.deaths >= DEATHS:
                told = " ".join(str(error).split())
                raise ServerError(
                    f"{DEATHS} workers of the cluster died as they started ({told[:300]}); "
                    "check its machines' memory and that videoexpert is installed on them."
                ) from None
            return None
        return self._failed(tried, "its worker died (preempted, killed, or out of memory).")

    def _failed(self, tried: _Try[T], reason: str) -> tuple[T, R | Lost] | None:
        tried.tries += 1
        if tried.tries < self.cluster.tries:
            self.again.append(tried)
            return None
        return tried.task, Lost(reason)


def _ray() -> Any:
    # no usage statistics are sent
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # a driver with a GPU in an actor that asked for none would hide it
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray
    except ImportError as error:
        raise DependencyError("a cluster needs Ray; run pip install 'videoexpert[cluster]'.") from error
    return ray


def _connect(ray: Any, cluster: Cluster) -> bool:
    """Join the cluster; whether it was started here, and so ends here. Raises ServerError."""
    if ray.is_initialized():
        return False
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    if cluster.address == LOCAL:
        cores = cluster.workers or os.cpu_count() or 1
        ray.init(num_cpus=cores, include_dashboard=False, object_store_memory=256 * 2**20, **options)
        return True
    try:
        ray.init(address=cluster.address, **options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        told = " ".join(str(error).split())
        raise ServerError(
            f"no Ray cluster answers at {cluster.address!r} ({told[:200]}); start one with `ray start --head`, or "
            "leave the address out for one on this machine."
        ) from error
    return True
