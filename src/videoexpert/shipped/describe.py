"""``train --dry-run`` of the shipped model's recipe: its stages, which make their own data and base models."""

from __future__ import annotations

from transformers import LlamaConfig

from ..config import VideoExpertConfig
from ..recipes import BaseRecipe, ShippedRecipe


def describe(recipe: ShippedRecipe) -> list[str]:
    """Lines on tokens, stages and data."""
    fields, language = recipe.model, LlamaConfig(**recipe.language)
    config = VideoExpertConfig.from_preset("paper", **fields)
    tower = recipe.tower
    found = [
        f"tokens   {config.num_frames} temporal and {config.num_spatial_tokens} spatial a video",
        f"trains   vision and text towers from scratch: {tower.steps:,} steps of "
        f"{tower.scripts * tower.frames} pictures",
        f"trains   a Llama of {language.num_hidden_layers} layers and width {language.hidden_size}, from scratch",
    ]
    stages = [(f"warm start {i}", stage) for i, stage in enumerate(recipe.warm_start, 1)]
    found += [stage_line(*named) for named in (*stages, ("joint", recipe.joint), ("experts", recipe.experts))]
    return [*found, f"data     {recipe.videos:,} videos rendered, {recipe.calibration_videos:,} to calibrate"]


def stage_line(name: str, stage: BaseRecipe) -> str:
    """One line on a stage of a language model made from scratch."""
    trained = "with" if stage.train_language else "without"
    return (
        f"steps    {name}: {stage.steps:,} of {stage.videos} videos with up to {stage.questions} questions, "
        f"{trained} the language model"
    )
