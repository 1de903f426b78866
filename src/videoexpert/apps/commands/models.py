"""``models``: what can be loaded, and which model commands use by default."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from .. import options, terminal
from ..terminal import Format

group = typer.Typer(
    name="models",
    help="List models that can be loaded; `models use NAME` chooses the default.",
    invoke_without_command=True,
)


@group.callback()
def models(
    context: typer.Context,
    format: options.Printed = Format.table,
) -> None:
    """List models that can be loaded: what each can do, size, licence, whether it is in the cache, what it needs.

    Any other model of the same types loads too, by folder or hub id.
    """
    if context.invoked_subcommand is not None:
        return
    from ... import settings

    rows = listing()
    if format is Format.json:
        terminal.print_json({"default": settings.default_model() or settings.SHIPPED, "models": rows})
        return
    kinds = dict.fromkeys((row["kind"], ", ".join(row["can"])) for row in rows)
    for kind, can in kinds:
        terminal.say(f"{kind}: {can}")
        for row in (row for row in rows if (row["kind"], ", ".join(row["can"])) == (kind, can)):
            mark = "*" if row["default"] else " "
            cached = "in the cache" if row["cached"] else ""
            terminal.say(f" {mark} {row['name']:<42} {_size(row['size_gb']):>8}  {cached}".rstrip())
            terminal.say(f"      {row['licence']}; needs {row['needs']}")
    default = settings.default_model() or settings.SHIPPED
    terminal.say(
        f"default: {default}; any folder or hub id of these kinds loads, and http://HOST:PORT/v1#NAME"
    )


@group.command()
def use(
    name: Annotated[
        str, typer.Argument(help="Folder, hub id or address; `shipped` for the model in the package.")
    ],
    format: options.Printed = Format.table,
) -> None:
    """Make a model the default of all commands. VIDEOEXPERT_MODEL, where it is set, comes first."""
    import os

    from ... import settings
    from ...session import check_name

    check_name(name)
    name = settings.whole_name(name)
    file = settings.use_model(name)
    if format is Format.json:
        terminal.print_json({"default": name, "file": str(file)})
    else:
        terminal.say(f"default model: {name} (written to {file})")
    variable = os.environ.get(settings.MODEL_VARIABLE, "").strip()
    if variable and variable != name:
        terminal.complain(f"{settings.MODEL_VARIABLE} is set to {variable} and comes first.")


def listing() -> list[dict[str, Any]]:
    """The catalogue with what is known here of each model, and the default where it is not in it."""
    from dataclasses import asdict

    from ... import hub, settings
    from ...backends.catalogue import CATALOGUE

    default = settings.default_model() or settings.SHIPPED
    rows = []
    for entry in CATALOGUE:
        cached = entry.name == settings.SHIPPED or hub.cached(entry.name)
        row = {**asdict(entry), "can": list(entry.can)}
        rows.append({**row, "cached": cached, "default": entry.name == default})
    return rows


def _size(gigabytes: float) -> str:
    return f"{gigabytes:.1f} GB" if gigabytes >= 0.1 else f"{1000 * gigabytes:.0f} MB"


def register(app: typer.Typer) -> None:
    """Add this group to the app."""
    app.add_typer(group)
