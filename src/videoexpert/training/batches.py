"""Samples to the tensors of ``VideoExpertModel.forward``: prompts, labels and targets spliced at ``<LOC>``."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..annotations.samples import Sample, Window
from ..errors import DataError
from ..grounding.targets import make_targets
from ..language import prompt
from ..language.prompter import Prompter
from ..language.sequence import Segment, build_sequence
from ..types import VisualTokens


@dataclass(frozen=True)
class Example:
    """One sample ready for a sequence. ``windows``: the ground truth of each ``<LOC>``, in order."""

    segment: Segment
    windows: tuple[tuple[Window, ...], ...]
    duration_s: float


def make_example(prompter: Prompter, sample: Sample, rng: random.Random | None = None) -> Example:
    """Question, answer and targets of a sample; ``rng`` picks among the phrasings of the template.

    Raises DataError for a sample that cannot be trained on (no duration, no labels, a conversation).
    """
    if sample.duration_s is None or not sample.labelled:
        raise DataError(f"sample {sample.id} has no duration or no labels, expected both for training.")
    config = prompter.config
    windows: tuple[tuple[Window, ...], ...] = (sample.windows,)
    if sample.task in ("grounding", "highlight"):
        question = prompt.grounding_question(sample.query or "", config, rng)
        answer = prompt.grounding_answer(config)
    elif sample.task == "caption":
        question = prompt.caption_question(config, rng)
        answer = prompt.caption_answer(sample.captions, config)
        windows = tuple((window,) for window in sample.windows)
    elif sample.task in ("qa", "grounded_qa"):
        grounded = bool(sample.windows)
        right = sample.choice if sample.choice is not None else sample.answer or ""
        question = prompt.question_with_choices(
            sample.query or "", sample.choices, config, grounded=grounded, rng=rng
        )
        answer = prompt.choice_answer(right, grounded, config, sample.choices)
        windows = (sample.windows,) if grounded else ()
    else:
        raise DataError(f"sample {sample.id} is a {sample.task}, which has no training template.")
    spans = [[(a / sample.duration_s, b / sample.duration_s) for a, b in group] for group in windows]
    answer, located = prompter.with_times(answer, spans, sample.duration_s)
    question = prompter.with_length(question, sample.duration_s)
    return Example(prompter.segment(question, answer), windows if located else (), sample.duration_s)


def collate(
    videos: Sequence[VisualTokens],
    examples: Sequence[Sequence[Example]],
    prefix_ids: Sequence[int],
    config: Any,
) -> dict[str, Any]:
    """Keyword arguments of ``VideoExpertModel.forward``: a row a video, its examples packed behind one prefix."""
    temporal = torch.stack([v.temporal for v in videos]).float()
    spatial = torch.stack([v.spatial for v in videos]).float()
    frames = temporal.shape[1]
    row = build_sequence(
        [prefix_ids] * len(videos),
        [[e.segment for e in own] for own in examples],
        num_frames=frames,
        num_spatial_tokens=spatial.shape[1],
    )
    targets = [
        make_targets(windows, e.duration_s, frames, frame_times=config.frame_times)
        for own in examples
        for e in own
        for windows in e.windows
    ]
    if len(targets) != len(row.loc_positions):
        raise AssertionError(
            f"{len(targets)} targets for {len(row.loc_positions)} <LOC>: the template lost one"
        )
    return {
        "sequence": row,
        "temporal": temporal,
        "spatial": spatial,
        "foreground": torch.stack([t.foreground for t in targets])
        if targets
        else torch.zeros(0, frames).bool(),
        "spans": torch.stack([t.spans for t in targets]) if targets else torch.zeros(0, frames, 2),
    }
