"""The ``videoexpert`` program: its commands in the order of its help, and what all of them share.

Each command lives in a module of ``commands``, imported when it is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, get_args

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


def program(arguments: Sequence[str] = ()) -> Any:
    """``build`` as the command that runs, whose help names the kinds of values in words."""
    command = typer.main.get_command(build(arguments))
    _name_values(command)
    _refuse_nothing(command)
    return command


def _refuse_nothing(command: Any) -> None:
    """Options, and arguments that are paths, take no empty value: it is what a shell makes of a variable not set.

    As a path it would be the folder in which the command was started.
    """
    for parameter in command.params:
        described = getattr(parameter, "type_descriptor", None)
        kinds = (described.annotation, *get_args(described.annotation)) if described is not None else ()
        if parameter.param_type_name == "option" or Path in kinds:
            parameter.process_value = partial(_given, parameter, parameter.process_value)
    for inner in getattr(command, "commands", {}).values():
        _refuse_nothing(inner)


def _given(parameter: Any, process: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """The value of a parameter as ``process`` makes it. Raises typer.BadParameter for an empty text."""
    if "" in (value if isinstance(value, list | tuple) else (value,)):
        leave = "give a value" if parameter.required else "give a value, or leave it out"
        raise typer.BadParameter(f"it is empty; {leave}.", ctx=ctx, param=parameter)
    return process(ctx, value)


def _name_values(command: Any) -> None:
    """In the help of a command and of those below it.

    Newer typer shows ``<bool>`` behind a flag, which takes no value, and Python's types behind the others.
    """
    given = command.get_params

    def get_params(ctx: Any) -> list[Any]:
        found: list[Any] = given(ctx)
        for parameter in found:
            shown = _value_of(parameter)
            parameter.display_type_rich = lambda ctx, shown=shown: shown
        return found

    command.get_params = get_params
    if command.help:  # the lines of a docstring end where its source does
        command.help = "\n\n".join(" ".join(part.split()) for part in command.help.split("\n\n"))
    for parameter in command.params:
        if parameter.param_type_name == "argument" and parameter.metavar is None:
            parameter.metavar = parameter.name.upper()
    for inner in getattr(command, "commands", {}).values():
        _name_values(inner)


def _value_of(parameter: Any) -> str | None:
    """What stands for the value of an option; nothing for flags, and for arguments, which have a name."""
    if parameter.param_type_name == "argument" or parameter.is_flag:
        return None
    if parameter.metavar is not None:
        return str(parameter.metavar)
    described = getattr(parameter, "type_descriptor", None)
    if described is None:
        return None
    if described.is_choice:
        return "|".join(str(getattr(choice, "value", choice)) for choice in described.choices or ())
    kinds = get_args(described.annotation) or (described.annotation,)
    return " ".join({int: "N", float: "NUMBER", Path: "PATH"}.get(kind, "TEXT") for kind in kinds)


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
