"""What is said about one question of one video: by the annotators, and by each system."""

from __future__ import annotations

from dataclasses import dataclass

from ..types import Moment


@dataclass(frozen=True)
class Voice:
    """What the annotators, or one system, say to one question about one video.

    moments    best first; of captions in the model's order, each with its text; seconds on the video's clock
    saliency   one score in [0, 1] a clip, or none
    answer     text of the answer; None where none was asked for or given
    right      whether the answer is; None where that is not judged
    overlap    IoU of the best moment with the annotated moment it fits best; None where not judged
    silent     nothing was said to this question at all
    """

    name: str
    moments: tuple[Moment, ...] = ()
    saliency: tuple[float, ...] = ()
    answer: str | None = None
    right: bool | None = None
    overlap: float | None = None
    silent: bool = False

    def __post_init__(self) -> None:
        if not all(0.0 <= score <= 1.0 for score in self.saliency):
            raise ValueError(f"saliency must be in [0, 1], got {min(self.saliency)} to {max(self.saliency)}")
        if self.silent and (self.moments or self.saliency or self.answer is not None):
            raise ValueError("who is silent has no moments, saliency or answer")


@dataclass(frozen=True)
class Item:
    """One question about a video with every voice on it.

    kind       "grounding", "highlight", "qa" (with or without evidence) or "caption"
    question   the sentence or question; "" for captions
    choices    options of a multiple-choice question
    """

    kind: str
    question: str
    truth: Voice
    systems: tuple[Voice, ...]
    choices: tuple[str, ...] = ()
