"""The same server as a Ray Serve deployment: replicas with a model each, as many as the questions need.

Videos and jobs are in one actor that all replicas ask; uploads and clips are in the state folder, and videos under the
roots, which every machine has to see at the same path.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

from ...backends.base import Backend
from ...cluster import Cluster, join
from ...errors import DependencyError, InputError, ServerError
from .intake import sweep
from .settings import ServerSettings
from .state import State

NAME = "videoexpert"
# Requests under way in a replica at which another one is started: about what shares one pass.
BUSY = 32
# Beyond the questions that wait: streams, videos and pages.
OTHERS = 256


def run(
    settings: ServerSettings,
    load: Callable[[], Backend],
    cluster: Cluster,
    at_least: int = 1,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Serve until the process is stopped; ``load`` runs once in each replica, ``ready`` when the first answers.

    Between ``at_least`` and ``cluster.workers`` replicas run. Raises DependencyError without Ray Serve, InputError for
    numbers that do not fit, ServerError where no cluster or no replica starts.
    """
    if cluster.workers is not None and at_least > cluster.workers:
        raise InputError(
            f"--at-least is {at_least} and --workers {cluster.workers}, expected no more than those."
        )
    if settings.port == 0:
        raise InputError(
            "--port is 0, expected the number of a free port: every machine of the cluster listens there."
        )
    ray, own = join(cluster)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    try:
        serve = _serve()
        try:
            _deploy(ray, serve, settings, load, cluster, at_least)
            ready()
            _until_stopped()
        finally:
            serve.shutdown()
    finally:
        if own:
            ray.shutdown()


def _serve() -> Any:
    try:
        from ray import serve
    except ImportError as error:
        raise DependencyError(
            "--ray needs Ray Serve; run pip install 'videoexpert[cluster,serve]'."
        ) from error
    return serve


def _deploy(
    ray: Any,
    serve: Any,
    settings: ServerSettings,
    load: Callable[[], Backend],
    cluster: Cluster,
    at_least: int,
) -> None:
    settings = _everywhere(settings)
    sweep(settings)
    # beside the state folder, wherever replicas run
    here = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(
        ray.get_runtime_context().get_node_id(), soft=False
    )
    registry = (
        ray.remote(State)
        .options(num_cpus=0, max_restarts=-1, scheduling_strategy=here)
        .remote(settings.state)
    )

    def build() -> Any:
        from videoexpert.apps.server.app import create_app
        from videoexpert.apps.server.replicas import shared

        return create_app(settings, load(), shared(registry))

    there = ray.cluster_resources()
    most = cluster.workers or max(at_least, int(there.get("GPU", 0) or there.get("CPU", 1)))
    deployment = serve.deployment(
        name=NAME,
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if there.get("GPU", 0) else 0},
        max_ongoing_requests=settings.max_queue + OTHERS,
        autoscaling_config={
            "min_replicas": at_least,
            "initial_replicas": at_least,
            "max_replicas": most,
            "target_ongoing_requests": BUSY,
        },
        # addresses hold what people look for
        logging_config={"enable_access_log": False, "log_level": "ERROR"},
    )(serve.ingress(build)())
    serve.start(
        http_options={"host": settings.host, "port": settings.port},
        logging_config={"enable_access_log": False, "log_level": "ERROR"},
    )
    try:
        serve.run(deployment.bind(), name=NAME, route_prefix="/")
    except RuntimeError as error:
        told = " ".join(str(error).split())
        raise ServerError(
            f"no replica started ({told[:300]}); check that videoexpert[serve] is installed on the cluster's machines, "
            "and that they see the same folders."
        ) from error


def _everywhere(settings: ServerSettings) -> ServerSettings:
    """The same with whole paths: a replica runs in another folder."""
    return replace(
        settings,
        state=settings.state.absolute(),
        roots=tuple(root.absolute() for root in settings.roots),
        opened=None if settings.opened is None else settings.opened.absolute(),
        library=None if settings.library is None else settings.library.absolute(),
    )


def _until_stopped() -> None:
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        stop.wait()
    finally:
        signal.signal(signal.SIGTERM, before)


class _Remote:
    """The methods of an actor, each waited for."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        import ray

        method = getattr(self._actor, name)
        return lambda *values, **named: ray.get(method.remote(*values, **named))


def shared(actor: Any) -> State:
    """The state that an actor holds, to be used as one's own."""
    return cast(State, _Remote(actor))
