"""The bench of recipes of kind ablation: variants on one small language model, in the synthetic world.

The language model stands in for a pretrained one. It learns once, either what happens in videos, in words and numbers
but never when, or from text alone (text_base.py). From there each variant trains experts, ``<LOC>``, adapter and head
as in the paper; with the first of the two bases, and unlike in the paper, the language model along
(docs/ablations.md says why).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from .. import files
from ..assets import SHIPPED_CLIP
from ..backends.stored import StoredExpert
from ..checkpoints import folder as checkpoint
from ..config import VideoExpertConfig
from ..evaluation.runner import evaluate
from ..evaluation.systems import BackendSystem
from ..features.clips import clips_of
from ..features.encode import TokenEncoder, encode_to_store
from ..features.store import FeatureStore
from ..language.prompter import Prompter
from ..language.time_text import add_time_tokens
from ..model import VideoExpertModel
from ..recipes import AblationRecipe, BaseRecipe
from ..session import load_expert
from ..shipped.base import StateSource, train_base
from ..shipped.pipeline import calibrate, make_config, swap_adapter, world_tokenizer
from ..shipped.rendered import RenderedSource, RenderRecipe, build
from ..synthetic.write import WorldRecipe, write_world
from .run import Scores, scores_of
from .tables import Variant
from .text_base import train_text_base

TEST_SEED = 4242  # of the world that variants are scored on
BENCHMARKS = {  # where its annotations are, and which split
    "charades-sta": ("charades-sta", "test"),
    "qvhighlights": ("qvhighlights", "val"),
    "youcook2": ("youcook2/youcookii_annotations_trainval.json", "validation"),
    "nextgqa": ("nextgqa", "test"),
}


class WorldBench:
    """A ``Bench`` of an AblationRecipe that keeps everything under ``out``."""

    def __init__(self, recipe: AblationRecipe, out: Path, log: Callable[[str], None] = print) -> None:
        self.recipe, self.out, self.log = recipe, out, log
        self.tokenizer = world_tokenizer(out / "tokenizer")
        add_time_tokens(self.tokenizer)  # every variant has the words that one of them says times in
        self.vision = checkpoint.load_vision(SHIPPED_CLIP)
        self.config: dict[str, Any] = self.model_config({}).to_dict()
        self.about: dict[str, Any] = {
            "recipe": "ablation",
            "level": recipe.level,
            "training videos": recipe.videos,
            "steps of a variant": recipe.variant.steps,
            "test videos": recipe.test_videos,
        }

    def prepare(self, variants: Sequence[Variant]) -> None:
        """Test videos as mp4 files, and the base language model."""
        world = WorldRecipe(
            videos=self.recipe.test_videos,
            seed=TEST_SEED,
            level=self.recipe.level,
            size=self.recipe.render_size,
            test_share=1.0,
        )
        write_world(world, self.out / "world")
        self._prepare_base()

    def _prepare_base(self) -> None:
        """``base.pt``: the language model that every variant starts from, and what was trained with it."""
        recipe, file = self.recipe, self.out / "base.pt"
        last = recipe.text_base or recipe.base
        assert last is not None, "the recipe has checked that there is one"
        if file.exists() and _steps(file) == last.steps:
            return
        torch.manual_seed(recipe.seed)
        model = self.model({})
        prompter, config = Prompter(model.config, self.tokenizer), model.config
        if recipe.text_base is not None:
            self.log("base language model: text alone")
            state = self.out / "text_base.pt"
            train_text_base(model.language, prompter, recipe.level, recipe.text_base, state, log=self.log)
            with files.whole_file(file) as part:
                torch.save({"model": model.state_dict(), "step": last.steps}, part)
            return
        assert recipe.warm_start is not None
        assert recipe.base is not None
        self.log("base language model: what happens, never when")
        spatial = (config.groups, config.tokens_per_group)
        states = StateSource(
            1_000_000, (recipe.level,), config.num_frames, spatial, config.vision_width, recipe.seed
        )
        train_base(model, prompter, states, recipe.warm_start, self.out / "warm_start.pt", log=self.log)
        source = self.tokens(model.config, recipe.videos, 1)
        swap_adapter(model, source)
        train_base(model, prompter, source, recipe.base, file, log=self.log)

    def model(self, fields: Mapping[str, Any]) -> VideoExpertModel:
        """A new model of a variant, everything but the vision tower random."""
        return VideoExpertModel(self.model_config(fields), vision=self.vision)

    def model_config(self, fields: Mapping[str, Any]) -> VideoExpertConfig:
        """The config of a variant."""
        made = {**self.recipe.model, **fields}
        return make_config(made, self.recipe.language, self.tokenizer, self.vision)

    def train(self, fields: Mapping[str, Any], seed: int, folder: Path) -> Path:
        """The base's language model, and of a base that saw videos the adapter and the head's projection.

        The variant's own parts are drawn from ``seed``. A model that was trained before a kill is not trained again.
        """
        if (folder / "model").is_dir():  # written as a whole or not at all
            return folder / "model"
        torch.manual_seed(seed)
        model = self.model(fields)
        # Of a base that saw videos: what happens and what is asked was read off them.
        shared = ("adapter.", "head.projection.") if self.recipe.text_base is None else ()
        own = {name for name in model.trained_names() if not name.startswith(shared)}
        base = torch.load(self.out / "base.pt", weights_only=True)["model"]
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                if name not in own:
                    tensor.copy_(base[name])
        prompter = Prompter(model.config, self.tokenizer)
        stage = BaseRecipe(**{**vars(self.recipe.variant), "seed": seed})
        source = self.tokens(model.config, self.recipe.videos, 1)
        train_base(model, prompter, source, stage, folder / "training.pt", log=self.log)
        calibrate(
            model, prompter, self.tokens(model.config, self.recipe.calibration_videos, 2), log=lambda _: None
        )
        checkpoint.save(model, self.tokenizer, folder / "model")
        (folder / "training.pt").unlink()  # the model folder holds all that is needed
        return folder / "model"

    def tokens(self, config: VideoExpertConfig, count: int, seed: int) -> RenderedSource:
        """Rendered and encoded once for each kind of S-tokens."""
        recipe = RenderRecipe(
            count, (self.recipe.level,), 1000 * self.recipe.seed + seed, self.recipe.render_size
        )
        folder = self.out / "tokens" / self.encoder(config).id.digest[:12] / f"{seed}"
        return build(SHIPPED_CLIP, config, recipe, folder, log=self.log)

    def encoder(self, config: VideoExpertConfig) -> TokenEncoder:
        return TokenEncoder(config, self.vision)

    def score(self, model: Path, folder: Path) -> Scores:
        """Every benchmark of the test world, from a store of its mp4 files."""
        encoder = self.encoder(checkpoint.read_config(model))
        store = self.out / "features" / encoder.id.digest[:12]
        world = self.out / "world"
        encode_to_store(clips_of(world / "videos"), encoder, store)
        expert = load_expert(model, device="cpu")
        expert.name = folder.parent.name
        system = BackendSystem(StoredExpert(expert, FeatureStore.open(store)))
        scores: Scores = {}
        for benchmark, (file, split) in BENCHMARKS.items():
            outcome = evaluate(benchmark, system, world / file, None, folder / benchmark, split=split)
            scores |= scores_of(benchmark, outcome)
        return scores


def _steps(file: Path) -> int:
    return int(torch.load(file, weights_only=True)["step"])


__all__ = ["AblationRecipe", "WorldBench"]
