"""The recipe of the model in the package, and the stages it is made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict

from .fields import Seed


@dataclass
class TowerRecipe:
    """Sizes and budget of the tower stage."""

    image_size: int = 64
    patch_size: int = 8
    width: int = 96
    layers: int = 4
    heads: int = 8
    projection: int = 128
    levels: tuple[int, ...] = (1, 2, 3)  # of the scripts, drawn evenly; a level may be repeated
    steps: int = 1300
    scripts: int = 42  # per step
    frames: int = 6  # of each script
    learning_rate: float = 3e-3
    seed: Seed = 1
    places_first: int = 0  # steps after which shapes, angles and details weigh SHARPER times as much
    at_most: dict[str, float] = field(
        default_factory=dict
    )  # probe -> what must be reached for the run to continue
    at_least: dict[str, float] = field(default_factory=dict)


@dataclass
class TextRecipe:
    """Size and budget of the text tower."""

    width: int = 96
    layers: int = 2
    heads: int = 4
    levels: tuple[int, ...] = (1, 2, 3)  # of the scripts, drawn evenly
    scripts: int = 3000  # whose frames are encoded once
    frames: int = 4  # of each script
    steps: int = 2000
    batch: int = 256  # frames and texts a step
    learning_rate: float = 2e-3
    seed: Seed = 1
    probe: int = 1000  # held-out videos among which the finished tower looks for one


@dataclass
class BaseRecipe:
    """Budget of the joint stage."""

    steps: int = 3000
    videos: int = 8  # per step
    questions: int = 7  # of each video, at the most
    learning_rate: float = 2e-3
    dense_weight: float = 2.0
    tasks: tuple[str, ...] = ("grounding", "caption", "grounded_qa")
    train_language: bool = True  # off: only the paper's parts, on a frozen language model
    captions: float = 0.0  # share of the videos whose captions are asked for where the lot left them out
    frames: tuple[int, ...] = ()  # of a batch's videos, one of these by lot; () for all that the source gives
    read_questions: bool = False  # content: what a sentence says is read out at its end, too
    train_experts: bool = False  # with the language model also the LoRAs; without it they always train
    seed: Seed = 1


class ShippedRecipe(BaseModel):
    """recipes/shipped.yaml; an unknown or wrong field is reported by name."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    kind: str
    seed: Seed
    levels: list[int]  # of the training videos, drawn evenly; a level may be repeated
    tower: TowerRecipe
    text: TextRecipe
    model: dict[str, Any]
    language: dict[str, Any]
    warm_start: list[BaseRecipe]
    videos: int
    render_size: int
    joint: BaseRecipe
    experts: BaseRecipe
    calibration_videos: int
