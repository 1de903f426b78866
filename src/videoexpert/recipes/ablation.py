"""The recipe of the ablations on the synthetic world."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from .shipped import BaseRecipe


class AblationRecipe(BaseModel):
    """recipes/ablation.yaml; an unknown or wrong field is reported by name."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["ablation"]
    seed: int
    level: int
    model: dict[str, Any]
    language: dict[str, Any]
    videos: int
    render_size: int
    warm_start: BaseRecipe
    base: BaseRecipe
    variant: BaseRecipe
    calibration_videos: int
    test_videos: int
