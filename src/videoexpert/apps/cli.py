"""The ``videoexpert`` command. Each verb lives in a module of ``commands``; heavy imports wait till then."""

from __future__ import annotations

import sys
from typing import Any

import typer

from ..errors import VideoExpertError
from .commands import (
    ablate,
    ask,
    clip,
    data,
    export,
    library,
    mcp,
    models,
    panels,
    probe,
    score,
    serve,
    tools,
    train,
)
from .startup import leave, quiet_threads

# click's class of all wrong calls, found through typer: newer typer carries a click of its own
ClickException: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")

app = typer.Typer(
    name="videoexpert",
    help="A video language model that says when as well as what.",
    epilog="--debug, with any command, shows the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (
    ask,
    models,
    clip,
    export,
    mcp,
    data,
    train,
    ablate,
    score,
    probe,
    panels,
    serve,
    library,
    tools,
):
    module.register(app)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0 done, 1 the job failed, 2 the call was wrong."""
    quiet_threads()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    try:
        result = app(arguments, standalone_mode=False, prog_name="videoexpert")
    except ClickException as error:
        error.show()
        return 2
    except (typer.Abort, KeyboardInterrupt):
        print("Stopped.", file=sys.stderr)
        return 1
    except VideoExpertError as error:
        if debug:
            raise
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    except Exception as error:
        if debug:
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        print(f"Error: {type(error).__name__}: {reason}; --debug shows where it came from.", file=sys.stderr)
        return 1
    return int(result) if isinstance(result, int) else 0


def entry() -> int:
    """The command as a program."""
    return leave(main())


if __name__ == "__main__":
    raise SystemExit(entry())
