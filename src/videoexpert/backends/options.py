"""Options of a backend by name: checked against the function that takes them, and read from text for the command."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import InputError

_NOT_OPTIONS = {"device", "dtype"}  # every backend's, given by name of their own
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}


def checked(function: Callable[..., Any], given: Mapping[str, Any], what: str) -> dict[str, Any]:
    """The options with values of the kind that ``function`` declares; text is read as such.

    Raises InputError for an option that it does not take, or a value of another kind.
    """
    kinds = {name: kind for name, kind in _kinds(function).items() if name not in _NOT_OPTIONS}
    unknown = [name for name in given if name not in kinds]
    if unknown:
        known = f"it takes {', '.join(kinds)}" if kinds else "it takes none"
        raise InputError(f"{what} has no option {unknown[0]!r}; {known}.")
    return {name: _read(name, value, kinds[name]) for name, value in given.items()}


def _kinds(function: Callable[..., Any]) -> dict[str, type]:
    """Keyword-only parameters with their kind, None aside."""
    hints = typing.get_type_hints(function)
    names = [p.name for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY]
    kinds = {}
    for name in names:
        choices = [kind for kind in typing.get_args(hints[name]) if kind is not type(None)]
        kinds[name] = choices[0] if choices else hints[name]
    return kinds


def _read(name: str, value: Any, kind: type) -> Any:
    try:
        if kind is bool and isinstance(value, str):
            if value.lower() not in _TRUE | _FALSE:
                raise ValueError
            return value.lower() in _TRUE
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        if isinstance(value, str) and kind is not str:
            return kind(value)
    except ValueError:
        raise InputError(f"option {name} is {value!r}, expected a value of kind {kind.__name__}.") from None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise InputError(f"option {name} is {value!r}, expected a value of kind {kind.__name__}.")
    return value
