"""The number by hand, the file and back, and how it travels with a model."""

from __future__ import annotations

import math

import pytest
import torch

from videoexpert.backends.long import LongVideo
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import CheckpointError, ModelWarning
from videoexpert.session import Expert
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import Moments, VisualTokens
from videoexpert.vision.familiarity import FILE, Discriminant, Familiarity, Known


def plain(width=2, offset=0.0):
    """Log-odds ``offset + x0 - x1**2`` of a token."""
    curvature = torch.zeros(width, width)
    curvature[1, 1] = -1.0
    slope = torch.zeros(width)
    slope[0] = 1.0
    return Discriminant(torch.zeros(width), torch.eye(width), curvature, slope, torch.tensor(offset))


def tokens(temporal, spatial=()):
    rows = torch.tensor(spatial) if len(spatial) else torch.zeros(0, len(temporal[0]))
    return VisualTokens(torch.tensor(temporal), rows, 10.0)


def test_a_discriminant_by_hand():
    found = plain()(torch.tensor([[2.0, 3.0], [1.0, 0.0]]))
    assert found.tolist() == [2.0 - 9.0, 1.0]
    moved = Discriminant(
        torch.tensor([1.0, 0.0]), 2 * torch.eye(2), -torch.eye(2), torch.zeros(2), torch.tensor(1.0)
    )
    assert float(moved(torch.tensor([2.0, 1.0]))) == 1 - (4 + 4)


def test_a_video_is_the_mean_of_its_t_tokens_and_the_mean_of_its_s_tokens():
    video = tokens([[1.0, 0.0], [3.0, 0.0]], [[5.0, 0.0]])
    assert Known(plain(), plain()).score(video) == 2.0 + 5.0
    assert Known(plain(), None).score(video) == 2.0
    assert Known(plain(), plain()).score(tokens([[1.0, 0.0], [3.0, 0.0]])) == 2.0
    known = Known(plain(), None, temperature=2.0, bias=-0.5)
    assert known.probability(video) == pytest.approx(1 / (1 + math.exp(-(2.0 / 2 - 0.5))))
    assert 0 <= known.probability(tokens([[0.0, 1e4]])) < 1e-20


def test_a_model_knows_what_any_of_its_trainings_knew():
    first, second = Known(plain(), None, bias=-5.0), Known(plain(), None, bias=1.0)
    video = tokens([[1.0, 0.0]])
    known = Familiarity((first,)).with_training(second)
    assert known(video) == second.probability(video) > first.probability(video)


def test_the_file_and_back():
    known = Familiarity((Known(plain(3), plain(3, 0.5), 2.0, 0.25), Known(plain(3), None)))
    again = Familiarity.from_bytes(known.to_bytes(), "file")
    video = tokens([[1.0, 0.5, 2.0]], [[0.0, 1.0, 1.0]])
    assert [k.score(video) for k in again.trainings] == [k.score(video) for k in known.trainings]
    assert again(video) == pytest.approx(known(video))
    assert again.trainings[1].spatial is None
    for wrong in (b"", b"x" * 40, known.to_bytes()[:-8]):
        with pytest.raises(CheckpointError, match="copy the model folder again"):
            Familiarity.from_bytes(wrong, "file")
    with pytest.raises(ValueError, match="shapes"):
        Discriminant(torch.zeros(2), torch.eye(2), torch.eye(3), torch.zeros(2), torch.tensor(0.0))


def test_it_travels_with_the_model_folder(tmp_path):
    model = tiny_model()
    model.familiarity = Familiarity((Known(plain(model.config.vision_width), None),))
    checkpoint.save(model, tiny_tokenizer(), tmp_path / "m")
    loaded, _ = checkpoint.load(tmp_path / "m")
    assert loaded.familiarity is not None
    video = VisualTokens(
        torch.randn(4, model.config.vision_width), torch.zeros(0, model.config.vision_width), 4.0
    )
    assert loaded.familiarity(video) == model.familiarity(video)
    (tmp_path / "m" / FILE).unlink()
    assert checkpoint.load(tmp_path / "m")[0].familiarity is None


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("familiar") / "a.mp4", 3.0)


def asked(video, offset):
    model = tiny_model()
    model.config.absent_below = 1.0  # everything would be called absent
    model.familiarity = Familiarity((Known(plain(model.config.vision_width, offset), None),))
    return Expert(model, tiny_tokenizer(), "tiny").open(video)


def test_of_an_unfamiliar_video_nothing_is_called_absent(video):
    with pytest.warns(
        ModelWarning, match=r"a\.mp4 is unlike the videos that the model 'tiny' was trained on.*--model"
    ):
        unknown = asked(video, -1e4)
    assert unknown.familiarity == pytest.approx(0, abs=1e-9)
    found, shown = unknown.ground("it falls"), unknown.highlights("it falls")
    assert (found.absent, found.familiar) == (False, False)
    assert (shown.absent, shown.familiar) == (False, False)
    assert not any(m.absent for m in unknown.ground(["a", "b"]))


def test_a_familiar_video_says_nothing(video, recwarn):
    known = asked(video, 1e4)
    found = known.ground("it falls")
    assert known.familiarity == pytest.approx(1)
    assert (found.absent, found.familiar) == (True, True)
    assert not [w for w in recwarn if issubclass(w.category, ModelWarning)]
    bare = Expert(tiny_model(), tiny_tokenizer()).open(video)
    assert (bare.familiarity, bare.familiar) == (None, True)


def test_absent_and_unfamiliar_exclude_each_other():
    with pytest.raises(ValueError, match="cannot tell"):
        Moments("x", (), absent=True, familiar=False)


def test_of_a_long_video_the_median_window_decides():
    expert = Expert(tiny_model(num_frames=6), tiny_tokenizer(), "tiny")
    width = expert.config.vision_width
    expert.config.absent_below = 1.0
    expert.model.familiarity = Familiarity((Known(plain(width), None),))

    def window(start, odds):
        rows = torch.zeros(6, width)
        rows[:, 0] = odds
        return VisualTokens(rows, torch.zeros(expert.config.num_spatial_tokens, width), 4.0, start)

    known = LongVideo.of(expert, [window(0.0, 9.0), window(4.0, -9.0), window(8.0, 9.0)])
    unknown = LongVideo.of(expert, [window(0.0, -9.0), window(4.0, -9.0), window(8.0, 9.0)])
    assert (known.familiarity, unknown.familiarity) == (
        pytest.approx(1, abs=0.01),
        pytest.approx(0, abs=0.01),
    )
    for video in (known, unknown):  # a window that cannot tell keeps the whole from being called absent
        found = video.ground("it falls")
        assert (found.absent, found.familiar) == (False, video.familiar)
