"""Budgets of frames and pixels, and prompts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from videoexpert.backends.chat.frames import Budget, Resizer, read, within
from videoexpert.backends.chat.prompts import prompts_for
from videoexpert.errors import InputError


@pytest.mark.parametrize(
    ("duration", "multiple", "count"),
    [(10, 1, 20), (10, 2, 20), (10.4, 2, 22), (0.1, 1, 1), (0.1, 2, 2), (1000, 2, 64), (1000, 1, 65)],
)
def test_frames_at_a_rate_up_to_the_most(duration, multiple, count):
    assert Budget(fps=2, max_frames=65).count(duration, multiple) == count


def test_pixels_of_all_frames_are_shared():
    budget = Budget(frame_pixels=10_000, total_pixels=100_000)
    assert (budget.pixels(5), budget.pixels(10), budget.pixels(100)) == (10_000, 10_000, 1000)
    assert budget.pixels(100_000) == 256


def test_pictures_are_scaled_down_and_never_up():
    assert within(300)(20, 20) == (17, 17)
    assert within(100_000)(720, 1280) == (237, 422)
    assert within(1_000_000)(48, 64) == (48, 64)


def test_resizing_is_torchs_antialiased_bicubic():
    picture = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    small = Resizer(lambda *_: (32, 48))(picture)
    assert (small.shape, small.dtype) == ((3, 32, 48), torch.uint8)
    smooth = torch.nn.functional.interpolate(
        torch.from_numpy(picture).permute(2, 0, 1)[None].float(), (32, 48), mode="bicubic", antialias=True
    )
    assert (small.float() - smooth[0].clamp(0, 255)).abs().max() < 4
    assert torch.equal(Resizer(lambda *size: size)(picture), torch.from_numpy(picture).permute(2, 0, 1))


def test_parts_and_given_counts(clip):
    budget = Budget(fps=1)
    size_for = lambda count: within(1000)  # noqa: E731
    assert len(read(clip, budget, size_for)) == 8
    assert len(read(clip, budget, size_for, start=2, end=5)) == 3
    assert len(read(clip, budget, size_for, count=5)) == 5
    with pytest.raises(InputError):
        read(clip, budget, size_for, start=50)
    with pytest.raises(InputError, match="num_frames is 0"):
        read(clip, budget, size_for, count=0)


def test_queries_stand_in_prompts_as_they_are():
    prompts = prompts_for("some/model")
    assert "{question} {choices}" in prompts.grounding("{question} {choices}")
    asked = prompts.asking("who {choices}?", ["a {question}", "b"])
    assert asked == "who {choices}?\nA. a {question}\nB. b\nAnswer with the letter of the best choice only."
    assert prompts.asking(" who? ") == "who?\nAnswer in one short sentence."
    with pytest.raises(InputError, match="prompt style is 'poem', expected one of spans, span, thought"):
        prompts_for("some/model", "poem")
