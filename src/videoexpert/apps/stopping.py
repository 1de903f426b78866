"""Ctrl-C ends a command with "Stopped." and 130, whatever it is doing.

KeyboardInterrupt does it where our own code runs: what is half written goes, and runs can resume. It does not reach us
where a library is being imported, which may swallow it or leave modules half made, nor out of a callback, where Python
drops it. There the process ends at once; nothing is being written then. So does a second Ctrl-C.
"""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import Any

# what shells give for a program that Ctrl-C ended
STOPPED = 130
_state = {"asked": False}


def listen() -> None:
    """From here on Ctrl-C is heard. A process that was started deaf to it, in the background of a script, stays so."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return
    signal.signal(signal.SIGINT, _stop)
    sys.unraisablehook = _unraisable


def was_asked() -> bool:
    """Whether Ctrl-C was pressed in this process."""
    return _state["asked"]


def _stop(_: int, frame: FrameType | None) -> None:
    if was_asked() or _imports(frame):
        _end()
    _state["asked"] = True
    raise KeyboardInterrupt


def _imports(frame: FrameType | None) -> bool:
    """Whether this frame, or one that called it, imports a module."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def _unraisable(dropped: Any) -> None:
    """An interruption that Python would drop ends the process; the rest is told as ever."""
    if dropped.exc_type is not None and issubclass(dropped.exc_type, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(dropped)


def _end() -> None:
    """Says so and is gone; a bar's line and its hidden cursor are put right first."""
    said = b"Stopped.\n"
    os.write(2, b"\r\x1b[2K\x1b[?25h" + said if os.isatty(2) else said)
    os._exit(STOPPED)
