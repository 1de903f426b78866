"""A long video: windows of the length that the model was trained for, asked in batches, answers put together.

One pass over the file makes the windows' visual tokens, which wait on disk; every question then runs over all windows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from statistics import median
from typing import Any, overload

from ..engine import Opened
from ..engine.merge import CurveMerger, Merger
from ..engine.spool import Spool
from ..grounding.decoding import highlights_of
from ..types import FAMILIAR, Answer, Evidence, Highlights, Moment, Moments, Stretch, VisualTokens
from .blank import evidence_of
from .sourced import sourced

TOGETHER = 16  # windows whose answers are in memory at a time
BEST = 5  # moments of a window that take part, at least


@sourced
class LongVideo:
    """An open video in windows. Answers as of a Video; times are seconds on the clock of the whole video.

    ``expert``: an Expert, whose module imports this one.
    """

    def __init__(self, expert: Any, windows: Sequence[Opened], path: str = "") -> None:
        self.expert, self.windows, self.path = expert, list(windows), path
        self.timings: dict[str, float] = {}
        self.start = self.windows[0].clip.start_s
        self.duration = self.windows[-1].clip.end_s - self.start

    @classmethod
    def of(cls, expert: Any, tokens: Iterable[VisualTokens], path: str = "") -> LongVideo:
        """The windows whose tokens come in one after the other; they wait on disk."""
        spool = Spool()
        return cls(expert, [spool.add(window) for window in tokens], path)

    @cached_property
    def familiarity(self) -> float | None:
        """As of a Video: the median over the windows, so that an odd window does not speak for a film."""
        found = [f for f in map(self.expert.familiarity, self.windows) if f is not None]
        return float(median(found)) if found else None

    @property
    def familiar(self) -> bool:
        """False where ``familiarity`` says that the model was never shown such videos."""
        return self.familiarity is None or self.familiarity >= FAMILIAR

    @property
    def looked_at(self) -> dict[str, Any]:
        """What was looked at, for a result: windows, and frames in each."""
        first = self.windows[0]
        return {
            "windows": len(self.windows),
            "window": first.clip.duration_s,
            "overlap": first.clip.end_s - self.windows[1].clip.start_s if len(self.windows) > 1 else 0.0,
            "frames": len(self.windows) * len(first.tokens.temporal),
        }

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """Ranked moments of a sentence, or of each of many: found in every window and put together.

        An event cut by a window's edge is one moment; ``presence`` is that of the best window. Raises InputError for
        an empty query.
        """
        asked = [queries] if isinstance(queries, str) else list(queries)
        found = self._ground(asked, top_k)
        return found[0] if isinstance(queries, str) else found

    def _ground(self, queries: Sequence[str], top_k: int | None) -> list[Moments]:
        step = self._step
        mergers = [Merger(step, nms_iou=self.expert.config.nms_iou) for _ in queries]
        axes = [CurveMerger(self.start, self.start + self.duration, step) for _ in queries]
        final: list[list[Moment]] = [[] for _ in queries]
        best, absent, guess = [0.0] * len(queries), [True] * len(queries), [False] * len(queries)
        unknown = [self.expert.words.unknown(query) for query in queries]
        each = None if top_k is None else max(top_k, BEST)
        for number, window, found in self._in_windows(queries, each):
            span = (window.clip.start_s, window.clip.end_s)
            edges = {"first": number == 0, "last": number == len(self.windows) - 1}
            for q, moments in enumerate(found):
                final[q] += mergers[q].add(span, moments.items, **edges)
                axes[q].add(span, moments.curve, window.clip.holes)
                if moments.presence >= best[q]:
                    best[q], guess[q] = moments.presence, moments.guess
                absent[q] &= moments.absent
        return [
            Moments(
                query,
                ranked(items, top_k),
                presence,
                gone and self.familiar,
                axis.curve(),
                familiar=self.familiar,
                unknown_words=words,
                guess=guessed,
            )
            for query, items, presence, gone, axis, words, guessed in zip(
                queries, final, best, absent, axes, unknown, guess, strict=True
            )
        ]

    def _in_windows(
        self, queries: Sequence[str], top_k: int | None
    ) -> Iterator[tuple[int, Opened, list[Moments]]]:
        for start in range(0, len(self.windows), TOGETHER):
            block = self.windows[start : start + TOGETHER]
            found = self.expert.ground_opened(block, [queries] * len(block), top_k)
            yield from zip(range(start, start + len(block)), block, found, strict=True)

    @property
    def _step(self) -> float:
        """Seconds that a frame of a window covers."""
        first = self.windows[0]
        return first.clip.duration_s / len(first.tokens.temporal)

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds of the whole video, and the best moments."""
        (moments,) = self._ground([query], top_k)
        return highlights_of(moments, Stretch(self.start, self.duration), clip_s)

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Sentences of all windows in temporal order; an event described by two windows appears once."""
        merger = Merger(self._step, nms_iou=None, alike=lambda a, b: a.text == b.text)
        found: list[Moment] = []
        for start in range(0, len(self.windows), TOGETHER):
            block = self.windows[start : start + TOGETHER]
            for offset, told in enumerate(self.expert.answers.captions(block, max_new_tokens)):
                number, clip = start + offset, block[offset].clip
                last = number == len(self.windows) - 1
                found += merger.add((clip.start_s, clip.end_s), told, first=number == 0, last=last)
        return sorted(found, key=lambda m: (m.start, m.end))

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """The answer in the window that most likely shows what is asked, and the moments that prove it there."""
        asked = self.expert.question(question, choices)
        seen = [(moments.presence, -number) for number, _, (moments,) in self._in_windows([question], 1)]
        window = self.windows[-max(seen)[1]]
        return self.expert.answers.ask([window], [[asked]], max_new_tokens)[0][0]

    def blank(self) -> LongVideo:
        """The same windows of grey pictures."""
        grey = [
            self.expert.open_blank(w.clip.duration_s, w.clip.start_s, len(w.tokens.temporal)).tokens
            for w in self.windows
        ]
        return LongVideo.of(self.expert, grey)

    @overload
    def evidence(self, queries: str) -> Evidence: ...  # type: ignore[overload-overlap]
    @overload
    def evidence(self, queries: Sequence[str]) -> list[Evidence]: ...
    def evidence(self, queries: str | Sequence[str]) -> Evidence | list[Evidence]:
        """How far the answer to a query, or to each of many, moves when the video is taken away."""
        asked = [queries] if isinstance(queries, str) else list(queries)
        pairs = zip(self._ground(asked, 1), self.blank()._ground(asked, 1), strict=True)
        found = [evidence_of(seen, guessed) for seen, guessed in pairs]
        return found[0] if isinstance(queries, str) else found


def ranked(items: Sequence[Moment], top_k: int | None) -> tuple[Moment, ...]:
    """Best first; of equal scores the earlier."""
    return tuple(sorted(items, key=lambda m: (-m.score, m.start, m.end))[:top_k])


__all__ = ["LongVideo"]
