"""``train --dry-run`` of an ablation recipe: what variants share, what each trains, and which tables there are."""

from __future__ import annotations

from ..config import VideoExpertConfig
from ..recipes import AblationRecipe
from ..shipped.describe import stage_line
from .tables import TABLES


def describe(recipe: AblationRecipe) -> list[str]:
    """Lines on tokens, stages, data and tables."""
    config = VideoExpertConfig.from_preset("paper", **recipe.model)
    stages = [("warm start", recipe.warm_start), ("base", recipe.base), ("each variant", recipe.variant)]
    found = [f"tokens   {config.num_frames} temporal and {config.num_spatial_tokens} spatial a video"]
    if recipe.text_base is not None:
        text = recipe.text_base
        found.append(
            f"text     {text.steps:,} steps of {text.texts} texts, no video; then the base is frozen"
        )
    found += [stage_line(name, stage) for name, stage in stages if stage is not None]
    found.append(f"data     {recipe.videos:,} videos rendered, {recipe.test_videos:,} to score on")
    for name, make in TABLES.items():
        variants = make(config.to_dict()).variants
        found.append(f"table    {name}: " + ", ".join(variant.name for variant in variants))
    return found
