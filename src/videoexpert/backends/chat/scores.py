"""Scores for moments that came as text. Chat models give none: these are derived, named, and not calibrated.

``digits``     exp of the mean log-probability of the tokens that wrote the moment's two times
``agreement``  mean over sampled answers of the best overlap with one of their moments
``none``       nothing is known (a server without log-probabilities): every moment gets 1
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from . import literals
from .answers import Span, spoken
from .talk import Reply

KINDS = ("digits", "agreement")


def digit_scores(reply: Reply, spans: Sequence[Span], duration: float) -> list[float] | None:
    """A score in [0, 1] of each span; None where the reply has no log-probabilities.

    A span whose times do not appear as such (merged from several) gets the mean over all times of the answer.
    """
    if not reply.chances:
        return None
    said = spoken(reply.text)
    offset = max(0, reply.text.rfind(said))
    times = literals.find(said)
    all_of_them = _mean(reply, times, offset)
    scores = []
    for span in spans:
        own = [t for t in times if min(max(t.seconds, 0.0), duration) in (span.start, span.end)]
        mean = _mean(reply, own, offset) if own else all_of_them
        scores.append(1.0 if mean is None else math.exp(min(0.0, mean)))
    return scores


def _mean(reply: Reply, times: Sequence[literals.Literal], offset: int) -> float | None:
    """Mean log-probability of the tokens that wrote any of these times."""
    spans = [(time.start + offset, time.end + offset) for time in times]
    found = [c.logprob for c in reply.chances if any(c.start < end and c.end > start for start, end in spans)]
    return sum(found) / len(found) if found else None


def agreement_scores(spans: Sequence[Span], samples: Sequence[Sequence[Span]]) -> list[float]:
    """For each span, the mean over the samples of its best IoU with one of theirs."""
    return [
        sum(max((_overlap(span, other) for other in sample), default=0.0) for sample in samples)
        / max(1, len(samples))
        for span in spans
    ]


def _overlap(a: Span, b: Span) -> float:
    shared = max(0.0, min(a.end, b.end) - max(a.start, b.start))
    return shared / (a.end - a.start + b.end - b.start - shared)
