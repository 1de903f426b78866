"""Answering commands start without the parts of torch and transformers that they never use.

transformers imports torch's compiler and its distributed tensors, and with them sympy, to decorate functions and to
test types. A process that answers questions compiles nothing and is alone, so both are put off: the compiler's package
runs its code when something of it is first asked for, and torch says that it was built without ``distributed``, as it
truly is on some platforms. Only commands do this; a program that imports the library gets everything as it is.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

_state = {"light": False}


def quiet_threads() -> None:
    """Threads that wait sleep instead of spinning, unless the environment says otherwise; before torch is imported."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def lose_nothing() -> None:
    """What the encoding of stdout or stderr lacks is printed as an escape, instead of ending the command."""
    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def lighten(model: str | None) -> None:
    """Puts off what a model of ours does not use; for another model, or once torch is imported, nothing changes."""
    if "torch" in sys.modules or not is_ours(model):
        return
    _state["light"] = True
    import torch

    torch.distributed.is_available = _no
    compiler = put_off("torch._dynamo")
    if compiler is not None:
        for name in ("disable", "disallow_in_graph", "allow_in_graph", "assume_constant_result"):
            vars(compiler)[name] = _as_it_is
        torch.compiler.disable = _as_it_is  # type: ignore[assignment]
    put_off("transformers.models")


def leave(code: int) -> int:
    """The exit code; a process that started light ends here and now, once all it said is written.

    Taking torch's objects down one by one takes longer than an answer; the system takes them all at once.
    """
    if not _state["light"]:
        return code
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except OSError:  # the reader has closed the pipe
        code = code or 1
    os._exit(code)


def is_ours(model: str | None) -> bool:
    """Whether this is the shipped model, or a folder whose config says that it is a VideoExpert."""
    if model is None:
        return True
    try:
        file = Path(model) / "config.json"
        config = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(config, dict) and config.get("model_type") == "videoexpert"


class _PutOff(ModuleType):
    """A package that is there for its submodules, and runs its own code when another name of it is asked for."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        self.__class__ = ModuleType  # type: ignore[assignment]
        spec = self.__spec__
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(self)
        return getattr(sys.modules[self.__name__], name)  # some packages put another object in their place


def put_off(name: str) -> ModuleType | None:
    """Stands in for a package until it is needed; None where it is imported already or cannot be found."""
    if name in sys.modules:
        return None
    found = Path(name.replace(".", "/")) / "__init__.py"
    for folder in map(Path, sys.path):
        if (folder / found).is_file():
            break
    else:
        return None
    place = folder / found
    spec = importlib.util.spec_from_file_location(name, place, submodule_search_locations=[str(place.parent)])
    if spec is None:
        return None
    module = importlib.util.module_from_spec(spec)
    module.__class__ = _PutOff
    sys.modules[name] = module
    return module


def _no() -> bool:
    return False


def _as_it_is(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """A decorator that changes nothing, with or without arguments."""
    return (lambda decorated: decorated) if function is None else function
