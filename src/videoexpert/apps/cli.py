"""The ``videoexpert`` command. Each command lives in a module of ``commands``, imported when it is asked for."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from .. import __version__
from ..errors import VideoExpertError
from .output import complain
from .startup import leave, lose_nothing, quiet_threads

# what shells give for a program that Ctrl-C ended
STOPPED = 130
# click's class of all wrong calls, found through typer: newer typer carries a click of its own
ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

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
    "Measure": {"score": "score", "eval": "score", "calibrate": "calibrate", "probe": "probe", "panels": "panels"},
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


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0 done, 1 the job failed, 2 the call was wrong, 130 stopped by Ctrl-C."""
    quiet_threads()
    lose_nothing()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        result = build(arguments)(arguments, standalone_mode=False, prog_name="videoexpert")
    except ClickException as error:
        return _wrong_call(error)
    except (typer.Abort, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return STOPPED
    except VideoExpertError as error:
        if debug:
            raise
        complain(f"Error: {error}")
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        complain(f"Error: {type(error).__name__}: {reason}; --debug shows where it came from.")
        return 1
    return int(result) if isinstance(result, int) else 0


def _wrong_call(error: Any) -> int:
    """One sentence on stderr, or the help of a command that was called without anything."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    said = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    help_of = f" See {context.command_path} --help." if context is not None else ""
    complain(f"Error: {said}.{help_of}")
    return 2


def entry() -> int:
    """The command as a program."""
    return leave(main())


if __name__ == "__main__":
    raise SystemExit(entry())
