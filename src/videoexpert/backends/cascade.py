"""Two models on one question: a cheap one proposes windows, a dear one is shown those and decides.

>>> expert = videoexpert.load("laion/CLIP-ViT-B-32-laion2B-s34B-b79K", verify="Qwen/Qwen3-VL-8B-Instruct")
>>> expert.open("film.mp4").ground("a dog barks").verified   # Verified(verdict="present", probability=0.93, ...)

What comes out is what the second model answers about those windows, and nothing else; the first one only says where to
look.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, NoReturn, overload

from ..errors import InputError, UnsupportedError
from ..types import Answer, Highlights, Moment, Moments, Verified
from .base import Backend, OpenVideo, check_queries
from .chat.answers import FAILURES
from .sourced import sourced

PROPOSALS = 5  # moments of the first model whose surroundings the second one is shown
MARGIN_S = 2.0  # shown on either side of a moment
JOIN_S = 2.0  # windows closer than this are one
LONGEST_S = 150.0  # shown at once; a chat model sees longer windows at fewer frames a second
Window = tuple[float, float]


class Cascade:
    """``proposer`` says where to look, ``verifier`` decides there. A Backend (base.py) that grounds.

    proposals   moments of the proposer that are looked at, the best first
    margin_s    seconds shown on either side of a moment
    join_s      windows closer than this become one
    longest_s   longer windows are shown in pieces that overlap by twice the margin; moments that meet there are one

    Raises UnsupportedError for a model that does not ground, InputError for a wrong number.
    """

    can = frozenset({"ground"})

    def __init__(
        self,
        proposer: Backend,
        verifier: Backend,
        *,
        proposals: int = PROPOSALS,
        margin_s: float = MARGIN_S,
        join_s: float = JOIN_S,
        longest_s: float = LONGEST_S,
    ) -> None:
        for backend in (proposer, verifier):
            if "ground" not in backend.can:
                raise UnsupportedError(
                    f"{backend.name} finds no moments; a cascade needs two models that do."
                )
        if proposals < 1:
            raise InputError(f"proposals is {proposals}, expected at least 1.")
        for name, value in (("margin_s", margin_s), ("join_s", join_s)):
            if not (math.isfinite(value) and value >= 0):
                raise InputError(f"{name} is {value}, expected 0 or more seconds.")
        if not longest_s > 4 * margin_s:
            raise InputError(
                f"longest_s is {longest_s}, expected more than four margins ({4 * margin_s:g} s)."
            )
        self.proposer, self.verifier = proposer, verifier
        self.proposals, self.margin_s, self.join_s = proposals, margin_s, join_s
        self.longest_s = longest_s
        self.name = f"{proposer.name}, verified by {verifier.name}"
        if hasattr(proposer, "open_long"):
            self.open_long = self._open_long

    @property
    def calibrated(self) -> bool:
        """Whether the scores were fitted on labelled data; they are the verifier's."""
        return bool(getattr(self.verifier, "calibrated", False))

    def describe(self) -> dict[str, Any]:
        """Both models, and how windows come about."""
        return {
            "model": self.name,
            "kind": "cascade",
            "propose": self.proposer.describe(),
            "verify": self.verifier.describe(),
            "proposals": self.proposals,
            "margin": self.margin_s,
            "join": self.join_s,
            "longest": self.longest_s,
            "calibrated": self.calibrated,
        }

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> CascadeVideo:
        """The video, opened by the proposer; the verifier opens windows when it is asked.

        ``num_frames`` is the proposer's. Raises what the proposer's ``open`` raises.
        """
        opened = self.proposer.open(path, start=start, end=end, num_frames=num_frames)
        return CascadeVideo(self, opened, os.fspath(path))

    def _open_long(self, path: str | os.PathLike[str], **options: Any) -> CascadeVideo:
        """``open`` where the proposer looks at long videos in windows; options are its own."""
        opened: OpenVideo = self.proposer.open_long(path, **options)  # type: ignore[attr-defined]
        return CascadeVideo(self, opened, os.fspath(path))


@sourced
class CascadeVideo:
    """A video that one model has opened; another is shown parts of it."""

    def __init__(self, backend: Cascade, opened: OpenVideo, path: str) -> None:
        self.backend, self.opened, self.path = backend, opened, path
        self.duration, self.start = opened.duration, opened.start
        self.timings: dict[str, float] = {}
        self.familiarity: float | None = None  # the verifier's, of the window that it knows least

    @property
    def looked_at(self) -> Any:
        """As of the proposer's video."""
        return getattr(self.opened, "looked_at", None)

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """What the verifier answers about the windows that the proposer names, with ``verified`` set.

        ``curve`` is the proposer's, who saw the whole video. Raises InputError for an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        check_queries(asked)
        proposed = self.opened.ground(asked, self.backend.proposals)
        windows = [self.windows(found) for found in proposed]
        answers = self._asked(asked, windows, top_k)
        found = [self._decided(*one, top_k) for one in zip(proposed, windows, answers, strict=True)]
        return found[0] if isinstance(queries, str) else found

    def windows(self, moments: Sequence[Moment]) -> list[Window]:
        """The parts that the verifier is shown for these proposals: ascending, apart, whole milliseconds."""
        margin, last = self.backend.margin_s, self.start + self.duration
        padded = sorted((max(self.start, m.start - margin), min(last, m.end + margin)) for m in moments)
        joined: list[Window] = []
        for start, end in padded:
            if joined and start - joined[-1][1] < self.backend.join_s:
                joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
            else:
                joined.append((start, end))
        # down: an end after the video's own would be refused
        return [(_milliseconds(start), _milliseconds(end)) for start, end in joined]

    def pieces(self, window: Window) -> list[Window]:
        """A window as it is shown: whole, or in equal pieces of at most ``longest_s`` that overlap by two margins."""
        (start, end), overlap = window, 2 * self.backend.margin_s
        count = math.ceil((end - start - overlap) / (self.backend.longest_s - overlap))
        if end - start <= self.backend.longest_s or count < 2:
            return [window]
        step = (end - start - overlap) / count
        starts = [_milliseconds(start + i * step) for i in range(count)]
        return [(one, min(end, _milliseconds(one + step + overlap))) for one in starts]

    def _asked(
        self, queries: Sequence[str], windows: Sequence[Sequence[Window]], top_k: int | None
    ) -> list[list[Moments]]:
        """The verifier's answers to each query, one a piece of a window; each piece is opened once."""
        shown = [[self.pieces(window) for window in own] for own in windows]
        wanted: dict[Window, list[int]] = {}
        for number, own in enumerate(shown):
            for piece in chain.from_iterable(own):
                wanted.setdefault(piece, []).append(number)
        answers: dict[tuple[int, Window], Moments] = {}
        for piece in sorted(wanted):
            numbers = wanted[piece]
            part = self.backend.verifier.open(self.path, start=piece[0], end=piece[1])
            known = getattr(part, "familiarity", None)
            if known is not None:
                self.familiarity = known if self.familiarity is None else min(known, self.familiarity)
            for number, found in zip(numbers, part.ground([queries[i] for i in numbers], top_k), strict=True):
                answers[number, piece] = found
        return [
            [found for pieces in own for found in meeting([answers[number, piece] for piece in pieces])]
            for number, own in enumerate(shown)
        ]

    def _decided(
        self, proposed: Moments, windows: Sequence[Window], answers: Sequence[Moments], top_k: int | None
    ) -> Moments:
        """One answer of those about the windows."""
        # the likeliest of the answers that could be read
        best = max(readable(answers) or answers, key=lambda m: m.presence, default=proposed)
        verdict = verdict_of(answers) if answers else ("absent" if proposed.absent else "unknown")
        items = sorted((m for found in answers for m in found), key=lambda m: (-m.score, m.start, m.end))
        return Moments(
            proposed.query,
            tuple(items[:top_k]),
            best.presence,
            verdict == "absent",
            proposed.curve,
            best.told,
            proposed.curve_times,
            familiar=all(found.familiar for found in answers) if answers else proposed.familiar,
            unknown_words=best.unknown_words,
            guess=best.guess,
            verified=Verified(
                self.backend.verifier.name, verdict, best.presence, tuple(windows), self.duration
            ),
        )

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Raises UnsupportedError: the verifier has not seen all clips."""
        self._refuse("rates no clips")

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Raises UnsupportedError: nothing is proposed without a query."""
        self._refuse("describes no videos")

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """Raises UnsupportedError."""
        self._refuse("answers no questions")

    def _refuse(self, what: str) -> NoReturn:
        raise UnsupportedError(f"a cascade of two models {what}, it grounds; ask one of them by itself.")


def meeting(answers: Sequence[Moments]) -> list[Moments]:
    """Answers about pieces of one window, in order: moments that meet where pieces overlap are one, in the first."""
    found = list(answers)
    for i in range(len(found) - 1):
        items, later = list(found[i]), list(found[i + 1])
        for moment in list(later):
            met = next((m for m in items if m.start <= moment.end and moment.start <= m.end), None)
            if met is not None:
                later.remove(moment)
                items.remove(met)
                # it goes on with the later piece, where the next one may meet it
                later.append(
                    replace(
                        met if met.score >= moment.score else moment,
                        start=min(met.start, moment.start),
                        end=max(met.end, moment.end),
                    )
                )
        found[i], found[i + 1] = (
            replace(found[i], items=tuple(items)),
            replace(found[i + 1], items=tuple(later)),
        )
    return found


def verdict_of(answers: Sequence[Moments]) -> str:
    """ "present" if a window shows the event, "absent" if none does, "unknown" if that cannot be decided."""
    told = readable(answers)
    if any(not found.absent and not found.cannot_tell and len(found) for found in told):
        return "present"
    return "absent" if len(told) == len(answers) and all(found.absent for found in told) else "unknown"


def readable(answers: Sequence[Moments]) -> list[Moments]:
    """The answers in which a moment, or its absence, could be read."""
    return [found for found in answers if found.told is None or found.told.parsed not in FAILURES]


def _milliseconds(seconds: float) -> float:
    return math.floor(seconds * 1000) / 1000


__all__ = ["Cascade", "CascadeVideo", "verdict_of"]
