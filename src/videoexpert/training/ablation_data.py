"""The bench of a ``kind: train`` recipe with an ``evaluation`` list: variants at full scale, on one's own data.

Variants whose S-tokens differ need feature stores of their own. ``{tokens}`` in a recipe's ``features`` stands for
their name, such as ``compress-4x64``; a store that is missing is named with the command that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .. import checkpoint
from ..config import PRESETS, VideoExpertConfig
from ..data.features import STORE, FeatureStore
from ..errors import InputError
from ..evaluation.runner import StoredModel, evaluate
from ..session import Expert, pick_device
from .ablation import Scores
from .recipe import Recipe, from_mapping
from .run import train


class DataBench:
    """A ``Bench`` of a Recipe; its runs are those of ``videoexpert train``."""

    def __init__(self, recipe: Recipe, log: Callable[[str], None] = print) -> None:
        if not recipe.evaluation:
            raise InputError(
                "the recipe has no evaluation, expected a list of benchmarks to score variants on."
            )
        if recipe.model.start is not None:
            raise InputError(
                "an ablation builds new models; the recipe has model.start, expected vision and language."
            )
        self.recipe, self.log = recipe, log
        fields = {**PRESETS[recipe.model.preset or "paper"], **recipe.model.config}
        self.config: dict[str, Any] = VideoExpertConfig(**fields).to_dict()
        self.about: dict[str, Any] = {
            "language": recipe.model.language,
            "batch": recipe.training.batch_size,
            "steps": recipe.training.steps or f"{recipe.training.epochs} epochs",
        }

    def prepare(self) -> None:
        """Nothing is shared but the base models and the stores, which are there."""

    def of(self, fields: Mapping[str, Any], seed: int) -> Recipe:
        """The recipe of one variant. Raises InputError for a feature store that is still to be made."""
        raw = self.recipe.model_dump()
        raw["seed"] = seed
        raw["model"]["config"] |= fields
        name = tokens_name({**self.config, **fields})
        for source in (*raw["data"], *raw["validation"], *raw["evaluation"]):
            source["features"] = source["features"].replace("{tokens}", name)
            if not (Path(source["features"]) / STORE).is_file():
                raise InputError(
                    f"{source['features']} is no feature store; make it with `videoexpert encode --vision "
                    f"{raw['model']['vision']} {_encode_options(fields)}--videos VIDEOS --out {source['features']}`."
                )
        found: Recipe = from_mapping(raw, "the variant's recipe")
        return found

    def train(self, fields: Mapping[str, Any], seed: int, folder: Path) -> Path:
        return train(self.of(fields, seed), folder / "run", log=self.log)

    def score(self, model: Path, folder: Path) -> Scores:
        """Every benchmark of ``evaluation`` from its store; several parts of one benchmark may not be listed."""
        loaded, tokenizer = checkpoint.load(model, device=pick_device("auto"))
        expert = Expert(loaded, tokenizer, folder.parent.name, checkpoint.digest(model))
        name = tokens_name(loaded.config.to_dict())
        scores: Scores = {}
        for part in self.recipe.evaluation:
            store = FeatureStore.open(part.features.replace("{tokens}", name), loaded.config)
            outcome = evaluate(
                part.benchmark,
                StoredModel(expert, store),
                part.annotations,
                None,
                folder / part.benchmark,
                split=part.split,
            )
            found = outcome.result["metrics"]
            scores |= {f"{part.benchmark}/{key}": value for key, value in found.items() if value is not None}
        return scores


def tokens_name(config: Mapping[str, Any]) -> str:
    """``compress-4x64``, ``random-4x64`` or ``none``: which S-tokens a store holds."""
    kind = config["spatial_tokens"]
    return kind if kind == "none" else f"{kind}-{config['groups']}x{config['tokens_per_group']}"


def _encode_options(fields: Mapping[str, Any]) -> str:
    names = ("spatial_tokens", "groups", "tokens_per_group", "key_tokens")
    return "".join(f"--set {name}={fields[name]} " for name in names if name in fields)


__all__ = ["DataBench", "tokens_name"]
