"""CLIP and SigLIP as a backend: frames against sentences, moments by training-free algorithms (docs/real-videos.md).

A query's curve is its cosine with each frame, mean over phrasings, less what generic sentences get there. Windows come
from ``--method``. All scores are in units of that background, so that they compare across queries and videos; they
are not calibrated until `videoexpert calibrate` has seen labelled data.
"""

from __future__ import annotations

import math
import os
import time
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from ..assets import SHIPPED_CLIP
from ..errors import InputError, ModelWarning, UnsupportedError
from ..grounding.decoding import highlights_of
from ..language.words import Words
from ..runtime import read_ahead
from ..types import FAMILIAR, Answer, Highlights, Moment, Moments, Stretch
from ..video.glance import glance
from ..video.stream import stream_frames
from ..vision.image_text import ImageTextTower, load_tower
from .base import check_queries, check_question, one_window
from .expert import unfamiliar
from .fitted import TakesFit
from .package_world import package_familiarity
from .sourced import sourced
from .training_free.methods import METHODS, SMOOTH
from .training_free.sentences import BACKGROUND, PHRASINGS, phrasings
from .training_free.signal import Floats, moving_average
from .training_free.tracks import Track, track
from .worded import told_of

SHIPPED = "shipped CLIP"
RATE = 2.0  # frames a second
# The best of three on planted events in noise, and as good on the shipped CLIP (benchmarks/training_free.py).
METHOD = "tag"
BATCH = {"cpu": 16, "cuda": 128}
AHEAD = 4  # batches of decoded frames that wait
# Standard deviations of the background at which a score and presence are one half, and for how many they are in doubt.
# Read off the shipped CLIP, on other videos than those of the benchmark: what stands out less than 93 of 100 generic
# sentences counts as absent. No other encoder was measured.
SCORE_AT, PRESENT_AT, DOUBT = 0.7, 1.5, 0.3
FLOOR = 1e-3  # least standard deviation of cosines: below it a video does not tell sentences apart


class Contrastive(TakesFit):
    """An image-text tower; ``open`` gives videos to ask about. A Backend (base.py).

    rate         frames a second that are looked at
    method       "tag", "tfvtg" or "watershed"
    batch_size   frames that go through the tower at once
    """

    can = frozenset({"ground", "highlight", "ask"})
    familiarity_of: Callable[..., float | None] | None = None  # of a tower that knows what it was trained on

    def __init__(
        self,
        tower: ImageTextTower,
        *,
        rate: float = RATE,
        method: str = METHOD,
        batch_size: int = BATCH["cpu"],
    ) -> None:
        if not (math.isfinite(rate) and rate > 0):
            raise InputError(f"rate is {rate}, expected a positive number of frames a second.")
        if method not in METHODS:
            raise InputError(f"method is {method!r}, expected one of {', '.join(METHODS)}.")
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}, expected at least 1.")
        self.tower, self.rate, self.method, self.batch_size = tower, rate, method, batch_size
        self.name = tower.name
        self.words = Words(getattr(tower, "tokenizer", None))

    def describe(self) -> dict[str, Any]:
        """Tower, preprocessing, frames, prompts and algorithm: all that decides what is answered."""
        return {
            "model": self.name,
            "kind": "contrastive",
            "weights": self.tower.revision,
            "preprocessing": self.tower.preprocessing.to_dict(),
            "rate": self.rate,
            "method": self.method,
            "prompts": list(PHRASINGS),
            "background": len(BACKGROUND),
            **self.describe_fit(),
        }

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> ContrastiveVideo:
        """Decode and encode a video, or its part from ``start`` to ``end`` (seconds), once.

        ``num_frames`` stands in place of the rate. Frames stream through the tower: what stays in memory is their
        embeddings. Raises VideoError for a file that gives no frames, InputError for a part outside the video.
        """
        if num_frames is not None and num_frames < 1:
            raise InputError(f"the number of frames is {num_frames}, expected at least 1.")
        began = time.perf_counter()
        stretch = glance(path, start_s=start, end_s=end).stretch
        count = max(1, round(self.rate * stretch.seen_s)) if num_frames is None else num_frames
        rate = count / stretch.seen_s  # bins of equal length that fill the video
        decoded = stream_frames(path, rate, start_s=start, end_s=end, resize=self.tower.resize)
        ahead = read_ahead(decoded, AHEAD * self.batch_size)
        video = self.open_track(track(ahead, self.tower, rate, stretch, self.batch_size), os.fspath(path))
        if self.familiarity_of is not None:
            video.familiarity = self.familiarity_of(path, start, end)
            if not video.familiar:
                warnings.warn(unfamiliar(os.fspath(path), self.name), ModelWarning, stacklevel=2)
        video.timings = {"decode and encode": time.perf_counter() - began}
        return video

    def open_track(self, frames: Track, path: str = "") -> ContrastiveVideo:
        """A video whose frames are encoded."""
        return ContrastiveVideo(self, frames, path)

    def directions(self, sentences: Sequence[str]) -> Floats:
        """(Q, C) mean over the phrasings of each sentence. Raises InputError for an empty one."""
        check_queries(sentences)
        worded = [phrasings(self.words.spelled(sentence), self._lower) for sentence in sentences]
        rows = self.tower.encode_texts([text for texts in worded for text in texts])
        return np.asarray(rows.double().numpy().reshape(len(sentences), len(PHRASINGS), -1).mean(1))

    @property
    def _lower(self) -> bool:
        """SigLIP 2 was trained on small letters alone, and its published tokenizer does not make them."""
        return bool(getattr(self.tower, "is_siglip", False))

    @cached_property
    def background(self) -> Floats:
        """(G, C) directions of the generic sentences."""
        return self.directions(BACKGROUND)


@sourced
class ContrastiveVideo:
    """An open video: the embeddings of its frames."""

    def __init__(self, backend: Contrastive, frames: Track, path: str) -> None:
        self.backend, self.frames, self.path = backend, frames, path
        self.duration, self.start = frames.stretch.duration_s, frames.stretch.start_s
        self.timings: dict[str, float] = {}
        self.familiarity: float | None = None
        self._features = frames.features.astype(np.float32)

    @property
    def looked_at(self) -> dict[str, float]:
        """What was looked at, for a result: one window, and its frames."""
        return one_window(self.duration, self.frames.count)

    @property
    def familiar(self) -> bool:
        """False where ``familiarity`` says that the tower was never shown such videos."""
        return self.familiarity is None or self.familiarity >= FAMILIAR

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """Ranked moments of a sentence, or of each of many. Raises InputError for an empty query."""
        asked = [queries] if isinstance(queries, str) else list(queries)
        if not asked:
            return []
        check_queries(asked)
        words = self.backend.words
        rests = {query: rest for query in asked if (rest := words.rest(query))}
        curves = self.curves(self.backend.directions([*asked, *rests.values()]))
        found = [self._moments(query, curve, top_k) for query, curve in zip(asked, curves, strict=False)]
        alone = {q: self._moments(q, curve, 1) for q, curve in zip(rests, curves[len(asked) :], strict=True)}
        told = [told_of(m, words.unknown(m.query), alone.get(m.query)) for m in found]
        return told[0] if isinstance(queries, str) else told

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds, and the best moments."""
        clip = Stretch(self.start, self.duration, self.frames.stretch.holes)
        return highlights_of(self.ground(query, top_k), clip, clip_s)

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """Raises UnsupportedError: such a model writes nothing."""
        raise UnsupportedError(
            f"{self.backend.name} compares pictures with sentences and writes none; caption with a chat model, such as "
            "--model Qwen/Qwen3-VL-2B-Instruct, or with a VideoExpert."
        )

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """The choice whose words some frame shows best: weak, as the question itself is not understood.

        Raises UnsupportedError without choices, InputError for fewer than two or an empty one.
        """
        check_question(question, choices)
        if choices is None:
            raise UnsupportedError(
                f"{self.backend.name} compares pictures with sentences and writes none; give --choice at least twice, "
                "or ask a chat model, such as --model Qwen/Qwen3-VL-2B-Instruct."
            )
        curves = self.curves(self.backend.directions(choices))
        peaks = moving_average(curves.T, SMOOTH).max(0)
        logits = torch.from_numpy(peaks * self.backend.tower.logit_scale)
        best = int(peaks.argmax())
        moments = self._moments(choices[best], curves[best], 3).items
        scores, unknown = tuple(logits.softmax(-1).tolist()), self.backend.words.unknown(*choices)
        return Answer(question, choices[best], best, moments, scores, unknown_words=unknown)

    def curves(self, directions: Floats) -> Floats:
        """(Q, C) -> (Q, K) cosines with each kept frame, less the background's mean there."""
        return np.asarray(
            (self._features @ directions.T.astype(np.float32)).T.astype(np.float64) - self._mean
        )

    @cached_property
    def _generic(self) -> Floats:
        """(G, K) cosines of the generic sentences."""
        return np.asarray(
            (self._features @ self.backend.background.T.astype(np.float32)).T.astype(np.float64)
        )

    @cached_property
    def _mean(self) -> Floats:
        return np.asarray(self._generic.mean(0))

    @cached_property
    def _scale(self) -> tuple[float, float, float]:
        """Of the generic sentences: spread of their cosines, mean and spread of their peaks."""
        rest = self._generic - self._mean
        peaks = moving_average(rest.T, SMOOTH).max(0)
        return max(float(rest.std()), FLOOR), float(peaks.mean()), max(float(peaks.std()), FLOOR)

    def _moments(self, query: str, curve: Floats, top_k: int | None) -> Moments:
        spread, peak_mean, peak_spread = self._scale
        smooth = moving_average(curve, SMOOTH)
        shown = _half_at((smooth - peak_mean) / peak_spread, PRESENT_AT)
        method = METHODS[self.backend.method]
        found = method(self._features, curve, self.frames.stretch.seen_s)
        scores = _half_at(found.contrast / spread, SCORE_AT)
        order = np.argsort(-scores, kind="stable")[:top_k]
        items = [
            Moment(*self.frames.seconds(*map(int, found.windows[i])), score=float(scores[i])) for i in order
        ]
        presence = float(shown.max())
        curve_of_bins = tuple(self.frames.spread(shown).tolist())
        moments = Moments(
            query,
            tuple(items),
            presence,
            presence < 0.5 and self.familiar,
            curve_of_bins,
            curve_times=self.frames.curve_times,
            familiar=self.familiar,
        )
        return moments if self.backend.fit is None else self.backend.fit.moments(moments)


def _half_at(deviations: Floats, half: float) -> Floats:
    """Standard deviations to (0, 1): one half at ``half``."""
    return np.asarray(1.0 / (1.0 + np.exp(np.clip((half - deviations) / DOUBT, -60, 60))))


def load(
    name: str | Path,
    *,
    device: torch.device,
    dtype: torch.dtype | None = None,
    rate: float = RATE,
    method: str = METHOD,
    batch_size: int | None = None,
) -> Contrastive:
    """The backend of a folder or hub id; "" is the CLIP of the package. Options are those of Contrastive.

    Raises CheckpointError as ``load_tower``, InputError for a wrong option.
    """
    tower = load_tower(name or SHIPPED_CLIP, device=device, dtype=dtype)
    tower.name = str(name) or SHIPPED
    size = batch_size or BATCH.get(torch.device(device).type, BATCH["cuda"])
    backend = Contrastive(tower, rate=rate, method=method, batch_size=size)
    if str(name) in ("", str(SHIPPED_CLIP)):
        backend.familiarity_of = package_familiarity
    return backend


__all__ = ["METHOD", "RATE", "Contrastive", "ContrastiveVideo", "load"]
