"""The reference data's fake checkpoint, converted and loaded, against the golden outputs of ``full_model``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import videoexpert
from authors import PROJECTOR, write_vision
from parity.released import near, prompt_names, split_row, video_tokens, visual_count
from shared_data import stored as stored_files
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.checkpoints.released.convert import Conversion, convert
from videoexpert.grounding.decoding import decode_moments
from videoexpert.types import VisualTokens

CASES = stored_files("reference/full_model/case_*.safetensors")
PROMPTS = prompt_names(stored_files("reference/full_model/inference.safetensors"))
NO_DATA = [pytest.param("", marks=pytest.mark.skip(reason="shared reference data not found"))]


@pytest.fixture(scope="module")
def converted(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Conversion]:
    """The shared fake checkpoint, converted onto its base model and a small CLIP of the right width."""
    layout = shared / "reference/checkpoint_layout"
    projector = torch.load(layout / PROJECTOR, weights_only=True)["model.mm_projector.weight"]
    folder = tmp_path_factory.mktemp("converted")
    write_vision(folder / "vision", projector.shape[1])
    report = convert(layout, folder / "out", language=layout / "base_model", vision=folder / "vision")
    return folder / "out", report


def test_reference_checkpoint_is_accounted_for(converted: tuple[Path, Conversion], shared: Path) -> None:
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
@pytest.mark.parametrize("case", CASES or NO_DATA, ids=lambda case: getattr(case, "stem", ""))
def test_converted_folder_gives_the_golden_outputs(
    converted: tuple[Path, Conversion], shared: Path, case: Path
) -> None:
    reference = shared / "reference"
    expert = videoexpert.load(converted[0], device="cpu")
    model, stored = expert.model, load_file(case)
    cls, spatial = video_tokens(reference, model.config)
    if visual_count(stored) != cls.shape[1] + spatial.shape[1] or "class_logits" not in stored:
        pytest.skip("a case without S-tokens, or without moments")
    seen, duration = 0, 40.0
    for row, (ids, labels, mask) in enumerate(
        zip(stored["input_ids"], stored["labels"], stored["attention_mask"], strict=True)
    ):
        index = int(stored["video_index"][row])
        before, asked = split_row(ids[mask], labels[mask], model.config.loc_token_id)
        assert before == expert.prompter.prefix_ids
        video = expert.open_tokens(VisualTokens(cls[index], spatial[index], duration))
        (prefix,) = expert.engine.prefixes([video.opened])
        states = model.read_segments(prefix, [asked])
        here = stored["logits_index"][:, 0] == row
        places = stored["logits_index"][here, 1] - prefix.length
        behind = (places >= 0) & (places < len(states))
        logits = model.logits(states[places[behind]])
        near(logits, stored["logits_at_index"][here][behind], 1e-4, "logits")
        head = model.locate(prefix, [asked])
        own = slice(seen, seen + len(asked.loc_positions))
        seen = own.stop
        near(head.indicator_logits[..., None], stored["class_logits"][own], 1e-4, "indicator")
        found = model.moments(head, [video.tokens.stretch] * len(head.indicator_logits))
        for moments, prob, coord in zip(
            found, stored["outputs_class"][own], stored["outputs_coord"][own], strict=True
        ):
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
@pytest.mark.parametrize("name", PROMPTS or NO_DATA)
def test_converted_folder_answers_as_the_reference(
    converted: tuple[Path, Conversion], shared: Path, name: str
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
