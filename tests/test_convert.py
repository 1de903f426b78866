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
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import Tensor
from transformers import AutoConfig, CLIPVisionConfig, CLIPVisionModelWithProjection, LlamaForCausalLM
from transformers import PreTrainedTokenizerFast as FastTokenizer

import videoexpert
from parity.released import near, split_row, video_tokens
from tiny import LANGUAGE, VISION
from videoexpert import checkpoint
from videoexpert.apps.cli import main
from videoexpert.convert import Report, convert
from videoexpert.errors import CheckpointError, InputError
from videoexpert.grounding.decoding import decode_moments
from videoexpert.types import VisualTokens

WORDS, WIDTH, FORWARD, LAYERS, C, HEAD = 60, 32, 48, 2, 24, 16
RANKS = {"V": 3, "L": 2}
SHAPES = {  # out, in; two of four heads share keys and values
    "self_attn.q_proj": (WIDTH, WIDTH),
    "self_attn.k_proj": (WIDTH // 2, WIDTH),
    "self_attn.v_proj": (WIDTH // 2, WIDTH),
    "self_attn.o_proj": (WIDTH, WIDTH),
    "mlp.gate_proj": (FORWARD, WIDTH),
    "mlp.up_proj": (FORWARD, WIDTH),
    "mlp.down_proj": (WIDTH, FORWARD),
}
EXPERTS, OTHERS, PROJECTOR = (
    "stage2_output/pytorch_model.bin",
    "stage2_output/non_lora_trainables.bin",
    "stage1/mm_projector.bin",
)


def numbers(*shape: int) -> Tensor:
    return torch.randn(*shape).bfloat16()


def expert_tensors() -> dict[str, Tensor]:
    found = {}
    for layer in range(LAYERS):
        for name, (out, into) in SHAPES.items():
            for letter, rank in RANKS.items():
                stem = f"model.layers.{layer}.{name}.{letter}_Expertlora"
                found[f"{stem}_A.weight"] = numbers(rank, into)
                found[f"{stem}_B.weight"] = numbers(out, rank)
    return found


def other_tensors() -> dict[str, Tensor]:
    found = {
        "model.embed_tokens.weight": numbers(WORDS + 1, WIDTH),
        "lm_head.weight": numbers(WORDS + 1, WIDTH),
        "model.text_hidden_fcs_det.0.0.weight": numbers(WIDTH, WIDTH),
        "model.text_hidden_fcs_det.0.0.bias": numbers(WIDTH),
        "model.text_hidden_fcs_det.0.2.weight": numbers(HEAD, WIDTH),
        "model.text_hidden_fcs_det.0.2.bias": numbers(HEAD),
    }
    for branch, outputs in (("class", 1), ("span", 2)):
        for layer, width in enumerate((HEAD, HEAD, outputs)):
            found[f"model.{branch}_embed_head.layers.{layer}.weight"] = numbers(width, HEAD, 3)
            found[f"model.{branch}_embed_head.layers.{layer}.bias"] = numbers(width)
    return found


FUSIONS: dict[str, dict[str, tuple[int, ...]]] = {
    "concat": {
        "model.loc_interact.0.0.weight": (2 * HEAD, 2 * HEAD),
        "model.loc_interact.0.0.bias": (2 * HEAD,),
        "model.loc_interact.0.2.weight": (HEAD, 2 * HEAD),
        "model.loc_interact.0.2.bias": (HEAD,),
    },
    "attention": {
        "model.token_type_embeddings.weight": (2, HEAD),
        "model.loc_interact.encoder.layers.0.self_attn.in_proj_weight": (3 * HEAD, HEAD),
        "model.loc_interact.encoder.layers.0.self_attn.in_proj_bias": (3 * HEAD,),
        "model.loc_interact.encoder.layers.0.self_attn.out_proj.weight": (HEAD, HEAD),
        "model.loc_interact.encoder.layers.0.self_attn.out_proj.bias": (HEAD,),
        **{
            f"model.loc_interact.encoder.layers.0.{name}": shape
            for layer in ("linear1", "linear2", "norm1", "norm2")
            for name, shape in {
                f"{layer}.weight": (HEAD, HEAD) if layer.startswith("linear") else (HEAD,),
                f"{layer}.bias": (HEAD,),
            }.items()
        },
    },
}


def write_bases(folder: Path, projection: int = C, **changed: Any) -> Path:
    """A base language model and a vision encoder at toy size, in transformers' layout."""
    torch.manual_seed(1)
    fields = {**LANGUAGE, **changed}
    language = LlamaForCausalLM(AutoConfig.for_model(fields.pop("model_type"), **fields))
    language.save_pretrained(folder / "language")
    words = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"w{i}": i for i in range(3, WORDS)}}
    inner = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = FastTokenizer(tokenizer_object=inner, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    tokenizer.save_pretrained(folder / "language")
    write_vision(folder / "vision", projection)
    return folder


def write_vision(folder: Path, projection: int) -> Path:
    torch.manual_seed(2)
    config = CLIPVisionConfig(**{**VISION, "projection_dim": projection})
    CLIPVisionModelWithProjection(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bases(tmp_path_factory.mktemp("bases"))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete checkpoint in the authors' layout."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("authors")
    (folder / "stage1").mkdir()
    (folder / "stage2_output").mkdir()
    torch.save(expert_tensors(), folder / EXPERTS)
    torch.save(other_tensors(), folder / OTHERS)
    projector = {"model.mm_projector.weight": numbers(WIDTH, C), "model.mm_projector.bias": numbers(WIDTH)}
    torch.save(projector, folder / PROJECTOR)
    kept = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "rms_norm_eps")
    config = {name: LANGUAGE[name] for name in kept} | {"vocab_size": WORDS + 1, "model_type": "VTimeLLM"}
    (folder / "stage2_output/config.json").write_text(json.dumps({**config, "_name_or_path": "the-base"}))
    return folder


@pytest.fixture
def authors(original: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(original, tmp_path / "authors"))


def change(file: Path, edit: Callable[[dict[str, Tensor]], Any]) -> None:
    tensors = torch.load(file, weights_only=True)
    edit(tensors)
    torch.save(tensors, file)


def run(authors: Path, bases: Path, out: Path, **options: Any) -> Report:
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
    "config cut": (lambda a: truncate(a / "stage2_output/config.json"), r"config\.json is not valid JSON"),
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
    assert "temporal expert         28" in printed
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
    assert "vocabulary matrices are not part" in capsys.readouterr().out
    assert json.loads((tmp_path / "lora/adapter_config.json").read_text())["lora_alpha"] == 4


# ---------------------------------------------------------------------- the reference checkpoint


@pytest.fixture(scope="module")
def converted(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    """The shared fake checkpoint, converted onto its base model and a small CLIP of the right width."""
    layout = shared / "reference/checkpoint_layout"
    projector = torch.load(layout / PROJECTOR, weights_only=True)["model.mm_projector.weight"]
    folder = tmp_path_factory.mktemp("converted")
    write_vision(folder / "vision", projector.shape[1])
    report = convert(layout, folder / "out", language=layout / "base_model", vision=folder / "vision")
    return folder / "out", report


def test_reference_checkpoint_is_accounted_for(converted: tuple[Path, Report], shared: Path) -> None:
    folder, report = converted
    layout = json.loads((shared / "reference/checkpoint_layout/layout.json").read_text())["tiny"]
    listed = {
        (key, Path(file).name): (tuple(entry["shape"]), entry["dtype"])
        for file, entries in layout.items()
        for key, entry in entries.items()
        if "base_model" not in file
    }
    ours = {(e.theirs, e.file): (e.shape, e.dtype) for e in report.entries}
    assert ours == listed
    assert all("rotary" in reason for reason in report.left_out.values())
    config = checkpoint.read_config(folder)
    assert config.temporal_rank == config.spatial_rank
    assert config.lora_alpha == 2 * config.temporal_rank


@torch.no_grad()
def test_converted_folder_gives_the_golden_outputs(converted: tuple[Path, Report], shared: Path) -> None:
    reference = shared / "reference"
    expert = videoexpert.load(converted[0], device="cpu")
    model, stored = expert.model, load_file(reference / "full_model/case_main.safetensors")
    cls, spatial = video_tokens(reference, model.config)
    seen, duration = 0, 40.0
    for row, (ids, labels, mask) in enumerate(
        zip(stored["input_ids"], stored["labels"], stored["attention_mask"], strict=True)
    ):
        index = int(stored["video_index"][row])
        before, asked = split_row(ids[mask], labels[mask], model.config.loc_token_id)
        assert before == expert.prompter.prefix_ids
        video = expert.open_tokens(VisualTokens(cls[index], spatial[index], duration))
        states = model.read_segments(video.prefix, [asked])
        here = stored["logits_index"][:, 0] == row
        places = stored["logits_index"][here, 1] - video.prefix.length
        behind = (places >= 0) & (places < len(states))
        logits = model.logits(states[places[behind]])
        near(logits, stored["logits_at_index"][here][behind], 1e-4, "logits")
        head = model.locate(video.prefix, [asked])
        own = slice(seen, seen + len(asked.loc_positions))
        seen = own.stop
        near(head.indicator_logits[..., None], stored["class_logits"][own], 1e-4, "indicator")
        for query, (prob, coord) in enumerate(
            zip(stored["outputs_class"][own], stored["outputs_coord"][own], strict=True)
        ):
            moments = video._moments("", head, query, None)
            check_moments(moments, prob[:, 0], coord, duration)
            golden = decode_moments(prob[:, 0], coord.abs(), model.centres(len(prob)), duration)
            assert [m.start for m in moments] == pytest.approx([m.start for m in golden], abs=1e-3)
            assert [m.end for m in moments] == pytest.approx([m.end for m in golden], abs=1e-3)
    assert seen == len(stored["class_logits"]) > 0


def check_moments(moments: Any, prob: Tensor, coord: Tensor, duration: float) -> None:
    """The best moment read off the golden numbers by hand: frame i of N stands for the time (i + 1) / N."""
    best = int(prob.argmax())
    span = ((best + 1) / len(prob) + coord[best]).clamp(0, 1) * duration
    assert moments[0].start == pytest.approx(float(span[0]), abs=1e-3)
    assert moments[0].end == pytest.approx(float(span[1]), abs=1e-3)
    assert moments[0].score == pytest.approx(float(prob[best]), abs=2e-5)


@torch.no_grad()
@pytest.mark.parametrize("name", ["aligned", "misaligned"])
def test_converted_folder_answers_as_the_reference(
    converted: tuple[Path, Report], shared: Path, name: str
) -> None:
    """With the true token roles, as tests/parity/test_full_model.py explains."""
    reference = shared / "reference"
    model, _ = checkpoint.load(converted[0])
    stored = load_file(reference / "full_model/inference.safetensors")
    index = int(stored["video_index"][0])
    cls, spatial = video_tokens(reference, model.config)
    before, asked = split_row(stored[f"{name}.input_ids"][0], None, model.config.loc_token_id)
    forced = type(asked)((*asked.ids, *stored[f"{name}.forced_tokens"].tolist()))
    prefix = model.open_prefix(VisualTokens(cls[index], spatial[index], 1.0), before)
    states = model.read_segments(prefix, [forced])
    near(model.logits(states[len(asked.ids) :]), stored[f"{name}.one_pass_explicit_mask_logits"], 1e-4)
    near(
        model.logits(states[len(asked.ids) - 1]),
        stored[f"{name}.prefill_logits_explicit_mask"][-1],
        1e-4,
    )


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
