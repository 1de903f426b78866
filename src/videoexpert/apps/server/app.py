"""The application: routes, guard, page, health and metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles
from pydantic import ValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from ... import __version__
from ...backends.base import Backend
from ...errors import InputError, UnsupportedError, VideoError, VideoExpertError
from .answerer import BusyError
from .intake import NoSpaceError, TooLargeError
from .routes import make_routes
from .security import Guard
from .service import MissingError, Service
from .settings import ServerSettings
from .state import State

PAGE = Path(__file__).parent / "page"
# error class -> status; the first that fits
STATUS: tuple[tuple[type[VideoExpertError], int], ...] = (
    (BusyError, 429),
    (TooLargeError, 413),
    (NoSpaceError, 507),
    (MissingError, 404),
    (UnsupportedError, 501),
    (InputError, 422),
    (VideoError, 422),
    (VideoExpertError, 500),
)
RETRY_AFTER_S = 1


def create_app(settings: ServerSettings, backend: Backend, state: State | None = None) -> FastAPI:
    """The ASGI application of one server. Its state folder is made where there is none.

    ``state`` where several servers share one; it stays open when this one closes.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        service.close()

    service = Service(settings, backend, state)
    app = FastAPI(
        title="VideoExpert",
        version=__version__,
        summary="Says when, as well as what.",
        lifespan=lifespan,
        # their pages load scripts from elsewhere
        docs_url=None,
        redoc_url=None,
        openapi_url="/v1/openapi.json",
        max_body_size=settings.max_body_bytes,
    )
    app.state.service = service
    app.include_router(make_routes(service))
    _handle_errors(app)
    _add_health(app, service)
    _add_page(app)
    # added last, so it runs first: nothing of a refused request is read
    app.add_middleware(Guard, settings=settings)
    return app


class Tally:
    """Counts responses by status."""

    def __init__(self, app: Any, count: Callable[[int], None]) -> None:
        self.app, self.count = app, count

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def counted(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.count(message["status"])
            await send(message)

        await self.app(scope, receive, counted)


def _place(location: Sequence[Any]) -> str:
    """Where in a body or an address a fault is, as a client wrote it."""
    parts = location[1:] if location[:1] and location[0] in ("body", "query", "path", "header") else location
    return ".".join(map(str, parts)) or "body"


def _handle_errors(app: FastAPI) -> None:
    @app.exception_handler(VideoExpertError)
    async def ours(request: Request, error: VideoExpertError) -> JSONResponse:
        status = next(code for kind, code in STATUS if isinstance(error, kind))
        headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 429 else None
        return JSONResponse({"error": str(error)}, status_code=status, headers=headers)

    @app.exception_handler(StarletteHTTPException)
    async def plain(request: Request, error: StarletteHTTPException) -> JSONResponse:
        return JSONResponse(
            {"error": str(error.detail)}, status_code=error.status_code, headers=error.headers
        )

    @app.exception_handler(RequestValidationError)
    @app.exception_handler(ValidationError)
    async def malformed(request: Request, error: Any) -> JSONResponse:
        told = [
            f"{_place(one['loc'])}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()[:5]
        ]
        return JSONResponse({"error": "; ".join(told)}, status_code=422)

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": f"the server failed ({type(error).__name__})."}, status_code=500)


def _add_health(app: FastAPI, service: Service) -> None:
    from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

    registry = CollectorRegistry()
    requests = Counter("videoexpert_requests", "Requests by status", ["status"], registry=registry)
    gauges = {
        "videoexpert_questions_waiting": (lambda: service.answerer.waiting, "Questions in the queue"),
        "videoexpert_questions_answered": (
            lambda: service.answerer.answered,
            "Questions answered since the start",
        ),
        "videoexpert_batches": (lambda: service.answerer.batches, "Passes since the start"),
    }
    for name, (value, text) in gauges.items():
        Gauge(name, text, registry=registry).set_function(value)

    app.add_middleware(Tally, count=lambda status: requests.labels(str(status)).inc())

    @app.get("/healthz", include_in_schema=False)
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/metrics", include_in_schema=False)
    async def metrics() -> PlainTextResponse:
        return PlainTextResponse(generate_latest(registry), media_type="text/plain; version=0.0.4")


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE), name="page")
