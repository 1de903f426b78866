"""Answers that know their video and their choices: what notebooks need to show them, whatever backend gave them."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ..types import Answer, Captions, Moment, Source

C = TypeVar("C")
_ANSWERS = ("ground", "highlights", "caption", "ask")


def sourced(video: type[C]) -> type[C]:
    """Decorates a class of open videos: what its methods answer gets ``source`` set, where the video has a path.

    Answers to questions also get the ``choices`` that were given, and captions are ``Captions``.
    """
    for name in _ANSWERS:
        method = vars(video).get(name)
        if method is not None:
            setattr(video, name, _with_source(name, method))
    return video


def _with_source(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    signature = inspect.signature(method)

    @functools.wraps(method)
    def answer(self: Any, *args: Any, **options: Any) -> Any:
        found = method(self, *args, **options)
        if isinstance(found, Answer):
            choices = signature.bind(self, *args, **options).arguments.get("choices")
            found = replace(found, choices=tuple(choices or ()))
        if name == "caption" and not isinstance(found, Captions):
            found = Captions(found)
        return with_source(found, self)

    return answer


def with_source(found: Any, video: Any) -> Any:
    """An answer, or a list of them, that knows its video; as it is where the video has no path."""
    return _about(found, Source(video.path, video.start, video.duration)) if video.path else found


def _about(found: Any, source: Source) -> Any:
    if isinstance(found, list) and (isinstance(found, Captions) or any(isinstance(m, Moment) for m in found)):
        return Captions(found, getattr(found, "told", None), source)
    if isinstance(found, list):
        return [replace(one, source=source) for one in found]
    return replace(found, source=source)
