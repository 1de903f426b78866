"""Fits what vision/familiarity.py applies: tokens of the training videos against those of videos of nowhere."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ..config import VideoExpertConfig
from ..errors import InputError
from ..escapes import quantity
from ..grounding.calibration import fit as fit_calibration
from ..synthetic.elsewhere import elsewhere
from ..types import Frames, VisualTokens
from ..vision.encoder import VisionEncoder
from ..vision.familiarity import Discriminant, Familiarity, Known
from ..vision.tokens import visual_tokens

VIDEOS = 400  # of a training that are looked at; more change nothing
REFERENCE = 300  # videos of nowhere
LEAST = 8  # videos of either that say anything
TOKENS = 12_000  # of each kind and class that a discriminant is fitted on
DIRECTIONS = 96  # of the tokens that it looks at, by variance
EIGENVALUE = 1e-4  # of the largest: directions under this share are noise
PENALTY = 1e-3
HELD_SHARE = 0.25  # of the videos: they calibrate
RARE = 0.001  # share of training videos that may count as unknown
SIDE = 1.5  # of a reference picture before the encoder's own resize, in the encoder's picture sizes
SMALL_TOWER = 50_000_000  # weights of a vision tower that a CPU runs over the reference in minutes


def fit_familiarity(known: Sequence[VisualTokens], other: Sequence[VisualTokens], seed: int = 0) -> Known:
    """Discriminants and calibration from tokens of training videos and of reference videos.

    Deterministic by ``seed``. Raises InputError for fewer than LEAST of either.
    """
    if min(len(known), len(other)) < LEAST:
        raise InputError(
            f"familiarity needs at least {LEAST} videos of the training and as many others, got {len(known)} and "
            f"{len(other)}."
        )
    (fitting, held), (reference, others) = (_split(videos, seed) for videos in (known, other))
    temporal = discriminant(
        torch.cat([v.temporal for v in fitting]), torch.cat([v.temporal for v in reference]), seed
    )
    spatial = None
    if all(len(v.spatial) for v in (*known, *other)):
        spatial = discriminant(
            torch.cat([v.spatial for v in fitting]), torch.cat([v.spatial for v in reference]), seed
        )
    plain = Known(temporal, spatial)
    scores = torch.tensor([plain.score(v) for v in held])
    lower = torch.tensor([plain.score(v) for v in others])
    labels = torch.cat([torch.ones(len(scores)), torch.zeros(len(lower))])
    found = fit_calibration(torch.cat([scores, lower]), labels)
    # Even odds are where the classes are equally likely, but never above the rarest of the training's own videos.
    edge = min(-found.bias * found.temperature, float(scores.quantile(RARE)))
    return Known(temporal, spatial, found.temperature, -edge / found.temperature)


def discriminant(known: Tensor, other: Tensor, seed: int = 0) -> Discriminant:
    """Logistic regression on first and second powers of the whitened tokens (K, C) of two classes, evenly weighed."""
    known, other = (_some(tokens.detach().float().cpu(), seed) for tokens in (known, other))
    mean, basis = _whitening(torch.cat([known, other]))
    z = (torch.cat([known, other]) - mean) @ basis
    rows, columns = torch.triu_indices(z.shape[1], z.shape[1])
    powers = torch.cat([z, z[:, rows] * z[:, columns]], dim=1)
    scale = powers.std(0) + 1e-6
    powers /= scale
    labels = torch.cat([torch.ones(len(known)), torch.zeros(len(other))])
    share = torch.cat(
        [torch.full((len(known),), 0.5 / len(known)), torch.full((len(other),), 0.5 / len(other))]
    )
    weights = torch.zeros(powers.shape[1], requires_grad=True)
    offset = torch.zeros((), requires_grad=True)
    optimiser = torch.optim.LBFGS([weights, offset], max_iter=60, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        odds = powers @ weights + offset
        value = F.binary_cross_entropy_with_logits(odds, labels, share, reduction="sum")
        value = value + PENALTY * weights.square().sum()
        value.backward()
        return value.detach()

    optimiser.step(loss)
    found = weights.detach() / scale
    width = z.shape[1]
    curvature = torch.zeros(width, width)
    curvature[rows, columns] = found[width:]
    return Discriminant(
        mean, basis, (curvature + curvature.T) / 2, found[:width].clone(), offset.detach().clone()
    )


def reference_tokens(
    vision: VisionEncoder, config: VideoExpertConfig, count: int = REFERENCE
) -> Iterator[VisualTokens]:
    """Tokens of ``count`` videos of nowhere, through an encoder."""
    frames = config.num_frames
    times = torch.arange(frames, dtype=torch.float64)
    for number in range(count):
        shown = Frames(elsewhere(number, frames, round(SIDE * vision.image_size)), times, float(frames))
        yield visual_tokens(vision, config, [shown], batch_size=64)[0]


def fit_alone(known: Sequence[VisualTokens], seed: int = 0) -> Known:
    """From the T-tokens of training videos alone: how far a video's are from their mean, in their own spread.

    For towers too large to run over reference videos: those tell videos apart that they were not made for. Raises
    InputError for fewer than LEAST videos.
    """
    if len(known) < LEAST:
        raise InputError(f"familiarity needs at least {LEAST} videos of the training, got {len(known)}.")
    fitting, held = _split(known, seed)
    mean, basis = _whitening(_some(torch.cat([v.temporal for v in fitting]).float().cpu(), seed))
    width = basis.shape[1]
    plain = Known(
        Discriminant(mean, basis, -torch.eye(width) / width, torch.zeros(width), torch.tensor(0.0)), None
    )
    scores = torch.tensor([plain.score(v) for v in held])
    middle, rare = float(scores.median()), float(scores.quantile(RARE))
    edge = rare - (middle - rare) - 0.25  # a mean square a quarter above any of the training's counts as far
    temperature = max(middle - edge, 1e-3) / 4
    return Known(plain.temporal, None, temperature, -edge / temperature)


def learn(
    vision: VisionEncoder,
    config: VideoExpertConfig,
    videos: Sequence[VisualTokens],
    before: Familiarity | None = None,
    *,
    reference: int = REFERENCE,
    seed: int = 0,
    log: Callable[[str], None] = print,
) -> Familiarity | None:
    """What a model knows after it was trained on ``videos``; ``before`` is what it knew.

    ``reference``: videos of nowhere to compare with, 0 for none. Too few videos say nothing: then ``before`` stays,
    or None.
    """
    if len(videos) < LEAST:
        log(f"familiarity: {quantity(len(videos), 'video')} cannot say what the model has seen: too few")
        return before
    if reference:
        count = max(LEAST, min(reference, len(videos)))
        known = fit_familiarity(videos, list(reference_tokens(vision, config, count)), seed)
    else:
        known = fit_alone(videos, seed)
    return Familiarity((known,)) if before is None else before.with_training(known)


def sample(keys: Sequence[str], seed: int = 0) -> list[str]:
    """At most VIDEOS of the keys, drawn by lot."""
    if len(keys) <= VIDEOS:
        return list(keys)
    return [keys[i] for i in sorted(random.Random(seed).sample(range(len(keys)), VIDEOS))]


def affordable(vision: VisionEncoder) -> bool:
    """Whether the tower runs over the reference videos in minutes."""
    weights = sum(p.numel() for p in vision.parameters())
    return vision.device.type != "cpu" or weights <= SMALL_TOWER


def _split(videos: Sequence[VisualTokens], seed: int) -> tuple[list[VisualTokens], list[VisualTokens]]:
    order = list(range(len(videos)))
    random.Random(seed).shuffle(order)
    count = max(2, round(HELD_SHARE * len(videos)))
    return [videos[i] for i in order[count:]], [videos[i] for i in order[:count]]


def _some(tokens: Tensor, seed: int) -> Tensor:
    if len(tokens) <= TOKENS:
        return tokens
    order = torch.randperm(len(tokens), generator=torch.Generator().manual_seed(seed))
    return tokens[order[:TOKENS]]


def _whitening(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,), and (C, K) directions of most variance over their standard deviation."""
    mean = tokens.double().mean(0)
    centred = tokens.double() - mean
    values, vectors = torch.linalg.eigh(centred.T @ centred / len(tokens))
    kept = values > EIGENVALUE * values[-1]
    kept[: max(0, len(values) - DIRECTIONS)] = False
    return mean.float(), (vectors[:, kept] / values[kept].sqrt()).float()


__all__ = [
    "affordable",
    "discriminant",
    "fit_alone",
    "fit_familiarity",
    "learn",
    "reference_tokens",
    "sample",
]
