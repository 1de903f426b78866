"""Recipes: every one loads and dry-runs; all faults at once; what is printed, counted by hand."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from training_world import M, N, make_recipe
from videoexpert.ablation.run import TABLES
from videoexpert.apps.cli import main
from videoexpert.apps.commands.train import _described as describe
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import DataError
from videoexpert.recipes import Recipe, load_recipe, save_recipe
from videoexpert.training.dryrun import dry_run
from videoexpert.training.run import open_model

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
NAMES = sorted(file.name for file in RECIPES.glob("*.yaml"))
# Trained numbers of the toy model. D 32, MLP 48, keys and values 16 wide, ranks 3 + 2, two layers:
EXPERTS = 2 * 5 * (2 * (32 + 32) + 2 * (32 + 16) + 3 * (32 + 48))
ADAPTER = 24 * 32 + 32
LOC = 2 * 32
HEAD = (32 * 32 + 32) + (32 * 16 + 16) + 4 * (16 * 16 * 3 + 16) + (16 * 3 + 1) + (16 * 2 * 3 + 2)


@pytest.fixture(scope="module")
def start(bases, annotations, tmp_path_factory):
    """A model folder to go on from."""
    model, tokenizer = open_model(make_recipe(bases, annotations))
    return checkpoint.save(model, tokenizer, tmp_path_factory.mktemp("start") / "model", adapter_only=True)


def test_the_recipes_are_there():
    assert set(NAMES) >= {
        *(f"finetune_{name}.yaml" for name in ("charades", "qvhighlights", "youcook2", "nextgqa")),
        *("pretrain.yaml", "align.yaml", "small_backbone.yaml", "shipped.yaml"),
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_recipe_loads_and_dry_runs(name, bases, start):
    recipe = load_recipe(RECIPES / name)
    if recipe.kind == "shipped":
        assert any(f"joint: {recipe.joint.steps:,} of" in line for line in describe(recipe))
        return
    if recipe.kind == "ablation":
        lines = describe(recipe)
        assert any(f"each variant: {recipe.variant.steps} of" in line for line in lines)
        assert sum(line.startswith("table ") for line in lines) == len(TABLES)
        return
    if recipe.model.start is not None:
        overrides = [f"model.start={start}"]
    else:
        overrides = [f"model.vision={bases / 'vision'}", f"model.language={bases / 'language'}"]
        overrides.append("model.config.conversation=vicuna_v1")  # the toy tokenizer has no chat template
    found = dry_run(load_recipe(RECIPES / name, overrides))
    assert found.trained > 0
    assert set(found.groups) == (
        {"adapter"}
        if recipe.model.train == "adapter"
        else {"experts (LoRA)", "<LOC> rows", "adapter", "temporal head"}
    )
    # the annotations are not here, and that is said once for each place
    missing = [what for what in found.missing if "does not exist" in what]
    assert len(missing) == len({source.annotations for source in (*recipe.data, *recipe.validation)})
    # nor are the features
    stores = {source.features for source in (*recipe.data, *recipe.validation)}
    assert len(found.missing) - len(missing) == len(stores)


def test_the_pretraining_recipe_is_the_papers():
    recipe = load_recipe(RECIPES / "pretrain.yaml")
    assert recipe.training.batch_size == 128
    assert recipe.training.learning_rate == 1e-4
    assert recipe.training.warm_up == 0.03
    assert recipe.training.precision == "bf16"
    config = recipe.model.config
    assert (config["num_frames"], config["temporal_rank"], config["spatial_rank"]) == (100, 32, 32)
    assert config["lora_alpha"] == 64
    internvid, activitynet, nextqa = (source.weight for source in recipe.data)
    assert (internvid + activitynet) / nextqa == 5
    assert internvid / activitynet == 4


def test_dry_run_counts_by_hand(bases, annotations):
    recipe = make_recipe(bases, annotations, valid=True, steps=None, epochs=2, batch_size=4, micro_batch=2)
    found = dry_run(recipe)
    assert {name: count for name, (_, count) in found.groups.items()} == {
        "experts (LoRA)": EXPERTS,
        "adapter": ADAPTER,
        "<LOC> rows": LOC,
        "temporal head": HEAD,
    }
    assert found.groups["experts (LoRA)"][0] == 2 * 7 * 2
    assert found.visual_tokens == (N, M)
    assert found.steps == 10  # two times over 20 samples, four a step
    assert found.accumulation == 2
    assert list(found.samples.values()) == [20]
    assert not found.notes
    ((mean, most),) = found.text_tokens.values()
    assert 10 < mean < most
    assert found.memory["trained weights and optimiser"] == found.trained * 16 / 2**30
    assert found.memory["frozen weights"] == found.frozen * 4 / 2**30
    halved = recipe.model_copy(deep=True)
    halved.training.precision = "bf16"
    assert dry_run(halved).memory["frozen weights"] == found.frozen * 2 / 2**30


def test_the_time_is_counted_by_hand_and_called_an_estimate(bases, annotations):
    recipe = make_recipe(bases, annotations, batch_size=4, micro_batch=2)
    found = dry_run(recipe)
    ((mean, _),) = found.text_tokens.values()
    # four questions a video: the two of a micro-batch share one prefix
    positions = found.prefix_tokens + N + M + 2 * mean
    width, mlp, keys, layers, vocabulary = 32, 48, 16, 2, 61
    block = 2 * width * width + 2 * width * keys + 3 * width * mlp + 2 * width
    weights = layers * block + width + EXPERTS + width  # the last: the <LOC> row of the embeddings
    assert found.operations == pytest.approx(
        4 * (weights * positions + width * (vocabulary - 1) * 2 * mean) * 6 * 2, rel=0.02
    )
    lines = found.lines()
    assert any(line.startswith("time     about 0 minutes at 4 TFLOP/s") for line in lines)
    assert "note     memory and time are estimates by formula, not measured" in lines
    again = recipe.model_copy(deep=True)
    again.training.gradient_checkpointing = True
    assert dry_run(again).operations == pytest.approx(1.5 * found.operations)


def test_dry_run_without_base_models_says_so(annotations, tmp_path):
    recipe = make_recipe(tmp_path / "nothing", annotations)
    found = dry_run(recipe)
    assert not found.groups
    assert found.steps == 6
    bases = [what for what in found.missing if what.startswith("the base model")]
    assert len(bases) == 2  # both are named at once
    assert f"missing  {bases[0]}" in found.lines()


def test_all_faults_are_reported_at_once(tmp_path, bases, annotations):
    raw = make_recipe(bases, annotations).model_dump()
    raw["training"] |= {"steps": None, "learning_rate": -1, "batch_size": 9, "patience": 3, "speed": 2}
    raw["model"]["start"] = "somewhere"
    raw["model"]["config"] |= {"fusion": "glue", "frames": 3}
    raw["data"][0]["benchmark"] = "imagenet"
    del raw["data"][0]["features"]
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(raw))
    with pytest.raises(DataError) as caught:
        load_recipe(file, ["training.warm_up=2", "data.4.weight=1", "oops"])
    told = str(caught.value)
    for piece in (
        "neither steps nor epochs",
        "training.learning_rate is -1",
        "training.batch_size is 9, expected a multiple of micro_batch (2)",
        "training.patience needs a validation set",
        "unknown recipe field training.speed",
        "both start and vision and language",
        "'glue'",
        "model.config.frames is not a field",
        "'imagenet'",
        "data.0.features is missing",
        "training.warm_up is 2",
        "data has 1 entries",
        "override 'oops'",
    ):
        assert piece in told
    assert "has 14 faults" in told  # and that config belongs to new models


def test_overrides_keep_types_and_the_resolved_recipe_comes_back(tmp_path, bases, annotations):
    file, again = tmp_path / "a.yaml", tmp_path / "b.yaml"
    save_recipe(make_recipe(bases, annotations), file)
    recipe = load_recipe(
        file, ["training.steps=3", "data.0.split=val", "model.config.fusion=concat", "training.packed=no"]
    )
    assert isinstance(recipe, Recipe)
    assert (recipe.training.steps, recipe.data[0].split, recipe.training.packed) == (3, "val", False)
    assert recipe.model.config["fusion"] == "concat"
    save_recipe(recipe, again)
    assert load_recipe(again) == recipe
    assert "weight_decay" in again.read_text()  # defaults are written out


def test_a_recipe_that_goes_on_from_a_model_comes_back_too(tmp_path, start):
    recipe = load_recipe(RECIPES / "finetune_charades.yaml", [f"model.start={start}"])
    save_recipe(recipe, tmp_path / "again.yaml")
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_files_that_are_no_recipe(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        load_recipe(tmp_path / "none.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(DataError, match="holds a list"):
        load_recipe(tmp_path / "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(DataError, match="not valid YAML"):
        load_recipe(tmp_path / "broken.yaml")


def test_the_command_dry_runs_and_needs_a_folder_otherwise(tmp_path, bases, annotations, capsys):
    file = tmp_path / "r.yaml"
    save_recipe(make_recipe(bases, annotations), file)
    call = ["train", str(file), "training.steps=7", "--dry-run"]
    assert main(call) == 1  # the features are not here
    assert "missing  the features memory: make them with" in capsys.readouterr().out
    assert main([*call, f"data.0.features={tmp_path}"]) == 0
    printed = capsys.readouterr().out
    assert f"experts (LoRA): {EXPERTS:,} parameters in 28 tensors" in printed
    assert "steps    7," in printed
    assert main(["train", str(file)]) == 2
    assert "needs --out" in capsys.readouterr().err


def test_a_ready_recipe_is_found_by_name_and_sentences_are_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("pretrain", "pretrain.yaml", "recipes/pretrain.yaml"):
        assert load_recipe(name) == load_recipe(RECIPES / "pretrain.yaml")
    with pytest.raises(DataError, match=r"one of the ready ones: .*\bpretrain\b") as error:
        load_recipe("elsewhere/pretrain.yaml")
    assert "recipes" not in str(error.value).split("expected")[0]
    with pytest.raises(DataError) as error:
        load_recipe("pretrain", ["training.steps=-1", "training.learning_rate=no", "model.train=[]"])
    assert "Value error" not in str(error.value)


def test_the_wheel_holds_every_page_and_recipe():
    root = RECIPES.parent
    data = (root / "pyproject.toml").read_text().split("[tool.setuptools.data-files]")[1].split("\n[")[0]
    held = {file for pattern in re.findall(r'\["(.*?)"\]', data) for file in root.glob(pattern)}
    assert held == {*root.glob("docs/*.md"), *root.glob("recipes/**/*.yaml")}


@pytest.mark.parametrize("seed", ["-1", str(2**32)])
@pytest.mark.parametrize("name", ["pretrain", "ablation", "shipped"])
def test_a_seed_is_one_that_every_library_takes(name, seed):
    with pytest.raises(DataError, match="seed"):
        load_recipe(Path(name), [f"seed={seed}"])
    if name == "shipped":
        with pytest.raises(DataError, match="seed"):
            load_recipe(Path(name), [f"tower.seed={seed}"])
