"""The loop of the from-scratch stages: stopped and resumed it equals the uninterrupted run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from videoexpert.shipped.stage import run_stage

STEPS = 12


class Killed(Exception):
    pass


def stage(state: Path, *, killed_at: int | None = None, clip: bool = False) -> tuple[nn.Linear, list[str]]:
    torch.manual_seed(1)
    model, lines = nn.Linear(3, 1), []

    def losses(step: int, batch: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        if step == killed_at:
            raise Killed
        loss = (model(batch) - 2).square().mean()
        return loss, {"loss": loss}

    def batches(steps: range) -> list[torch.Tensor]:
        return [torch.randn(4, 3, generator=torch.Generator().manual_seed(step)) for step in steps]

    parts = {"model": model}
    clipped = list(model.parameters()) if clip else []
    run_stage(parts, STEPS, 0.1, batches, losses, state, clipped=clipped, log=lines.append)
    return model, lines


def test_resumed_equals_uninterrupted(tmp_path):
    whole, lines = stage(tmp_path / "whole.pt")
    with pytest.raises(Killed):
        stage(tmp_path / "state.pt", killed_at=8)
    resumed, rest = stage(tmp_path / "state.pt")
    assert torch.equal(whole.weight, resumed.weight)
    assert [line.split(" | ")[0] for line in lines[-2:]] == [line.split(" | ")[0] for line in rest]


def test_a_finished_stage_trains_nothing(tmp_path):
    first, _ = stage(tmp_path / "state.pt")
    again, lines = stage(tmp_path / "state.pt", killed_at=0)
    assert lines == []
    assert torch.equal(first.weight, again.weight)


def test_lines_show_the_mean_of_the_interval_and_clipping_changes_the_way(tmp_path):
    _, free = stage(tmp_path / "free.pt")
    _, cut = stage(tmp_path / "cut.pt", clip=True)
    assert [line.split()[:3:2] for line in free] == [["step", "loss"]] * 4
    assert [line.split()[1] for line in free] == ["3", "6", "9", "12"]
    assert free[-1].split(" | ")[0] != cut[-1].split(" | ")[0]
