"""benchmarks/backbone_speed.py at toy size: what it counts, what it leaves out, and that memory may run out."""

from __future__ import annotations

import json
import os

import pytest
import torch

from backbone_speed import batch, main, pairs, work
from shapes import PREFIX, SIZES, build, peak_flops
from videoexpert.language.sequence import IGNORED, block_causal_mask
from videoexpert.model import VideoExpertModel

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def tiny():
    return build("tiny", CPU, torch.bfloat16)


def test_a_table_with_a_size_that_does_not_fit(tmp_path, monkeypatch, capsys):
    forward = VideoExpertModel.forward

    def small_memory(self, sequence, **others):
        if len(sequence) == 2:
            raise torch.OutOfMemoryError("no memory for two videos")
        return forward(self, sequence, **others)

    monkeypatch.setattr(VideoExpertModel, "forward", small_memory)
    file = tmp_path / "made" / "speed.json"
    options = ["--size", "tiny", "--steps", "1", "--device", "cpu", "--micro-batches", "1", "8", "4"]
    assert main([*options, "--save", str(file)]) == 0
    report = json.loads(file.read_text())
    assert report["hardware"] == f"{os.cpu_count()} CPU cores"
    one, eight, four = report["rows"]
    assert eight["peak GiB"] == "out of memory"
    assert eight["tokens/s"] is None
    for row in (one, four):  # the size after the one that failed is measured, too
        assert row["tokens/s"] == pytest.approx(row["tokens"] / row["seconds a step"])
        assert row["peak GiB"] > 0
    assert four["tokens"] > one["tokens"] > PREFIX + 100 + 256
    assert all(row["share of peak"] is None for row in report["rows"])
    assert "not known for this device" in capsys.readouterr().out


def test_the_share_of_the_peak_on_a_known_device(tmp_path, monkeypatch):
    monkeypatch.setattr("backbone_speed.peak_flops", lambda device: 1e12)
    file = tmp_path / "speed.json"
    options = ["--size", "tiny", "--steps", "1", "--device", "cpu", "--micro-batches", "1"]
    assert main([*options, "--save", str(file)]) == 0
    (row,) = json.loads(file.read_text())["rows"]
    assert row["share of peak"] == pytest.approx(row["needed TFLOP"] / row["seconds a step"])
    assert row["with recomputing"] / row["share of peak"] == pytest.approx(
        row["executed TFLOP"] / row["needed TFLOP"]
    )


def test_work_by_hand(tiny):
    tensors = batch(tiny, 4, per_video=4)
    tokens, (width, inner, layers, _, vocabulary) = tensors["sequence"].segments.numel(), SIZES["tiny"]
    weights = layers * (4 * width * width + 3 * width * inner)
    experts = layers * 64 * (4 * (width + width) + 3 * (width + inner))
    seen = int(block_causal_mask(tensors["sequence"].segments).sum())
    supervised = int((tensors["sequence"].labels != IGNORED).sum())
    attention = layers * 2 * 2 * width * seen  # queries by keys, weights by values
    needed, executed = work(tiny, tensors)
    assert needed == 4 * tokens * weights + 6 * tokens * experts + 3 * attention + 4 * supervised * width * (
        vocabulary
    )
    assert executed - needed == 2 * tokens * (weights + experts) + attention


def test_pairs_leave_out_padding():
    assert pairs(torch.tensor([[0, 0, 1, 1, 2, -1]])) == 3 + (2 * 2 + 3) + (2 + 1)


def test_packed_and_unpacked_hold_the_same_questions(tiny):
    packed, alone = batch(tiny, 6, per_video=4), batch(tiny, 6, per_video=1)
    assert (len(packed["sequence"]), len(alone["sequence"])) == (2, 6)
    for tensors in (packed, alone):
        assert tensors["temporal"].shape[1:] == (100, 768)
        assert tensors["spatial"].shape[1:] == (256, 768)
    assert torch.equal(
        packed["sequence"].labels[packed["sequence"].labels != IGNORED],
        alone["sequence"].labels[alone["sequence"].labels != IGNORED],
    )
    assert (
        len(packed["sequence"].loc_positions) == len(alone["sequence"].loc_positions) == 5 + 4
    )  # the fifth tells four events


def test_bases_are_made_in_half_precision_and_what_trains_in_full(tiny):
    dtypes = {name: p.dtype for name, p in tiny.language.named_parameters()}
    own = {name for name in dtypes if name.endswith(("lora_A", "lora_B", "loc_row"))}
    assert {dtypes[name] for name in own} == {torch.float32}
    assert {dtypes[name] for name in set(dtypes) - own} == {torch.bfloat16}


def test_the_large_shape_is_vicunas():
    model = build("vicuna-7b", torch.device("meta"), torch.bfloat16)
    base = [p for name, p in model.language.named_parameters() if "lora_" not in name and "loc_" not in name]
    assert sum(p.numel() for p in base) == 6_738_415_616


def test_peaks_are_of_the_named_devices(monkeypatch):
    assert peak_flops(CPU) is None
    for name, expected in (("NVIDIA H100 80GB HBM3", 989e12), ("NVIDIA A100-SXM4-40GB", 312e12)):
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda device, name=name: name)
        assert peak_flops(torch.device("cuda")) == expected
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA T4")
    assert peak_flops(torch.device("cuda")) is None
