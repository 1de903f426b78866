"""What a score is compared with, on the same rail: guesses without a video, our model shown the wrong one."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..annotations.samples import Sample, clip_count
from ..errors import InputError
from ..windows import ious
from .runner import ModelSystem, Row

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
                duration = sample.duration_s or _duration(path)
                start, end = self.window(sample)
                moment: Row = {"start": start * duration, "end": end * duration, "score": 1.0}
                if sample.task == "caption":
                    moment["text"] = "something happens"
                row["moments"] = [moment]
                if sample.task == "highlight":
                    clips = clip_count(duration)
                    row["saliency"] = [float(start <= (c + 0.5) / clips <= end) for c in range(clips)]
            if sample.choices:
                row |= {"choice": self.choice(sample), "answer": sample.choices[self.choice(sample)]}
            yield row


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


class Shuffled(ModelSystem):
    """Our model, shown another video: what it says without the evidence. Times are scaled to the length."""

    def __init__(self, expert: Any, videos: Sequence[Path]) -> None:
        super().__init__(expert)
        if len(videos) < 2:
            raise InputError(f"shuffling needs at least 2 videos, got {len(videos)}.")
        ordered = sorted(videos)
        self.other = {path: ordered[(i + 1) % len(ordered)] for i, path in enumerate(ordered)}
        self.name = "shuffled"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "control": "another video"}

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        shown = self.other[path]
        scale = (samples[0].duration_s or _duration(path)) / _duration(shown)
        for row in super().answer(shown, [replace(s, clip=None) for s in samples]):
            for moment in row.get("moments", ()):
                moment["start"], moment["end"] = moment["start"] * scale, moment["end"] * scale
            yield row


class Blank(ModelSystem):
    """Our model, shown a grey picture for the length of the video."""

    def __init__(self, expert: Any) -> None:
        super().__init__(expert)
        self.name = "blank"

    def describe(self) -> dict[str, Any]:
        return {**super().describe(), "control": "blank video"}

    def open(self, path: Path, clip: tuple[float, float] | None, samples: list[Sample]) -> Any:
        return self.expert.open_blank(samples[0].duration_s or _duration(path))


class ClipSimilarity(Guess):
    """Class tokens against the text tower of a CLIP folder, which was not trained to localise."""

    name = "clip"

    def __init__(self, clip: str | Path, num_frames: int = 100) -> None:
        import torch
        from transformers import AutoTokenizer, CLIPModel

        from ..vision.encoder import VisionEncoder

        self.path, self.num_frames, self.torch = str(clip), num_frames, torch
        self.vision = VisionEncoder.from_pretrained(clip).float()
        self.model = CLIPModel.from_pretrained(str(clip)).float().eval()
        self.tokenizer = AutoTokenizer.from_pretrained(str(clip))

    def describe(self) -> dict[str, Any]:
        return {"baseline": self.name, "clip": self.path, "frames": self.num_frames}

    def similarities(self, path: Path, texts: Sequence[str]) -> np.ndarray:
        """(len(texts), N) cosine of each text to each frame."""
        from ..video.decode import read_frames

        torch = self.torch
        frames = read_frames(path, self.num_frames, resize=self.vision.preprocessor.resize)
        image = torch.nn.functional.normalize(self.vision.encode(frames.pixels).cls, dim=-1)
        ended = [text + (self.tokenizer.eos_token or "") for text in texts]
        batch = self.tokenizer(ended, return_tensors="pt", padding=True, truncation=True)
        with torch.no_grad():
            pooled = self.model.text_model(
                input_ids=batch.input_ids, attention_mask=batch.attention_mask
            ).pooler_output
            text = torch.nn.functional.normalize(self.model.text_projection(pooled), dim=-1)
        found: np.ndarray = (text @ image.T).numpy()
        return found

    def answer(self, path: Path, samples: list[Sample]) -> Iterator[Row]:
        torch = self.torch
        from ..grounding.decoding import decode_moments, saliency
        from ..grounding.targets import frame_centres

        asked = self.similarities(path, [s.query or "something happens" for s in samples])
        for sample, curve in zip(samples, asked, strict=True):
            duration = sample.duration_s or _duration(path)
            spread = curve.max() - curve.min()
            prob = torch.from_numpy((curve - curve.min()) / (spread if spread > 0 else 1.0))
            centres = frame_centres(len(prob))
            found = decode_moments(
                prob, torch.zeros(len(prob), 2), centres, duration, moment_from="run", top_k=10
            )
            row: Row = {"id": sample.id, "video": sample.video, "query": sample.query}
            row["moments"] = [{"start": m.start, "end": m.end, "score": m.score} for m in found]
            if sample.task == "caption":
                row["moments"] = [{**m, "text": "something happens"} for m in row["moments"][:1]]
            if sample.task == "highlight":
                row["saliency"] = list(saliency(prob, duration)[1])
            if sample.choices:
                best = self.similarities(path, list(sample.choices)).max(axis=1).argmax()
                row |= {"choice": int(best), "answer": sample.choices[int(best)]}
            yield row


def _duration(path: Path) -> float:
    from ..video.probe import probe

    return probe(path).duration_s
