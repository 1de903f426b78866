"""What the shipped model knows: every level of the synthetic world, whichever of them it was trained on.

A level that it was not trained on it may answer badly, but it looks at the kind of pictures that it was made for.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ..config import VideoExpertConfig
from ..synthetic.world import LEVELS
from ..training.familiarity import REFERENCE, VIDEOS, learn
from ..vision.encoder import VisionEncoder
from ..vision.familiarity import Familiarity
from .rendered import RenderRecipe, build

SIZE = 128  # pixels of a side, as `videoexpert synth` writes them
SEED = 3  # with the recipe's seed: other videos than those that train and those that calibrate


def learn_world(
    tower: Path,
    vision: VisionEncoder,
    config: VideoExpertConfig,
    folder: Path,
    *,
    seed: int = 1,
    videos: int = VIDEOS,
    log: Callable[[str], None] = print,
) -> Familiarity | None:
    """Render ``videos`` of all levels through the tower (kept in ``folder``), and as many others beside them."""
    recipe = RenderRecipe(count=videos, levels=tuple(LEVELS), seed=1000 * seed + SEED, size=SIZE)
    source = build(tower, config, recipe, folder, log=log)
    tokens = [source[index][1] for index in range(len(source))]
    return learn(vision, config, tokens, reference=REFERENCE, seed=seed, log=log)
