"""The ``videoexpert`` program: its commands in the order of its help, and what all of them share.

Each command lives in a module of ``commands``, imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from .. import __version__

# Each command and its module, in the order in which a newcomer needs them.
PANELS = {
    "Begin": {"demo": "tools", "doctor": "tools", "docs": "tools", "models": "models"},
    "Ask about a video": {
        "ground": "ask", "highlight": "ask", "caption": "ask", "ask": "ask",
        "clip": "clip", "export": "export", "watch": "watch",
    },
    "Many videos, other programs": {
        "index": "library", "search": "search", "library": "library", "serve": "serve", "mcp": "mcp",
    },
    "Measure": {"score": "score", "eval": "evaluate", "calibrate": "calibrate", "probe": "probe", "panels": "panels"},
    "Make models": {
        "synth": "data", "data": "data", "encode": "data",
        "train": "train", "finetune": "train", "convert": "train", "ablate": "ablate",
    },
}  # fmt: skip
MODULES = {name: module for panel in PANELS.values() for name, module in panel.items()}


def build(arguments: Sequence[str] = ()) -> typer.Typer:
    """The program, with every command.

    Where ``arguments`` begin with the name of a command only its module is imported: a command waits for no other.
    """
    app = typer.Typer(
        name="videoexpert",
        help="A video language model that says when as well as what.",
        epilog="--debug, with any command, shows the traceback of an error. Messages name pages of docs/: "
        "`videoexpert docs NAME` prints one.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(options)
    asked = MODULES.get(arguments[0]) if arguments else None
    for module in dict.fromkeys(MODULES.values()) if asked is None else (asked,):
        import_module(f".commands.{module}", __package__).register(app)
    app.registered_commands = _arrange(app.registered_commands)
    app.registered_groups = _arrange(app.registered_groups)
    return app


def _arrange(commands: list[Any]) -> list[Any]:
    """Commands, or groups of them, in the order of PANELS, each with its panel set."""
    panels = {name: panel for panel, names in PANELS.items() for name in names}
    order = list(panels)
    for command in commands:
        command.rich_help_panel = panels[name_of(command)]
    return sorted(commands, key=lambda command: order.index(name_of(command)))


def name_of(command: Any) -> str:
    """What a registered command, or group, is called by."""
    group = getattr(command, "typer_instance", None)
    for given in (command.name, group.info.name if group else None):
        if isinstance(given, str):
            return given
    return str(command.callback.__name__)


def _version(asked: bool) -> None:
    if asked:
        print(f"videoexpert {__version__}")
        raise typer.Exit


def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """A video language model that says when as well as what."""
