"""The mixture: which samples are in which micro-batch of a run, decided once from the seed.

The plan does not depend on the number of processes, on ``packed``, or on where a run was interrupted: micro-batch
i of a run is always the same samples in the same wording.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

from torch.utils.data import Dataset

from ..annotations.readers import read
from ..annotations.samples import Sample, Window, sentences_as_queries
from ..errors import DataError
from ..features.store import video_key
from ..language.prompter import Prompter
from ..recipes import SourceRecipe
from ..types import Stretch, VisualTokens
from .batches import Example, collate, make_example
from .conversation import conversation_example, usable_turns

POOL = 32  # micro-batches that are sorted by length together


class TokenSource(Protocol):
    """Visual tokens by key (``token_key``): a feature store, or a dict."""

    def __contains__(self, key: str) -> bool: ...
    def __getitem__(self, key: str) -> VisualTokens: ...


@dataclass(frozen=True)
class TrainingSource:
    """Samples that can be trained on, with their tokens; ``left_out``: how many were not, by reason."""

    name: str
    samples: tuple[Sample, ...]
    tokens: TokenSource
    weight: float = 1.0
    left_out: dict[str, int] | None = None


class Pick(NamedTuple):
    """One sample of a micro-batch: its source and its place there."""

    source: int
    sample: int


def token_key(sample: Sample) -> str:
    """The key of the tokens of a sample's input."""
    return video_key(sample.video, sample.clip)


def read_samples(recipe: SourceRecipe) -> list[Sample]:
    """All samples of a source as its file holds them; dense captions also as queries where asked for."""
    samples = list(read(recipe.benchmark, recipe.annotations, split=recipe.split, **recipe.extra))
    if recipe.caption_queries:
        samples += sentences_as_queries(samples)
    return samples


def open_source(
    recipe: SourceRecipe, samples: Sequence[Sample], tokens: TokenSource, config: Any
) -> TrainingSource:
    """Keep the samples that have tokens and labels. Raises DataError where none has."""
    kept: list[Sample] = []
    left_out: Counter[str] = Counter()
    for sample in samples:
        reason = "no features" if token_key(sample) not in tokens else unusable(sample, config)
        if reason:
            left_out[reason] += 1
        else:
            kept.append(sample)
    if not kept:
        reasons = (
            ", ".join(f"{reason} ({count})" for reason, count in left_out.items()) or "the file is empty"
        )
        raise DataError(f"no sample of {recipe.annotations} can be trained on: {reasons}.")
    return TrainingSource(recipe.benchmark, tuple(kept), tokens, recipe.weight, dict(left_out))


def unusable(sample: Sample, config: Any) -> str | None:
    """Why a sample cannot be trained on; None where it can."""
    if not sample.labelled:
        return "no labels"
    if sample.task == "conversation":
        return None if usable_turns(sample, config)[0] else "times in every question"
    if sample.task == "caption":
        return None if sample.captions else "no captions"
    if sample.task in ("qa", "grounded_qa"):
        return None if sample.answer else "no answer"
    return None


def plan(
    sources: Sequence[TrainingSource],
    *,
    micro_batch: int,
    count: int,
    questions_per_video: int,
    seed: int,
    sort: bool = True,
) -> list[list[Pick]]:
    """``count`` micro-batches of ``micro_batch`` samples each.

    Sources are drawn so that their shares of the samples follow their weights; each goes through all of
    its videos before it sees one twice. Micro-batches hold samples of similar length, in random order.
    """
    total = sum(source.weight for source in sources)
    streams = [_stream(i, source, questions_per_video, seed) for i, source in enumerate(sources)]
    rng = random.Random(f"{seed}-plan")
    drawn = [0] * len(sources)
    rest: dict[int, list[Pick]] = {}  # of a video that did not fit into a pool
    batches: list[list[Pick]] = []
    while len(batches) < count:
        size = min(POOL, count - len(batches)) * micro_batch
        chunks: list[list[Pick]] = []
        missing = size
        while missing:
            # the source that is furthest behind its share
            here = sum(drawn)
            behind = [(here + 1) * s.weight / total - n for s, n in zip(sources, drawn, strict=True)]
            which = behind.index(max(behind))
            chunk = rest.pop(which, None) or next(streams[which])
            if len(chunk) > missing:
                chunk, rest[which] = chunk[:missing], chunk[missing:]
            drawn[which] += len(chunk)
            missing -= len(chunk)
            chunks.append(chunk)
        chunks.sort(key=lambda chunk: sum(text_length(sources[p.source].samples[p.sample]) for p in chunk))
        flat = [pick for chunk in chunks for pick in chunk]
        pool = [flat[i : i + micro_batch] for i in range(0, size, micro_batch)]
        rng.shuffle(pool)
        batches += pool
    return batches


def _stream(index: int, source: TrainingSource, questions_per_video: int, seed: int) -> Iterator[list[Pick]]:
    """Endless: samples of one video at a time, all videos in a new order each time round."""
    videos: dict[str, list[int]] = {}
    for place, sample in enumerate(source.samples):
        videos.setdefault(token_key(sample), []).append(place)
    turn = 0
    while True:
        rng = random.Random(f"{seed}-{index}-{turn}")
        chunks = []
        for places in videos.values():
            order = rng.sample(places, len(places))
            chunks += [order[i : i + questions_per_video] for i in range(0, len(order), questions_per_video)]
        rng.shuffle(chunks)
        for chunk in chunks:
            yield [Pick(index, place) for place in chunk]
        turn += 1


def text_length(sample: Sample) -> int:
    """Characters of question and answer, near enough to sort by."""
    texts = (sample.query or "", sample.answer or "", *sample.captions, *sample.choices)
    return sum(map(len, texts)) + sum(len(turn.text) for turn in sample.turns)


class MicroBatches(Dataset[dict[str, Any]]):
    """Micro-batch i of a plan as the tensors of ``VideoExpertModel.forward``.

    rng of a wording: seed, micro-batch and place in it. With ``fixed_wording`` the first wording is always used.
    """

    def __init__(
        self,
        sources: Sequence[TrainingSource],
        batches: Sequence[Sequence[Pick]],
        prompter: Prompter,
        *,
        packed: bool,
        seed: int,
        fixed_wording: bool = False,
    ) -> None:
        self.sources, self.batches, self.prompter = sources, batches, prompter
        self.packed, self.seed, self.fixed_wording = packed, seed, fixed_wording

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> dict[str, Any]:
        videos, rows = self.rows(index)
        return collate(videos, rows, self.prompter.prefix_ids, self.prompter.config)

    def rows(self, index: int) -> tuple[list[VisualTokens], list[list[Example]]]:
        """The videos of a micro-batch and the examples behind each; unpacked, a video is repeated."""
        videos: list[VisualTokens] = []
        rows: list[list[Example]] = []
        before: tuple[int, str] | None = None
        for place, (source, sample_index) in enumerate(self.batches[index]):
            sample = self.sources[source].samples[sample_index]
            here = (source, token_key(sample))
            if not (self.packed and here == before):
                videos.append(self.sources[source].tokens[here[1]])
                rows.append([])
            before = here
            rng = None if self.fixed_wording else random.Random(f"{self.seed}-{index}-{place}")
            rows[-1].append(example(self.prompter, sample, videos[-1], rng))
        return videos, rows


def example(
    prompter: Prompter, sample: Sample, tokens: VisualTokens, rng: random.Random | None = None
) -> Example:
    """A sample on the clock of its encoded video, whose length a data set may not know or give otherwise.

    A window past the encoded end stretches the clock instead: its label must not fall off the frames.
    """
    clip = tokens.stretch
    if clip.holes:
        sample = _seen(sample, clip)
    duration_s = clip.seen_s
    if any(start >= duration_s for start, _ in sample.windows):
        duration_s = max(end for _, end in sample.windows)
    if sample.task == "conversation":
        made = conversation_example(prompter, sample, duration_s)
        return (
            replace(made, windows=tuple(_seen_windows(w, clip) for w in made.windows)) if clip.holes else made
        )
    if sample.duration_s is None:
        sample = replace(sample, duration_s=duration_s)
    return replace(make_example(prompter, sample, rng), duration_s=duration_s)


def _seen(sample: Sample, clip: Stretch) -> Sample:
    """The sample in seconds of pictures: frames are not spread over holes that show nothing."""
    return replace(sample, windows=_seen_windows(sample.windows, clip), duration_s=clip.seen_s, saliency=None)


def _seen_windows(windows: Sequence[Window], clip: Stretch) -> tuple[Window, ...]:
    return tuple((clip.seen_at(clip.start_s + a), clip.seen_at(clip.start_s + b)) for a, b in windows)


__all__ = [
    "MicroBatches",
    "Pick",
    "TokenSource",
    "TrainingSource",
    "example",
    "open_source",
    "plan",
    "read_samples",
    "text_length",
    "token_key",
]
