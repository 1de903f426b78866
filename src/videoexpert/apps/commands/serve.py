"""``videoexpert serve``: the verbs over HTTP, and the page."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ...errors import DependencyError, InputError
from .. import options
from ..inputs import verifier

if TYPE_CHECKING:
    from ...backends.base import Backend
    from ..server.settings import ServerSettings

TOKEN = "VIDEOEXPERT_TOKEN"


def serve(
    roots: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Folders whose videos may be opened from the page."),
    ] = None,
    *,
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub id (default: the model in the package).")
    ] = None,
    verify: options.Verify = None,
    verify_option: options.VerifyOption = None,
    device: options.Device = "auto",
    host: Annotated[
        str, typer.Option(help=f"Interface; any but 127.0.0.1 needs a token in {TOKEN}.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8420,
    allow_host: Annotated[
        list[str] | None, typer.Option(help="A further name by which clients reach this server.")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of uploads and jobs (default: in your cache folder).")
    ] = None,
    open_video: Annotated[
        Path | None,
        typer.Option("--open", metavar="VIDEO", help="A video to show first; 'demo' for the shipped one."),
    ] = None,
    library: Annotated[
        Path | None, typer.Option(help="A library to search in; its videos can be opened from the page.")
    ] = None,
    max_upload: Annotated[int, typer.Option(min=1, help="Largest upload, in megabytes.")] = 4096,
    queue: Annotated[
        int, typer.Option(min=1, help="Questions that may wait; one more is answered 429.")
    ] = 256,
    ray: options.Ray = None,
    workers: options.Workers = None,
    at_least: Annotated[
        int | None, typer.Option(min=1, help="With --ray: replicas that always run (default: 1).")
    ] = None,
) -> None:
    """Answer over HTTP, with a page at /: drop a video, type a sentence, see the moments."""
    try:
        import uvicorn

        from ..server.app import create_app
        from ..server.listening import listening
    except ImportError as error:
        raise DependencyError(
            f"serving needs the package {error.name!r}; run pip install 'videoexpert[serve]'."
        ) from error
    from ...assets import SHIPPED_VIDEO
    from ..server.settings import ServerSettings
    from ..terminal import complain

    opened = SHIPPED_VIDEO if open_video == Path("demo") else open_video
    if opened is not None and not opened.is_file():
        raise InputError(f"there is no video {str(opened)!r} to open.")
    settings = ServerSettings(
        state=state or cache_folder(),
        roots=tuple(roots or ()),
        opened=opened,
        library=library,
        host=host,
        port=port,
        token=os.environ.get(TOKEN) or None,
        hosts=tuple(allow_host or ()),
        max_upload_bytes=max_upload * 2**20,
        max_queue=queue,
    )
    cluster = options.cluster(ray, workers)
    made = partial(_load, model, device, verifier(verify, verify_option))
    if cluster is not None:
        from ..server import replicas

        replicas.run(settings, made, cluster, at_least or 1, lambda: complain(_welcome(settings)))
        return
    if at_least is not None:
        raise InputError("--at-least belongs to --ray; leave it out, or name a cluster.")
    app = create_app(settings, made())
    complain(_welcome(settings))
    uvicorn.run(app, **listening(settings))


def _load(model: str | None, device: str, second: dict[str, Any]) -> Backend:
    """The model; a replica loads it on its own machine."""
    from ...session import load

    return load(model, device=device, **second)


def _welcome(settings: ServerSettings) -> str:
    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    query = f"/?token={settings.token}" if settings.token else "/"
    return f"VideoExpert is at http://{shown}:{settings.port}{query}  (Ctrl-C stops it)"


def cache_folder() -> Path:
    """Where a server keeps its state when nothing else is said."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "videoexpert" / "server"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(serve)
