"""The ``videoexpert`` command: runs the program, and says in one sentence how it ended.

What takes long to import is imported inside, where Ctrl-C is already heard.
"""

from __future__ import annotations

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
    from .output import complain, plain_warnings
    from .program import build

    # click's class of all wrong calls, found through typer: newer typer carries a click of its own
    wrong_call: Any = next(c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException")
    try:
        with plain_warnings():
            result = build(arguments)(arguments, standalone_mode=False, prog_name="videoexpert")
    except wrong_call as error:
        return _wrong_call(error)
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


def _wrong_call(error: Any) -> int:
    """One sentence on stderr, or the help of a command that was called without anything."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    said = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    help_of = f" See {context.command_path} --help." if context is not None else ""
    from .output import complain

    complain(f"Error: {said}.{help_of}")
    return 2


def entry() -> int:
    """The command as a program."""
    stopping.listen()
    code = main()
    from .startup import leave

    return leave(code)


if __name__ == "__main__":
    raise SystemExit(entry())
