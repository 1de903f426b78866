"""Frames against sentences: a CLIP model, which was not trained to localise, as a backend.

A query's curve is its cosine with each frame, stretched to [0, 1] within the video; moments are its runs.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPModel

from ..assets import SHIPPED_CLIP
from ..errors import InputError, UnsupportedError
from ..grounding.decoding import decode_moments, saliency
from ..grounding.targets import frame_centres
from ..types import Answer, Highlights, Moment, Moments, Stretch
from ..video.decode import read_frames
from ..vision.encoder import VisionEncoder
from .base import TASKS
from .sourced import sourced

NUM_FRAMES = 100
ANYTHING = "something happens"  # what stands for a description, which it cannot write


class Contrastive:
    """A CLIP folder or hub id; ``open`` gives videos to ask about."""

    can = TASKS

    def __init__(self, clip: str | Path, num_frames: int = NUM_FRAMES) -> None:
        self.name, self.path, self.num_frames = "clip", str(clip), num_frames
        self.vision = VisionEncoder.from_pretrained(clip).float()
        self.model = CLIPModel.from_pretrained(str(clip)).float().eval()
        self.tokenizer = AutoTokenizer.from_pretrained(str(clip))

    def describe(self) -> dict[str, Any]:
        return {"baseline": self.name, "clip": self.path, "frames": self.num_frames}

    def open(
        self,
        path: str | os.PathLike[str],
        *,
        start: float | None = None,
        end: float | None = None,
        num_frames: int | None = None,
    ) -> ContrastiveVideo:
        """Decode and encode a video, or its part from ``start`` to ``end`` (seconds), once."""
        count = self.num_frames if num_frames is None else num_frames
        frames = read_frames(path, count, start_s=start, end_s=end, resize=self.vision.preprocessor.resize)
        image = F.normalize(self.vision.encode(frames.pixels).cls, dim=-1)
        return ContrastiveVideo(self, image, frames.stretch, os.fspath(path))

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(len(texts), C) directions of the texts."""
        ended = [text + (self.tokenizer.eos_token or "") for text in texts]
        batch = self.tokenizer(ended, return_tensors="pt", padding=True, truncation=True)
        read = self.model.text_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return F.normalize(self.model.text_projection(read.pooler_output), dim=-1)


@sourced
class ContrastiveVideo:
    """An open video: the direction of each of its frames, (N, C)."""

    def __init__(self, backend: Contrastive, image: Tensor, clip: Stretch, path: str) -> None:
        self.backend, self.image, self.clip, self.path = backend, image, clip, path
        self.duration, self.start = clip.duration_s, clip.start_s

    def similarities(self, texts: Sequence[str]) -> Tensor:
        """(len(texts), N) cosine of each text with each frame."""
        return self.backend.texts(texts) @ self.image.T

    @overload
    def ground(self, queries: str, top_k: int | None = ...) -> Moments: ...  # type: ignore[overload-overlap]
    @overload
    def ground(self, queries: Sequence[str], top_k: int | None = ...) -> list[Moments]: ...
    def ground(self, queries: str | Sequence[str], top_k: int | None = 5) -> Moments | list[Moments]:
        """Ranked moments of a sentence, or of each of many."""
        asked = [queries] if isinstance(queries, str) else list(queries)
        if any(not query.strip() for query in asked):
            raise InputError("the query is empty, expected a sentence that describes what to find.")
        curves = self.similarities(asked) if asked else ()
        found = [self._moments(query, curve, top_k) for query, curve in zip(asked, curves, strict=True)]
        return found[0] if isinstance(queries, str) else found

    def highlights(self, query: str, top_k: int = 5, clip_s: float = 2.0) -> Highlights:
        """Saliency of each clip of ``clip_s`` seconds, and the best moments."""
        found = self.ground(query, top_k)
        curve = torch.tensor(found.curve)
        times, scores = saliency(curve, self.duration, clip_s, self.start, self.clip.holes)
        return Highlights(query, times, scores, found.items, clip_s, found.presence, found.absent)

    def caption(self, max_new_tokens: int = 512) -> list[Moment]:
        """One moment that says nothing: a floor for describing."""
        best = self.ground(ANYTHING, 1)[0]
        return [Moment(best.start, best.end, best.score, text=ANYTHING)]

    def ask(self, question: str, choices: Sequence[str] | None = None, max_new_tokens: int = 128) -> Answer:
        """The choice that comes closest to some frame. Raises UnsupportedError without choices."""
        if not choices:
            raise UnsupportedError(
                "a contrastive model writes no answers; give choices, or use another model."
            )
        best = self.similarities(list(choices)).amax(dim=1)
        moments = self.ground(question, 10).items
        return Answer(question, choices[int(best.argmax())], int(best.argmax()), moments)

    def _moments(self, query: str, curve: Tensor, top_k: int | None) -> Moments:
        spread = float(curve.max() - curve.min())
        prob = (curve - curve.min()) / (spread if spread > 0 else 1.0)
        found = decode_moments(
            prob,
            torch.zeros(len(prob), 2),
            frame_centres(len(prob)),
            self.clip.seen_s,
            moment_from="run",
            top_k=top_k,
        )
        times = self.clip.centres(len(prob)) if self.clip.holes else ()
        items = tuple(self.clip.moment(moment) for moment in found)
        return Moments(query, items, curve=tuple(prob.tolist()), curve_times=times)


def load(name: str, *, device: torch.device, dtype: torch.dtype | None = None) -> Contrastive:
    """The backend of a CLIP folder or hub id; "" is the CLIP of the package."""
    return Contrastive(name or SHIPPED_CLIP)


__all__ = ["Contrastive", "ContrastiveVideo", "load"]
