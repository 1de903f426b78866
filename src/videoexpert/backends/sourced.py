"""Answers that know their video and their choices: what notebooks need to show them, with any backend."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from ..runtime import enough_memory
from ..types import Answer, Captions, Moment, Source
from .base import check_amounts

C = TypeVar("C")
AMOUNTS = ("top_k", "clip_s", "max_new_tokens")
_ANSWERS = ("ground", "highlights", "caption", "ask")


def sourced(video: type[C]) -> type[C]:
    """Decorates a class of open videos: one door for every question and answer.

    Amounts are checked, running out of memory is one sentence, and answers get ``source`` set if the video has
    a path.

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
        given = signature.bind(self, *args, **options)
        given.apply_defaults()
        check_amounts(self.duration, **{k: v for k, v in given.arguments.items() if k in AMOUNTS})
        with enough_memory("the questions are too many, or the video too long, for it: ask less at once"):
            found = method(self, *args, **options)
        if isinstance(found, Answer):
            choices = given.arguments.get("choices")
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
