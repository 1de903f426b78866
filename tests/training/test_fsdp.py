"""FSDP as recipes/accelerate/fsdp.yaml sets it: two processes share a model and do what one process does.

They run on the CPU with gloo. accelerate would not look at its FSDP settings there; ``worker.py`` opens that one
gate, and everything behind it is what runs on GPUs: wrapping, gathering, reducing, checkpoints.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaConfig, LlamaForCausalLM

from training_world import make_recipe, records, write_records
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import InputError
from videoexpert.language.prompter import Prompter
from videoexpert.recipes import save_recipe
from videoexpert.testing import LANGUAGE, tiny_tokenizer
from videoexpert.training.run import batches_of, open_model, open_sources, train
from videoexpert.training.sharded import check_plugin
from videoexpert.training.trainer import PARTS, checkpoint_steps

pytestmark = pytest.mark.slow

TESTS = Path(__file__).resolve().parent.parent
FSDP = TESTS.parent / "recipes" / "accelerate" / "fsdp.yaml"
LAUNCH = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--config_file", str(FSDP)]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Answers with and without ``<LOC>``: of two processes often only one has something for the head."""
    plain = [{"video": f"v{i}", "duration": 10, "question": "what is it?", "answer": "a"} for i in range(5)]
    return write_records(tmp_path_factory.mktemp("own") / "own.jsonl", records(5) + 3 * plain)


def make_run(bases, annotations, **training):
    recipe = make_recipe(bases, annotations, valid=True, batch_size=2, micro_batch=1, keep=3, **training)
    recipe.model.config["lora_dropout"] = 0.0
    return recipe


@pytest.fixture(scope="module")
def recipe(bases, mixed):
    return make_run(bases, mixed)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, recipe, stores):
    """The run in one process."""
    return train(recipe, tmp_path_factory.mktemp("alone") / "run", stores=stores, log=lambda _: None).parent


@pytest.fixture(scope="module")
def shared_run(tmp_path_factory, recipe):
    """The same run in two processes that share the model."""
    return launched(recipe, tmp_path_factory.mktemp("shared") / "run")


def launched(recipe, out: Path) -> Path:
    """Train (or resume) in two processes; each holds half of the weights."""
    out.parent.mkdir(exist_ok=True)
    file = out.with_name("recipe.yaml")
    save_recipe(recipe, file)
    processes = ["--num_processes=2", "--main_process_port=0"]
    done = subprocess.run(
        [*LAUNCH, *processes, "-m", "training.worker", str(file), str(out), "fsdp"],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join(map(str, (TESTS, TESTS.parent / "src"))),
            "OMP_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": "",
        },
        cwd=TESTS,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    for process in (0, 1):
        own, total = (out / f"own-{process}").read_text().split(" of ")
        assert 0.4 < int(own) / int(total) < 0.6, "the model was not spread"
    return out


def curve(run: Path) -> dict[str, list[float]]:
    log = json.loads((run / "log.json").read_text())
    names = (
        "loss",
        "eval_loss",
        "eval_mIoU",
        "eval_R1@0.5",
        "grad_norm",
        *(f"loss_{part}" for part in PARTS),
    )
    return {name: [line[name] for line in log if name in line] for name in names}


def assert_alike(found: Path, expected: Path, atol: float = 1e-4) -> None:
    """The same tensors, values and curves."""
    ours, theirs = (load_file(run / "model" / "model.safetensors") for run in (found, expected))
    assert set(ours) == set(theirs)
    for name, tensor in theirs.items():
        torch.testing.assert_close(
            ours[name], tensor, atol=atol, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )
    for name, values in curve(expected).items():
        assert curve(found)[name] == pytest.approx(values, abs=10 * atol, rel=1e-3), name


def test_two_processes_that_share_the_model_train_the_adapter_of_one(shared_run, alone):
    assert_alike(shared_run, alone)
    model, _ = checkpoint.load(shared_run / "model")
    assert model.config.weights == "adapter"


def test_at_times_only_one_process_has_something_for_the_head(recipe, stores):
    """Else the runs compared here would not show that a process without ``<LOC>`` holds up no other."""
    model, tokenizer = open_model(recipe)
    sources = open_sources(recipe.data, model, stores)
    batches = batches_of(recipe, sources, 6 * 2, Prompter(model.config, tokenizer))
    has = [len(batches[i]["sequence"].loc_positions) > 0 for i in range(len(batches))]
    assert any(first != second for first, second in zip(has[::2], has[1::2], strict=True))


def test_checkpoints_hold_what_those_of_one_process_hold(shared_run, alone):
    assert checkpoint_steps(shared_run) == checkpoint_steps(alone) == [2, 4, 6]
    for step in (2, 4, 6):
        ours, theirs = (run / f"checkpoint-{step}" for run in (shared_run, alone))
        files = {file.name for file in ours.iterdir()}
        assert files - {"rng_state_0.pth", "rng_state_1.pth"} == {f.name for f in theirs.iterdir()} - {
            "rng_state.pth"
        }
        packed, expected = (torch.load(folder / "optimizer.pt") for folder in (ours, theirs))
        assert packed["param_groups"] == expected["param_groups"]
        assert set(packed["state"]) == set(expected["state"])
        for index, entry in expected["state"].items():
            for name, tensor in entry.items():
                torch.testing.assert_close(packed["state"][index][name], tensor, atol=1e-4, rtol=1e-3)


def stopped(run: Path, out: Path) -> Path:
    """The run as it stood after step 2."""
    shutil.copytree(run, out)
    for made in ("model", "checkpoint-4", "checkpoint-6"):
        shutil.rmtree(out / made)
    (out / "log.json").unlink()
    return out


def test_it_resumes(shared_run, alone, recipe, tmp_path):
    out = launched(recipe, stopped(shared_run, tmp_path / "run"))
    assert_alike(out, alone)


def test_its_checkpoint_goes_on_in_one_process(shared_run, alone, recipe, stores, tmp_path):
    said: list[str] = []
    out = train(recipe, stopped(shared_run, tmp_path / "run"), stores=stores, log=said.append).parent
    assert "goes on after step 2" in said
    assert_alike(out, alone)


def test_a_model_with_tied_matrices_in_half_precision_is_saved_whole(bases, mixed, stores, tmp_path):
    torch.manual_seed(0)
    language = LlamaForCausalLM(LlamaConfig.from_dict({**LANGUAGE, "tie_word_embeddings": True}))
    language.save_pretrained(tmp_path / "language")
    tiny_tokenizer().save_pretrained(tmp_path / "language")
    recipe = make_run(
        bases, mixed, precision="bf16", gradient_checkpointing=True, steps=2, learning_rate=1e-3
    )
    fields = recipe.model.config
    whole, tokenizer = checkpoint.assemble(recipe.model.vision, tmp_path / "language", **fields)
    recipe.model.start = str(checkpoint.save(whole, tokenizer, tmp_path / "start"))
    recipe.model.vision = recipe.model.language = None
    recipe.model.config = {}
    ours = launched(recipe, tmp_path / "shared" / "run")
    theirs = train(recipe, tmp_path / "alone" / "run", stores=stores, log=lambda _: None).parent
    assert_alike(ours, theirs, atol=1e-3)
    model, _ = checkpoint.load(ours / "model")
    assert model.config.weights == "full"


def test_fsdp_1_is_refused():
    with pytest.raises(InputError, match="expected fsdp_version: 2"):
        check_plugin(SimpleNamespace(fsdp_version=1))
