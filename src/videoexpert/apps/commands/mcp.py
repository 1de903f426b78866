"""``mcp``: assistants ask about videos over the Model Context Protocol, on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from .. import options
from ..inputs import model_options

if TYPE_CHECKING:
    from ...backends.base import Backend


def mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Folder whose videos may be queried; repeatable, at least one."),
    ] = None,
    model: options.Model = None,
    model_option: options.ModelOption = None,
    device: options.Device = "auto",
) -> None:
    """Serve the videos of folders to an assistant, by the Model Context Protocol over stdin and stdout."""
    from ..mcp import Desk, serve

    roots = root or []
    if not roots:
        raise InputError("no folder was allowed, expected --root with the folder of the videos.")
    for folder in roots:
        if not folder.is_dir():
            raise InputError(f"--root is {str(folder)!r}, expected a folder that exists.")
    chosen = model_options(model_option)

    def load() -> Backend:
        from ... import session

        return session.load(model, device=device, **chosen)

    serve(Desk(roots, load)).run("stdio")


def register(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(mcp)
