"""The seam between verbs and what speaks: a local model or a server is shown frames, and asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...types import Frames
from .frames import Budget, Size


@dataclass(frozen=True)
class Chance:
    """One generated token: which characters of the reply it wrote, and its log-probability."""

    start: int
    end: int
    logprob: float


@dataclass(frozen=True)
class Reply:
    """A generated text; ``chances`` is empty where log-probabilities are not known."""

    text: str
    chances: tuple[Chance, ...] = ()


@dataclass(frozen=True)
class Ask:
    """One question; ``seed`` None: the likeliest answer, else one sampled with that seed."""

    text: str
    max_new_tokens: int
    seed: int | None = None


class Talk(Protocol):
    """A conversation about the frames of one video; each question is answered as if it were the first."""

    def replies(self, asks: Sequence[Ask]) -> list[Reply]:
        """The answer to each."""
        ...

    def likelihoods(self, question: str, answers: Sequence[str]) -> list[float] | None:
        """Log-probability of each short answer; None if the model does not return it."""
        ...


class Talker(Protocol):
    """A model that can be shown frames.

    ``multiple``: the number of frames is one of it. ``budget``: how much of a video it is shown by default.
    ``videos_at_once``: how many conversations keep it busy.
    """

    name: str
    videos_at_once: int
    multiple: int
    budget: Budget

    def size_for(self, budget: Budget) -> Callable[[int], Size]:
        """For a number of frames, the rule for their size."""
        ...

    def look(self, frames: Frames) -> Talk:
        """Begin to talk about the frames of one video."""
        ...

    def describe(self) -> dict[str, Any]:
        """Fields for a result file: weights, precision, how times are conveyed; JSON values only."""
        ...


def chances_of(pieces: Sequence[tuple[str, float]]) -> tuple[Chance, ...]:
    """From (text, log-probability) of each token; the texts follow each other in the reply."""
    found, place = [], 0
    for text, logprob in pieces:
        found.append(Chance(place, place + len(text), logprob))
        place += len(text)
    return tuple(found)
