"""The seam: what the runner, the probes, the panels, the server and the library know of a system that answers.

A backend opens videos; an open video answers the tasks its backend names in ``can``. Nothing above this module
knows the implementation behind it.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any, Protocol, overload, runtime_checkable

from ..errors import InputError
from ..limits import limits
from ..types import Answer, Highlights, Moment, Moments

TASKS = frozenset({"ground", "highlight", "caption", "ask"})


@runtime_checkable
class OpenVideo(Protocol):
    """An open video. Times are seconds from the start of the whole video.

    A task that the backend does not name in ``can`` raises UnsupportedError with a sentence.
    """

    path: str

    @property
    def duration(self) -> float:
        """Seconds looked at: the whole video, or the part that was opened."""
        ...

    @property
    def start(self) -> float:
        """Second at which the part that was opened begins."""
        ...

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """Ranked moments of a sentence, or of each of many."""
        ...

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds, and the best moments."""
        ...

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Sentences, each with its moment."""
        ...

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """An answer and the moments that prove it."""
        ...


@runtime_checkable
class Backend(Protocol):
    """A system that answers. ``name`` appears in results; ``can`` is a subset of TASKS."""

    name: str
    can: frozenset[str]

    def describe(self) -> dict[str, Any]:
        """What a result file says of it: model, digest, settings; JSON values only."""
        ...

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> OpenVideo:
        """Decode and encode a video, or its part from ``start`` to ``end`` (seconds).

        Raises VideoError for a file that gives no frames, InputError for a part outside the video.
        """
        ...


def one_window(seconds: float, frames: int) -> dict[str, float]:
    """``looked_at`` of a video that was looked at in one piece, in the form results use."""
    return {"windows": 1, "window": seconds, "overlap": 0.0, "frames": frames}


def check_queries(queries: Sequence[str]) -> None:
    """Raises InputError for an empty query, one that is too long, or more in one call than ``limits`` allow."""
    bounds = limits()
    bounds.check("queries", len(queries), f"{len(queries):,} queries were given in one call")
    for query in queries:
        _check_text(query, "the query")
        if not query.strip():
            raise InputError("the query is empty, expected a sentence that describes what to find.")
        bounds.check("query_characters", len(query), f"a query has {len(query):,} characters")


def check_question(question: str, choices: Sequence[str] | None) -> None:
    """Raises InputError for an empty question, an empty or single choice, or what is beyond ``limits``."""
    bounds = limits()
    _check_text(question, "the question")
    if not question.strip():
        raise InputError("the question is empty, expected a sentence.")
    bounds.check("query_characters", len(question), f"the question has {len(question):,} characters")
    if choices is None:
        return
    if isinstance(choices, str) or not isinstance(choices, Sequence):
        raise InputError(f"choices are {choices!r:.80}, expected a list of at least two sentences.")
    for choice in choices:
        _check_text(choice, "a choice")
    if len(choices) < 2 or not all(choice.strip() for choice in choices):
        raise InputError(f"choices are {list(choices)}, expected at least two and none empty.")
    bounds.check("choices", len(choices), f"{len(choices):,} choices were given")
    longest = max(len(choice) for choice in choices)
    bounds.check("query_characters", longest, f"a choice has {longest:,} characters")


def check_amounts(
    duration_s: float,
    *,
    top_k: int | None = None,
    clip_s: float | None = None,
    max_new_tokens: int | None = None,
) -> None:
    """Raises InputError for a number of moments, a length of clips or of an answer that makes no sense, or too much.

    None is not looked at.
    """
    bounds = limits()
    for name, value, limit in (("top_k", top_k, "moments"), ("max_new_tokens", max_new_tokens, "new_tokens")):
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name} is {value!r}, expected a whole number of at least 1.")
        bounds.check(limit, value, f"{name} is {value:,}")
    if clip_s is not None:
        if not (isinstance(clip_s, (int, float)) and math.isfinite(clip_s) and clip_s > 0):
            raise InputError(f"clip_s is {clip_s!r}, expected a positive number of seconds.")
        bounds.check(
            "clips",
            duration_s / clip_s,
            f"clip_s is {clip_s:g}, which makes {duration_s / clip_s:,.0f} clips",
        )


def _check_text(text: object, what: str) -> None:
    """Raises InputError for anything that is not text, or holds half a surrogate pair, which no model can read."""
    if not isinstance(text, str):
        raise InputError(f"{what} is {text!r:.80}, expected text.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise InputError(f"{what} {text[:80]!r} holds half a character, expected UTF-8 text.") from None


def unfamiliar(path: str, model: str) -> str:
    """What is said of a video unlike those that a model was trained on."""
    return (
        f"{path} is unlike the videos that the model {model!r} was trained on, so its answers mean little; use a model "
        "that knows such videos (--model; `videoexpert models` lists some)."
    )


def per_video(videos: Sequence[Any], queries: Sequence[str] | Sequence[Sequence[str]]) -> list[list[str]]:
    """The queries on each video. Raises InputError for another number of lists than of videos."""
    if all(isinstance(query, str) for query in queries):
        return [[str(query) for query in queries] for _ in videos]
    if any(isinstance(own, str) for own in queries) or len(queries) != len(videos):
        raise InputError(
            f"there are {len(videos)} videos and {len(queries)} lists of queries, expected a list for each video, "
            "or sentences that are asked about all."
        )
    return [list(own) for own in queries]
