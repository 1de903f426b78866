"""The authors' checkpoint to a folder of ours: every number in its place, or one sentence and no folder."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from authors import (
    EXPERTS,
    FORWARD,
    FUSIONS,
    HEAD,
    LAYERS,
    OTHERS,
    PROJECTOR,
    SHAPES,
    WIDTH,
    WORDS,
    C,
    numbers,
    write_bases,
    write_checkpoint,
)
from videoexpert.apps.cli import main
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.checkpoints.released.convert import Conversion, convert
from videoexpert.checkpoints.released.keys import key_map
from videoexpert.config import CHOICES
from videoexpert.errors import CheckpointError, InputError
from videoexpert.grounding.head import FUSIONS as FUSION_CLASSES
from videoexpert.testing import tiny_model


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("authors"))


@pytest.fixture
def authors(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "authors"))


def change(file: Path, edit: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = torch.load(file, weights_only=True)
    edit(tensors)
    torch.save(tensors, file)


def run(authors: Path, bases: Path, out: Path, **options: Any) -> Conversion:
    return convert(authors, out, language=bases / "language", vision=bases / "vision", **options)


def test_every_number_is_in_its_place(authors: Path, bases: Path, tmp_path: Path) -> None:
    report = run(authors, bases, tmp_path / "out")
    (tmp_path / "plain").mkdir()
    rights = (tmp_path / "plain").stat().st_mode
    assert (tmp_path / "out").stat().st_mode == rights
    assert {p.stat().st_mode & 0o777 for p in (tmp_path / "out").iterdir()} == {rights & 0o666}
    theirs: dict[str, Tensor] = {}
    for file in (EXPERTS, OTHERS, PROJECTOR):
        theirs |= torch.load(authors / file, weights_only=True)
    model, tokenizer = checkpoint.load(tmp_path / "out")
    config = model.config
    assert (config.preset, config.fusion, config.loc_text, config.weights) == (
        "released",
        "add",
        "[LOC]",
        "adapter",
    )
    assert (config.head_width, config.loc_token_id) == (HEAD, WORDS)
    assert tokenizer.convert_tokens_to_ids("[LOC]") == WORDS
    left = {k: v.float() for k, v in theirs.items()}
    for layer in range(LAYERS):
        for name in SHAPES:
            ours = model.get_submodule(f"language.model.layers.{layer}.{name}")
            assert ours.scale == 2.0  # the released constant, whatever the ranks
            stem = f"model.layers.{layer}.{name}"
            assert torch.equal(ours.lora_A[:3], left.pop(f"{stem}.V_Expertlora_A.weight"))
            assert torch.equal(ours.lora_A[3:], left.pop(f"{stem}.L_Expertlora_A.weight"))
            assert torch.equal(ours.lora_B[:, :3], left.pop(f"{stem}.V_Expertlora_B.weight"))
            assert torch.equal(ours.lora_B[:, 3:], left.pop(f"{stem}.L_Expertlora_B.weight"))
    for table, key in (
        (model.language.get_input_embeddings(), "model.embed_tokens.weight"),
        (model.language.get_output_embeddings(), "lm_head.weight"),
    ):
        rows = left.pop(key)
        assert torch.equal(table.base.weight, rows[:WORDS])
        assert torch.equal(table.loc_row, rows[WORDS:])
    for side in ("weight", "bias"):
        assert torch.equal(getattr(model.adapter.linear, side), left.pop(f"model.mm_projector.{side}"))
        for place in (0, 2):
            key = f"model.text_hidden_fcs_det.0.{place}.{side}"
            assert torch.equal(getattr(model.head.projection[place], side), left.pop(key))
        for branch, ours in (("class", model.head.indicator_branch), ("span", model.head.boundary_branch)):
            for layer in range(3):
                key = f"model.{branch}_embed_head.layers.{layer}.{side}"
                assert torch.equal(getattr(ours[2 * layer], side), left.pop(key))
    assert not left, "keys that the test did not look for"
    assert {entry.theirs for entry in report.entries} == set(theirs)
    assert sum(count for count, _ in report.parts().values()) == len(theirs)
    assert sum(count for _, count in report.parts().values()) == sum(t.numel() for t in theirs.values())
    filled = {name for entry in report.entries for name in entry.ours}
    assert filled == set(load_file(tmp_path / "out/model.safetensors"))


@pytest.mark.parametrize("fusion", list(FUSIONS))
def test_fusions(authors: Path, bases: Path, tmp_path: Path, fusion: str) -> None:
    extra = {key: numbers(*shape) for key, shape in FUSIONS[fusion].items()}
    change(authors / OTHERS, lambda t: t.update(extra))
    report = run(authors, bases, tmp_path / "out")
    assert not report.notes
    assert report.parts()["fusion"] == (len(extra), sum(t.numel() for t in extra.values()))
    model, _ = checkpoint.load(tmp_path / "out")
    assert model.config.fusion == fusion
    stored = sorted(float(t.float().sum()) for t in extra.values())
    ours = sorted(float(p.detach().sum()) for p in model.head.fusion.parameters())
    assert ours == pytest.approx(stored, abs=1e-4)


def test_a_fusion_that_the_released_code_has_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new fusion is a class, and its name in the config: nothing of a checkpoint's keys is needed for it."""

    class Gate(FUSION_CLASSES["concat"]):
        pass

    monkeypatch.setitem(FUSION_CLASSES, "gate", Gate)
    monkeypatch.setitem(CHOICES, "fusion", (*CHOICES["fusion"], "gate"))
    model = tiny_model("released", fusion="gate")
    assert isinstance(model.head.fusion, Gate)
    with pytest.raises(
        CheckpointError, match="the released code has no fusion 'gate', only add, none, concat"
    ):
        key_map(model)


def test_a_fusion_that_the_files_do_not_tell(authors: Path, bases: Path, tmp_path: Path) -> None:
    report = run(authors, bases, tmp_path / "out", fusion="none")
    assert checkpoint.load(tmp_path / "out")[0].config.fusion == "none"
    assert not report.notes
    (note,) = run(authors, bases, tmp_path / "assumed").notes
    assert "'add' is assumed" in note


def test_prefixes_of_training_wrappers(authors: Path, bases: Path, tmp_path: Path) -> None:
    run(authors, bases, tmp_path / "plain")
    for file in (EXPERTS, OTHERS):
        tensors = torch.load(authors / file, weights_only=True)
        torch.save({f"base_model.model.{key}": value for key, value in tensors.items()}, authors / file)
    run(authors, bases, tmp_path / "wrapped")
    ours = [load_file(tmp_path / name / "model.safetensors") for name in ("plain", "wrapped")]
    assert set(ours[0]) == set(ours[1])
    assert all(torch.equal(ours[0][name], ours[1][name]) for name in ours[0])


def test_a_projector_trained_in_stage_2_wins(authors: Path, bases: Path, tmp_path: Path) -> None:
    later = {"model.mm_projector.weight": numbers(WIDTH, C), "model.mm_projector.bias": numbers(WIDTH)}
    change(authors / OTHERS, lambda t: t.update(later))
    report = run(authors, bases, tmp_path / "out")
    stored = load_file(tmp_path / "out/model.safetensors")
    assert torch.equal(stored["adapter.linear.weight"], later["model.mm_projector.weight"].float())
    assert len(report.left_out) == 2
    (authors / PROJECTOR).unlink()
    assert not run(authors, bases, tmp_path / "without").left_out


# ---------------------------------------------------------------------- damaged checkpoints


class Marker:
    """A pickle that would write a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (open, (str(self.path), "w"))


def truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def with_code(file: Path) -> None:
    torch.save({"model.embed_tokens.weight": Marker(file.parent / "ran")}, file)


V = "model.layers.1.mlp.up_proj.V_Expertlora_B.weight"
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "expert key removed": (
        lambda a: change(a / EXPERTS, lambda t: t.pop(V)),
        rf"1 missing \({V}\), 0 unexpected",
    ),
    "head key removed": (
        lambda a: change(a / OTHERS, lambda t: t.pop("model.class_embed_head.layers.1.bias")),
        "1 missing .model.class_embed_head.layers.1.bias., 0 unexpected",
    ),
    "projector key removed": (
        lambda a: change(a / PROJECTOR, lambda t: t.pop("model.mm_projector.weight")),
        "1 missing .model.mm_projector.weight.",
    ),
    "key added": (
        lambda a: change(a / OTHERS, lambda t: t.update(stray=numbers(1))),
        "0 missing .none., 1 unexpected .stray.",
    ),
    "key added to stage 1": (
        lambda a: change(a / PROJECTOR, lambda t: t.update({"model.norm.weight": numbers(WIDTH)})),
        "1 unexpected .model.norm.weight.",
    ),
    "base key in stage 2": (
        lambda a: change(a / EXPERTS, lambda t: t.update({"lm_head.weight": numbers(1)})),
        "lm_head.weight stands in both",
    ),
    "wrong shape of an expert": (
        lambda a: change(a / EXPERTS, lambda t: t.update({V: numbers(FORWARD, 4)})),
        rf"{V} in .* has shape \(48, 4\), expected \(48, 3\)",
    ),
    "wrong shape of the head": (
        lambda a: change(a / OTHERS, lambda t: t.update({"model.text_hidden_fcs_det.0.2.bias": numbers(15)})),
        r"model\.text_hidden_fcs_det\.0\.2\.bias in .* has shape \(15,\), expected \(16,\)",
    ),
    "vocabulary without [LOC]": (
        lambda a: change(a / OTHERS, lambda t: t.update({"lm_head.weight": numbers(WORDS, WIDTH)})),
        r"lm_head\.weight in .* has shape \(60, 32\), expected \(61, 32\)",
    ),
    "integers": (
        lambda a: change(a / OTHERS, lambda t: t.update({"lm_head.weight": t["lm_head.weight"].int()})),
        "is torch.int32, expected bfloat16, float16 or float32",
    ),
    "not finite": (
        lambda a: change(a / EXPERTS, lambda t: t[V].fill_(float("nan"))),
        f"{V} in .* not finite",
    ),
    "truncated experts": (lambda a: truncate(a / EXPERTS), "pytorch_model.bin is cut short"),
    "truncated others": (lambda a: truncate(a / OTHERS), "non_lora_trainables.bin is cut short"),
    "truncated projector": (lambda a: truncate(a / PROJECTOR), "mm_projector.bin is cut short"),
    "empty file": (lambda a: (a / EXPERTS).write_bytes(b""), "pytorch_model.bin is cut short"),
    "code in a pickle": (lambda a: with_code(a / OTHERS), "holds more than tensors .* it was not run"),
    "plain pickle": (
        lambda a: (a / OTHERS).write_bytes(pickle.dumps(Marker(a / "stage2_output/ran"), protocol=2)),
        "holds more than tensors",
    ),
    "no table of tensors": (lambda a: torch.save([numbers(1)], a / OTHERS), "no plain table of tensors"),
    "experts missing": (lambda a: (a / EXPERTS).unlink(), "has no pytorch_model.bin, half a checkpoint"),
    "others missing": (lambda a: (a / OTHERS).unlink(), "has no non_lora_trainables.bin, half a checkpoint"),
    "config missing": (lambda a: (a / "stage2_output/config.json").unlink(), r"has no config\.json, half"),
    "config cut": (lambda a: truncate(a / "stage2_output/config.json"), r"config\.json: not valid JSON"),
    "projector missing": (lambda a: (a / PROJECTOR).unlink(), "give it with --stage1"),
    "no stage 2": (lambda a: shutil.rmtree(a / "stage2_output"), "holds no stage-2 output"),
    "two outputs": (
        lambda a: shutil.copytree(a / "stage2_output", a / "stage2_other"),
        r"2 stage-2 outputs \(stage2_other, stage2_output\), expected one",
    ),
    "experts of the base": (
        lambda a: torch.save({"model.norm.weight": numbers(WIDTH)}, a / EXPERTS),
        "has no temporal expert",
    ),
    "another model": (
        lambda a: (a / "stage2_output/config.json").write_text('{"model_type": "llava"}'),
        "model_type 'llava', expected 'VTimeLLM'",
    ),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_damaged_checkpoint_gives_one_sentence_and_nothing_else(
    authors: Path, bases: Path, tmp_path: Path, damage: str
) -> None:
    break_it, message = DAMAGES[damage]
    break_it(authors)
    with pytest.raises(CheckpointError, match=message) as error:
        run(authors, bases, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert str(error.value).endswith(".")
    assert [place.name for place in tmp_path.iterdir()] == ["authors"]
    assert not (authors / "stage2_output/ran").exists(), "code in a file was run"


def test_stage_3_without_its_fusion(authors: Path, bases: Path, tmp_path: Path) -> None:
    for fusion in FUSIONS:
        with pytest.raises(CheckpointError, match="a stage-3 run does not write them"):
            run(authors, bases, tmp_path / "out", fusion=fusion)
    one = {"model.token_type_embeddings.weight": numbers(2, HEAD)}
    change(authors / OTHERS, lambda t: t.update(one))
    with pytest.raises(CheckpointError, match="a stage-3 run does not write them"):
        run(authors, bases, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_wrong_bases(authors: Path, bases: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wider = write_bases(tmp_path / "wider", projection=C + 8, intermediate_size=FORWARD + 16)
    with pytest.raises(
        CheckpointError, match=r"intermediate_size 64, .* a base with 48; .* names 'the-base'"
    ):
        run(authors, wider, out)
    with pytest.raises(CheckpointError, match="tokens of width 32, the checkpoint's projector expects 24"):
        convert(authors, out, language=bases / "language", vision=wider / "vision")
    with pytest.raises(CheckpointError, match="cannot be the language model"):
        convert(authors, out, language=tmp_path, vision=bases / "vision")
    with pytest.raises(CheckpointError, match=r"cannot be the vision encoder|not a vision encoder"):
        convert(authors, out, language=bases / "language", vision=bases / "language")
    broken = Path(shutil.copytree(bases / "language", tmp_path / "broken"))
    truncate(broken / "model.safetensors")
    with pytest.raises(CheckpointError, match="cannot be read"):
        convert(authors, out, language=broken, vision=bases / "vision")
    (broken / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="holds no weights"):
        convert(authors, out, language=broken, vision=bases / "vision")
    assert not out.exists()


def test_an_existing_folder_is_left_alone(authors: Path, bases: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/notes.txt").write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        run(authors, bases, tmp_path / "out")
    with pytest.raises(InputError, match="'mean', expected one of add"):
        run(authors, bases, tmp_path / "new", fusion="mean")
    assert (tmp_path / "out/notes.txt").read_text() == "mine"


# ---------------------------------------------------------------------- names of the bases, command line


def test_bases_are_found_from_anywhere(
    authors: Path, bases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    shutil.copytree(bases, home / "bases")
    monkeypatch.chdir(home)
    convert(authors, "out", language="bases/language", vision="bases/vision")
    convert(authors, tmp_path / "far/out", language="bases/language", vision=home / "bases/vision")
    monkeypatch.chdir(tmp_path.parent)
    for folder in (home / "out", tmp_path / "far/out"):
        assert checkpoint.load(folder)[0].config.preset == "released"
    near_by = json.loads((home / "out/config.json").read_text())
    assert (near_by["language_name"], near_by["vision_name"]) == ("bases/language", "bases/vision")
    far = json.loads((tmp_path / "far/out/config.json").read_text())
    assert far["language_name"] == str(home / "bases/language")
    home.rename(tmp_path / "moved")  # the folder and the bases beside it move together
    assert checkpoint.load(tmp_path / "moved/out")[0].config.preset == "released"
    assert checkpoint._portable("lmsys/vicuna-7b-v1.5", home / "out") == "lmsys/vicuna-7b-v1.5"


def test_command(authors: Path, bases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.move(authors / "stage1", tmp_path / "elsewhere")
    options = ["--language", str(bases / "language"), "--vision", str(bases / "vision")]
    stages = ["--stage1", str(tmp_path / "elsewhere"), "--stage2", str(authors / "stage2_output")]
    assert main(["convert", str(tmp_path), str(tmp_path / "out"), *options, *stages, "--verbose"]) == 0
    printed = capsys.readouterr().out
    assert ["temporal", "expert", "28"] in [line.split()[:3] for line in printed.splitlines()]
    line = f"{V} [48, 3] bfloat16 (pytorch_model.bin) -> language.model.layers.1.mlp.up_proj.lora_B"
    assert line in printed
    stage2 = str(authors / "stage2_output")  # a folder that holds the files itself
    again = ["convert", stage2, str(tmp_path / "json"), *options, *stages[:2], "--format", "json"]
    assert main(again) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["parts"]["vocabulary"] == {"tensors": 2, "numbers": 2 * 61 * 32}
    assert len(report["keys"]) == sum(part["tensors"] for part in report["parts"].values())
    change(authors / EXPERTS, lambda t: t.pop(V))
    assert main(["convert", stage2, str(tmp_path / "bad"), *options, *stages[:2]]) == 1
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "bad").exists()
    assert main(["export", "peft", str(tmp_path / "out"), str(tmp_path / "lora")]) == 0
    assert "vocabulary matrices are not part" in capsys.readouterr().err
    assert json.loads((tmp_path / "lora/adapter_config.json").read_text())["lora_alpha"] == 4


def test_a_base_that_lost_a_weight_is_refused_when_loading(
    authors: Path, bases: Path, tmp_path: Path
) -> None:
    """transformers alone would fill it with random numbers and go on."""
    shutil.copytree(bases, tmp_path / "bases")
    run(authors, tmp_path / "bases", tmp_path / "out")
    stored = tmp_path / "bases/language/model.safetensors"
    tensors = load_file(stored)
    del tensors["model.norm.weight"]
    save_file(tensors, stored, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 1 weights of the language model .model\.norm\.weight."):
        checkpoint.load(tmp_path / "out")
    with pytest.raises(CheckpointError, match=r"1 missing \(model\.norm\.weight\)"):
        run(authors, tmp_path / "bases", tmp_path / "again")
