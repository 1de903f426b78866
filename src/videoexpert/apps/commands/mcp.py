"""``mcp``: assistants ask about videos over the Model Context Protocol, on stdin and stdout."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from .. import options
from ..inputs import model_options, verifier

if TYPE_CHECKING:
    from ...backends.base import Backend


def mcp(
    root: Annotated[
        list[Path] | None,
        typer.Option(metavar="FOLDER", help="Folder whose videos may be queried; repeatable, at least one."),
    ] = None,
    library: Annotated[
        Path | None, typer.Option(metavar="LIBRARY", help="A library to search; its videos may be queried.")
    ] = None,
    model: options.Model = None,
    model_option: options.ModelOption = None,
    verify: options.Verify = None,
    verify_option: options.VerifyOption = None,
    device: options.Device = "auto",
) -> None:
    """Serve videos of folders or of a library to an assistant, by the Model Context Protocol over stdin and stdout."""
    from ..mcp import Desk, serve

    roots = root or []
    if not roots and library is None:
        raise InputError(
            "no folder was allowed, expected --root with the folder of the videos, or --library with one."
        )
    for folder in roots:
        if not folder.is_dir():
            raise InputError(f"--root is {str(folder)!r}, expected a folder that exists.")
    if library is not None:
        from ...library.manifest import Manifest

        # says so where it is none, before an assistant asks
        Manifest(library).close()
    chosen = {**verifier(verify, verify_option), **model_options(model_option)}

    def load() -> Backend:
        from ... import session

        return session.load(model, device=device, **chosen)

    serve(Desk(roots, load, library)).run("stdio")


def register(app: typer.Typer) -> None:
    """Add this command to the app."""
    app.command()(mcp)
