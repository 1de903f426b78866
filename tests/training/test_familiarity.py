"""What is fitted tells training videos from others, those it never saw included."""

from __future__ import annotations

import pytest
import torch

from training_world import make_recipe, records, tokens, write_records
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import InputError
from videoexpert.testing import tiny_model
from videoexpert.training.familiarity import (
    LEAST,
    VIDEOS,
    _split,
    affordable,
    discriminant,
    fit_alone,
    fit_familiarity,
    learn,
    reference_tokens,
    sample,
)
from videoexpert.training.run import train
from videoexpert.types import VisualTokens
from videoexpert.vision.familiarity import FILE, Familiarity


def videos(count, kind, seed, frames=12, width=8):
    """Tokens of a world whose two halves lie on either side of a middle where all other videos lie."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for number in range(count):
        rows = 0.3 * torch.randn(frames, width, generator=generator)
        if kind == "known":
            rows[:, 0] += 2.0 if number % 2 else -2.0
        made.append(VisualTokens(rows, rows[: frames // 2] * 0.5, 5.0))
    return made


def test_what_lies_between_the_known_is_still_unknown():
    known = fit_familiarity(videos(40, "known", 0), videos(40, "other", 1))
    seen = [known.probability(v) for v in videos(200, "known", 2)]
    unseen = [known.probability(v) for v in videos(200, "other", 3)]
    assert min(seen) > 0.5 > max(unseen)
    again = fit_familiarity(videos(40, "known", 0), videos(40, "other", 1))
    assert again.probability(videos(1, "other", 4)[0]) == known.probability(videos(1, "other", 4)[0])


def test_many_videos_at_once_are_each_alone():
    """Of other lengths, and in half precision, which stores give."""
    known = Familiarity(
        (
            fit_familiarity(videos(40, "known", 0), videos(40, "other", 1)),
            fit_alone(videos(60, "other", 0, frames=40)),
        )
    )
    asked = [*videos(3, "known", 2), *videos(2, "other", 3, frames=5), *videos(1, "known", 4)]
    asked[0] = VisualTokens(asked[0].temporal.half(), asked[0].spatial.half(), 5.0)
    assert known.of_many(asked) == pytest.approx([known(video) for video in asked], abs=1e-6)
    assert known(asked[3]) == pytest.approx(max(k.probability(asked[3]) for k in known.trainings), abs=1e-6)
    assert known.of_many([]) == []


def test_even_odds_lie_no_higher_than_the_rarest_training_video_held_back():
    mixed = [  # half of them hardly differ from the others
        VisualTokens(v.temporal * (0.2 if i % 2 else 1.0), v.spatial * (0.2 if i % 2 else 1.0), 5.0)
        for i, v in enumerate(videos(80, "known", 0))
    ]
    known = fit_familiarity(mixed, videos(80, "other", 1))
    held = _split(mixed, 0)[1]
    assert min(known.probability(v) for v in held) > 0.49


def test_a_discriminant_takes_a_few_of_many_tokens():
    generator = torch.Generator().manual_seed(0)
    wide = torch.randn(30_000, 6, generator=generator)
    found = discriminant(wide + torch.tensor([3.0, 0, 0, 0, 0, 0]), wide)
    assert float(found(torch.tensor([3.0, 0, 0, 0, 0, 0]))) > 0 > float(found(torch.zeros(6)))
    assert found.curvature.shape == (6, 6)
    assert torch.allclose(found.curvature, found.curvature.T)


def test_without_others_distance_decides():
    known = fit_alone(videos(60, "other", 0, frames=40))
    inside = [known.probability(v) for v in videos(100, "other", 1, frames=40)]
    outside = [known.probability(v) for v in videos(100, "known", 2, frames=40)]
    assert min(inside) > 0.5 > max(outside)


def test_too_few_videos_say_nothing():
    said = []
    model = tiny_model()
    before = object()
    few = videos(LEAST - 1, "known", 0)
    assert learn(model.vision, model.config, few, before, log=said.append) is before
    assert "too few" in said[0]
    for wrong in (lambda: fit_familiarity(few, few), lambda: fit_alone(few)):
        with pytest.raises(InputError, match="at least 8 videos"):
            wrong()


def test_learning_adds_to_what_was_known():
    model = tiny_model()
    width = model.config.vision_width
    many = videos(2 * LEAST, "known", 0, width=width)
    first = learn(model.vision, model.config, many, reference=LEAST)
    second = learn(model.vision, model.config, many, first, reference=0)
    assert (len(first.trainings), len(second.trainings)) == (1, 2)
    assert second.trainings[1].spatial is None
    other = next(reference_tokens(model.vision, model.config, 1))
    assert first(other) < 0.5 < first(many[0])
    assert affordable(model.vision)


def test_at_most_so_many_are_looked_at():
    keys = [f"v{i}" for i in range(VIDEOS + 50)]
    assert len(set(sample(keys))) == VIDEOS
    assert sample(keys) == sample(keys) != sample(keys, 1)
    assert sample(keys[:5]) == keys[:5]


def test_a_finished_run_says_what_it_has_seen(bases, tmp_path):
    """``train`` writes the statistics of its videos beside the weights."""
    file = write_records(tmp_path / "own.jsonl", records(LEAST + 2))
    recipe = make_recipe(bases, file, steps=1, save_every=1)
    folder = train(recipe, tmp_path / "run", stores={"memory": tokens(LEAST + 2)}, log=lambda _: None)
    assert (folder / FILE).is_file()
    assert len(checkpoint.load(folder)[0].familiarity.trainings) == 1
