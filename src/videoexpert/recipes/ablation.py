"""The recipe of the ablations on the synthetic world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from .fields import Seed
from .shipped import BaseRecipe


@dataclass
class TextBaseRecipe:
    """Budget of a base language model that reads and never sees."""

    steps: int = 1500
    texts: int = 32  # a step
    questions: int = 3  # about each
    learning_rate: float = 2e-3
    seed: Seed = 1


class AblationRecipe(BaseModel):
    """recipes/ablation.yaml; an unknown or wrong field is reported by name.

    The base language model learns either what happens in videos (``warm_start``, then ``base``) or from text alone
    (``text_base``).
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: Literal["ablation"]
    seed: Seed
    level: int
    model: dict[str, Any]
    language: dict[str, Any]
    videos: int
    render_size: int
    warm_start: BaseRecipe | None = None
    base: BaseRecipe | None = None
    text_base: TextBaseRecipe | None = None
    variant: BaseRecipe
    calibration_videos: int
    test_videos: int

    @model_validator(mode="after")
    def _one_base(self) -> AblationRecipe:
        sees = self.warm_start is not None and self.base is not None
        if sees == (self.text_base is not None) or (self.warm_start is None) != (self.base is None):
            raise ValueError(
                "a base language model is either warm_start and base, or text_base; give one of them"
            )
        return self
