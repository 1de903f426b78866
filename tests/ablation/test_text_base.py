"""A base that reads and never sees: its texts, its training, and the variants that start from it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from videoexpert.ablation.text_base import text_batch, text_ids, train_text_base
from videoexpert.ablation.world import WorldBench
from videoexpert.language.prompter import Prompter
from videoexpert.language.sequence import IGNORED
from videoexpert.recipes import AblationRecipe, TextBaseRecipe, load_recipe
from videoexpert.synthetic.language import caption_of
from videoexpert.synthetic.world import sample_script

RECIPE = Path(__file__).parents[2] / "recipes" / "ablation_fair.yaml"
STAGE = {"steps": 2, "videos": 2, "questions": 2}


def toy() -> AblationRecipe:
    fields = load_recipe(RECIPE).model_dump()
    fields["model"] |= {"num_frames": 8, "tokens_per_group": 3, "key_tokens": 2, "head_width": 16}
    fields["language"] |= {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    fields["text_base"] |= {"steps": 12, "texts": 4}
    fields["variant"] |= STAGE
    fields |= {"videos": 2, "calibration_videos": 2, "test_videos": 1, "render_size": 64}
    return AblationRecipe(**fields)


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> WorldBench:
    made = WorldBench(toy(), tmp_path_factory.mktemp("fair"), log=lambda _: None)
    made.prepare(())
    return made


def test_texts_tell_and_ask_but_never_say_when(bench):
    prompter = Prompter(bench.model_config({}), bench.tokenizer)
    script = sample_script(random.Random(3), 6, "v")
    text = prompter.decode(text_ids(prompter, script, random.Random(0), 3))
    assert all(caption_of(script, event) in text for event in script.events)
    assert text.count("USER") >= 1
    assert "<LOC>" not in text
    assert "During" not in text
    ids, labels = text_batch(prompter, 6, TextBaseRecipe(texts=5), 0)
    assert ids.shape == labels.shape
    assert torch.equal(labels[labels != IGNORED], ids[labels != IGNORED])
    assert (ids[labels == IGNORED] == 0).all()
    assert torch.equal(ids, text_batch(prompter, 6, TextBaseRecipe(texts=5), 0)[0])


def test_the_text_stage_learns_and_resumes(bench, tmp_path):
    def train(steps: int, lines: list[float]) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)
        model = bench.model({})
        recipe = TextBaseRecipe(steps=steps, texts=4, learning_rate=0.01)
        state = tmp_path / "state.pt"
        prompter = Prompter(model.config, bench.tokenizer)
        train_text_base(
            model.language,
            prompter,
            6,
            recipe,
            state,
            log=lambda s: lines.append(float(s.split("loss ")[1].split()[0])),
        )
        return {name: tensor.clone() for name, tensor in model.language.state_dict().items()}

    losses: list[float] = []
    first = train(24, losses)
    assert losses[-1] < 0.8 * losses[0]
    again = train(24, [])  # finished: nothing is trained
    assert all(torch.equal(first[name], again[name]) for name in first)


def test_variants_train_the_papers_parts_alone_on_the_frozen_base(bench, tmp_path):
    base = torch.load(bench.out / "base.pt", weights_only=True)["model"]
    read = torch.load(bench.out / "text_base.pt", weights_only=True)["language"]
    assert all(torch.equal(base[f"language.{name}"], tensor) for name, tensor in read.items())
    from videoexpert.checkpoints import folder as checkpoint

    model, _ = checkpoint.load(bench.train({}, 1, tmp_path / "seed1"))
    own = set(model.trained_names())
    after = model.state_dict()
    language = [n for n in after if n.startswith("language.") and n not in own]
    assert len(language) > 5
    assert all(torch.equal(after[name], base[name]) for name in language)
    adapter = [n for n in after if n.startswith("adapter.")]
    assert not all(torch.equal(after[name], base[name]) for name in adapter)  # its own, from its seed


def test_a_recipe_has_one_base():
    fields = load_recipe(RECIPE).model_dump()
    for change in ({"text_base": None}, {"base": STAGE, "warm_start": STAGE}, {"base": STAGE}):
        with pytest.raises(ValidationError, match="either warm_start and base, or text_base"):
            AblationRecipe(**{**fields, **change})
