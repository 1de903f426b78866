"""benchmarks/engine.py: what it compares computes the same, and what it counts is right by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import engine
from engine import arithmetic, block_masked, main, masked_states, overlap, queries_of, write_planted
from shapes import build
from videoexpert.backends.expert import Expert
from videoexpert.language.experts import expert_layers
from videoexpert.testing import tiny_model, tiny_tokenizer


@pytest.fixture(scope="module")
def expert() -> Expert:
    return Expert(tiny_model(num_frames=6), tiny_tokenizer(), "tiny")


def test_the_baseline_gives_the_same_states(expert):
    """The block-masked row is another way to the same numbers, or the ratio would say nothing."""
    video = expert.open_blank(8.0)
    segments = expert.prompter.groundings(["it falls", "a red ball jumps"])
    (prefix,) = expert.engine.prefixes([video.opened])
    masked = masked_states(expert.model, prefix, segments)
    torch.testing.assert_close(masked, expert.model.read_segments(prefix, segments), atol=1e-5, rtol=1e-5)
    block_masked(expert, video.tokens, ["it falls", "a red ball jumps"])


def test_arithmetic_by_hand():
    """Reading 13.4 GB takes 4 ms, and so does a token alone; 418 tokens take 5.66 ms, 2000 take 27.1 ms."""
    assert arithmetic() == pytest.approx(100 * (5.663 + 8 * 4.0) / 27.098, rel=1e-3)
    assert len(set(queries_of(120))) == 120
    assert queries_of(3) == [
        "the red circle moves left",
        "the blue square moves left",
        "a green triangle moves left",
    ]


def test_base_layers_come_back_after_they_were_compared():
    model = build("tiny", torch.device("cpu"), torch.float32)
    layers = list(expert_layers(model.language))
    engine.swap(model, [(name, layer.base) for name, layer in layers])
    assert list(expert_layers(model.language)) == []
    engine.swap(model, layers)
    assert [name for name, _ in expert_layers(model.language)] == [name for name, _ in layers]


def test_the_planted_event(tmp_path):
    start, end = write_planted(tmp_path / "planted.mp4", 12.0)
    assert (start, end) == pytest.approx((5.7, 8.7))
    assert overlap((5.7, 8.7), (start, end)) == pytest.approx(1.0)
    assert overlap((7.2, 10.2), (start, end)) == pytest.approx(1.5 / 4.5)
    assert overlap((0.0, 1.0), (start, end)) == 0.0


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
def test_memory_is_that_of_the_process_itself():
    """A child of a process that held 400 MiB does not start with them."""
    held = bytearray(400 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    code = "import sys; sys.path[:0] = sys.argv[1:]; import engine; print(engine.own_peak_mib())"
    done = subprocess.run([sys.executable, "-c", code, *sys.path], capture_output=True, text=True, check=True)
    assert engine.own_peak_mib() - float(done.stdout) > 300
    del held


@pytest.mark.filterwarnings("ignore:flex_attention called without torch.compile")
def test_rows_are_saved_beside_those_of_before(tmp_path, capsys):
    file = tmp_path / "made" / "engine.json"
    options = ["--size", "tiny", "--device", "cpu", "--rounds", "1", "--queries", "3", "--save", str(file)]
    for rows in ("experts,kernels", "first_answer"):
        assert main(["--rows", rows, *options]) == 0
    report = json.loads(file.read_text())
    assert report["measured"] == "CPU seconds"
    assert report["experts"]["tiny"]["decode step"]["of the base"] > 0
    assert report["experts"]["tiny"]["share of the bandwidth roofline"] == "needs a GPU"
    assert "skipped" in report["first_answer"]
    assert report["kernels"]["flex of plain"] > 0
    assert report["kernels"]["graphs of steps"] == "needs a GPU"
    assert "decode step" in capsys.readouterr().out
