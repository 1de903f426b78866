"""The bench of a ``kind: train`` recipe with an ``evaluation`` list: variants at full scale, on one's own data.

Variants whose S-tokens differ need separate feature stores. ``{tokens}`` in a recipe's ``features`` is replaced by
their name, such as ``compress-4x64``; a store that is missing is named with the command that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..backends.stored import StoredExpert
from ..config import PRESETS, VideoExpertConfig
from ..errors import InputError
from ..evaluation.runner import evaluate
from ..evaluation.systems import BackendSystem
from ..features.store import STORE, TOKEN_FIELDS, FeatureStore
from ..recipes import Recipe, from_mapping
from ..session import load_expert
from ..training.run import train
from .run import Scores, scores_of
from .tables import Variant


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

    def prepare(self, variants: Sequence[Variant]) -> None:
        """Nothing to make: says at once what the last variant would miss after days of the others' training."""
        parts = [part.benchmark for part in self.recipe.evaluation]
        twice = [name for name in parts if parts.count(name) > 1]
        if twice:
            raise InputError(
                f"evaluation lists {twice[0]} {parts.count(twice[0])} times, expected each benchmark once."
            )
        lost = [part.annotations for part in self.recipe.evaluation if not Path(part.annotations).exists()]
        if lost:
            raise InputError(f"there are no annotations at {', '.join(lost)}, which evaluation names.")
        for variant in variants:
            self.of(variant.fields, 1)

    def of(self, fields: Mapping[str, Any], seed: int) -> Recipe:
        """The recipe of one variant. Raises InputError for a feature store that is still to be made."""
        raw = self.recipe.model_dump()
        raw["seed"] = seed
        raw["model"]["config"] |= fields
        name = tokens_name({**self.config, **fields})
        for source in (*raw["data"], *raw["validation"], *raw["evaluation"]):
            source["features"] = source["features"].replace("{tokens}", name)
            if not (Path(source["features"]) / STORE).is_file():
                options = f"--vision {raw['model']['vision']} {self._encode_options(fields)}"
                raise InputError(
                    f"{source['features']} is not a feature store; make it with `videoexpert encode "
                    f"{options}--videos VIDEOS --out {source['features']}`."
                )
        found: Recipe = from_mapping(raw, "the variant's recipe")
        return found

    def train(self, fields: Mapping[str, Any], seed: int, folder: Path) -> Path:
        return train(self.of(fields, seed), folder / "run", log=self.log)

    def score(self, model: Path, folder: Path) -> Scores:
        """Every benchmark of ``evaluation`` from its store."""
        expert = load_expert(model)
        expert.name = folder.parent.name
        name = tokens_name(expert.config.to_dict())
        scores: Scores = {}
        for part in self.recipe.evaluation:
            store = FeatureStore.open(part.features.replace("{tokens}", name), expert.config)
            outcome = evaluate(
                part.benchmark,
                BackendSystem(StoredExpert(expert, store)),
                part.annotations,
                None,
                folder / part.benchmark,
                split=part.split,
            )
            scores |= scores_of(part.benchmark, outcome)
        return scores

    def _encode_options(self, fields: Mapping[str, Any]) -> str:
        """Of `videoexpert encode`, for the tokens of a variant: all that differs from the preset it starts from."""
        wanted = {**self.config, **fields}
        preset = self.recipe.model.preset or "paper"
        start = VideoExpertConfig.from_preset(preset).to_dict()
        changed = [name for name in TOKEN_FIELDS if wanted[name] != start[name]]
        options = "" if preset == "paper" else f"--preset {preset} "
        return options + "".join(f"--set {name}={wanted[name]} " for name in changed)


def tokens_name(config: Mapping[str, Any]) -> str:
    """``compress-4x64``, ``random-4x64`` or ``none``: which S-tokens a store holds."""
    kind = config["spatial_tokens"]
    return kind if kind == "none" else f"{kind}-{config['groups']}x{config['tokens_per_group']}"


__all__ = ["DataBench", "tokens_name"]
