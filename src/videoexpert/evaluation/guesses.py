"""Guesses that look at no video: what a score is compared with, on the same rail."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..annotations.samples import Sample
from ..errors import InputError
from ..windows import clip_count, ious
from .systems import Row, duration_of

GRID = 40  # the constant window is found on a grid of fortieths of the duration


class Guess:
    """A window that does not look at the video. Subclasses say which."""

    name = "guess"

    def describe(self) -> dict[str, Any]:
        return {"baseline": self.name}

    def window(self, sample: Sample) -> tuple[float, float]:
        """Start and end as fractions of the duration."""
        raise NotImplementedError

    def choice(self, sample: Sample) -> int:
        return 0

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        for sample in samples:
            row: Row = {"id": sample.id, "video": sample.video, "query": sample.query}
            if sample.task != "qa":  # a question without evidence is answered, not located
                duration = sample.duration_s or duration_of(path)
                start, end = self.window(sample)
                moment: Row = {"start": start * duration, "end": end * duration, "score": 1.0}
                if sample.task == "caption":
                    moment["text"] = "something happens"
                row["moments"] = [moment]
                if sample.task == "highlight":
                    row["saliency"] = [float(start <= middle <= end) for middle in _middles(sample, duration)]
            if sample.choices:
                row |= {"choice": self.choice(sample), "answer": sample.choices[self.choice(sample)]}
            yield row


def _middles(sample: Sample, duration_s: float) -> list[float]:
    """The middle of each clip that is scored, as a fraction of the duration."""
    if sample.clips:
        return [(start + end) / 2 / duration_s for start, end in sample.clips]
    clips = clip_count(duration_s)
    return [(clip + 0.5) / clips for clip in range(clips)]


class RandomGuess(Guess):
    """A random window and a random option, seeded by the sample's id."""

    name = "random"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def window(self, sample: Sample) -> tuple[float, float]:
        rng = random.Random(f"{self.seed}-{sample.id}")
        a, b = sorted((rng.random(), rng.random()))
        return a, b

    def choice(self, sample: Sample) -> int:
        return random.Random(f"{self.seed}-choice-{sample.id}").randrange(len(sample.choices))


class ConstantGuess(Guess):
    """The one window (as fractions of the duration) with the best mean IoU on training windows."""

    name = "constant"

    def __init__(self, train: Sequence[Sample]) -> None:
        spans = [
            (a / s.duration_s, min(1.0, b / s.duration_s))
            for s in train
            if s.duration_s
            for a, b in s.windows
        ]
        if not spans:
            raise InputError(
                "the training annotations hold no window with a duration; give those of a training split."
            )
        self.span = best_constant(np.array(spans))
        counts: dict[int, int] = {}
        for s in train:
            if s.choice is not None:
                counts[s.choice] = counts.get(s.choice, 0) + 1
        self.option = max(counts, key=lambda c: (counts[c], -c)) if counts else 0

    def describe(self) -> dict[str, Any]:
        return {"baseline": self.name, "window": list(self.span)}

    def window(self, sample: Sample) -> tuple[float, float]:
        return self.span

    def choice(self, sample: Sample) -> int:
        return min(self.option, len(sample.choices) - 1)


def best_constant(spans: np.ndarray) -> tuple[float, float]:
    """(start, end) on the grid with the highest mean IoU to spans (K, 2)."""
    edges = np.arange(GRID + 1) / GRID
    starts, ends = np.meshgrid(edges, edges, indexing="ij")
    starts, ends = starts[starts < ends], ends[starts < ends]
    made = np.stack([starts, ends], axis=-1)
    best = int(ious(made[:, None], spans[None]).mean(axis=1).argmax())
    return float(starts[best]), float(ends[best])
