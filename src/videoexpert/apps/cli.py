"""The ``videoexpert`` command: runs the program, and says in one sentence how it ended.

What takes long to import is imported inside, where Ctrl-C is already heard.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from . import stopping
from .stopping import STOPPED


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns 0 done, 1 the job failed, 2 the call was wrong, 130 stopped by Ctrl-C."""
    from .startup import lose_nothing, quiet_threads

    quiet_threads()
    lose_nothing()
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    if debug:
        arguments.remove("--debug")
    code = _run(arguments, debug)
    if code == STOPPED or stopping.was_asked():
        print("Stopped.", file=sys.stderr)
        return STOPPED
    return code


def _run(arguments: list[str], debug: bool) -> int:
    """The exit code of the command, which has said what went wrong."""
    import typer

    from ..errors import VideoExpertError
    from .program import program
    from .terminal import complain, plain_warnings

    # click's class of all wrong calls, found through typer: newer typer carries a click of its own
    wrong_call: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    try:
        with plain_warnings():
            result = program(arguments)(arguments, standalone_mode=False, prog_name="videoexpert")
    except wrong_call as error:
        return _wrong_call(error, arguments)
    except (typer.Abort, KeyboardInterrupt):
        return STOPPED
    except Exception as error:
        # some libraries turn an interruption into an error of their own
        if stopping.was_asked():
            return STOPPED
        if debug:
            raise
        if isinstance(error, VideoExpertError):
            complain(f"Error: {error}")
            return error.exit_code
        reason = " ".join(str(error).split()) or "no reason given"
        complain(f"Error: {type(error).__name__}: {reason}; --debug shows where it came from.")
        return 1
    return int(result) if isinstance(result, int) else 0


def _wrong_call(error: Any, arguments: list[str]) -> int:
    """One sentence on stderr, or the help of a command that was called without anything."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    said = " ".join(error.format_message().split()).rstrip(".").replace(": Value error, ", ": ")
    context = getattr(error, "ctx", None)
    help_of = f" See {context.command_path} --help." if context is not None else ""
    from .terminal import complain

    hint = (
        " A name that begins with a dash comes after --, or as ./-NAME."
        if _names_a_file(error, arguments)
        else ""
    )
    complain(f"Error: {said}.{hint}{help_of}")
    return 2


def _names_a_file(error: Any, arguments: list[str]) -> bool:
    """Whether an unknown option stands for a file: ``-dash.mp4`` is read as -d, -a and so on."""
    if type(error).__name__ != "NoSuchOption":
        return False
    dashed = (argument for argument in arguments if argument.startswith("-") and "=" not in argument)
    return any(os.path.splitext(argument)[1].strip(".0123456789") for argument in dashed)


def entry() -> int:
    """The command as a program."""
    stopping.listen()
    code = main()
    from .startup import leave

    return leave(code)


if __name__ == "__main__":
    raise SystemExit(entry())
