"""Fits on labelled data: what they do to an answer, whose they are, where they are kept, who finds them."""

from __future__ import annotations

import json
import math

import pytest
import torch

from videoexpert import session, settings
from videoexpert.assets import SHIPPED_CLIP
from videoexpert.backends.expert import Expert
from videoexpert.backends.fitted import FILE, Fit, apply, fitted, identity, keep, key_of, with_stored_fit
from videoexpert.backends.text_times import TextTimesExpert
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import DataError, UnsupportedError
from videoexpert.grounding.calibration import Calibration
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import Moment, Moments, Told

HALVED = Fit(Calibration(2.0, 0.0), Calibration(1.0, -2.0))


def logit(p):
    return math.log(p / (1 - p))


@pytest.fixture(autouse=True)
def _a_configuration_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return checkpoint.save(tiny_model(num_frames=8), tiny_tokenizer(), tmp_path_factory.mktemp("m") / "model")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("v") / "a.mp4", 8.0)


def test_an_answer_by_hand():
    found = Moments("q", (Moment(0, 1, 0.9), Moment(1, 2, 0.5)), 0.8, curve=(0.1, 0.8))
    made = HALVED.moments(found)
    assert [m.score for m in made] == pytest.approx([1 / (1 + math.exp(-logit(0.9) / 2)), 0.5])
    assert made.presence == pytest.approx(1 / (1 + math.exp(2 - logit(0.8))))
    assert (made.absent, made.curve) == (True, found.curve)
    assert [(m.start, m.end) for m in made] == [(0, 1), (1, 2)]


def test_what_a_fit_does_not_touch():
    unread = Moments("q", (), 0.5, told=Told("?", "failed", "digits"))
    assert HALVED.moments(unread) is unread
    nothing = Moments("q", (), 0.0, True, told=Told("[]", "empty", "digits"))
    assert Fit(Calibration(), Calibration(1.0, 30.0)).moments(nothing).absent
    unlike = Moments("q", (Moment(0, 1, 0.9),), 0.6, familiar=False)
    assert not HALVED.moments(unlike).absent


def test_certain_probabilities_stay_finite():
    for p in (0.0, 1.0):
        assert 0.0 < fitted(Calibration(1.0, 0.0), p) < 1.0


def test_two_calibrations_are_one():
    first, second = Calibration(2.0, 0.3), Calibration(0.5, -1.0)
    logits = torch.linspace(-3, 3, 7)
    through = second(torch.logit(first(logits).double()))
    assert torch.allclose(first.then(second)(logits), through, atol=1e-5)


def test_an_expert_answers_with_the_fit_in_every_verb(folder, clip):
    plain, made = session.load_expert(folder, device="cpu"), session.load_expert(folder, device="cpu")
    apply(made, HALVED)
    before, after = plain.open(clip).ground("it falls"), made.open(clip).ground("it falls")
    expected = HALVED.moments(before)
    assert [m.score for m in after] == pytest.approx([m.score for m in expected], abs=1e-4)
    assert after.presence == pytest.approx(expected.presence, abs=1e-4)
    assert (after.absent, made.calibrated, plain.calibrated) == (expected.absent, True, False)
    shown = made.open(clip).highlights("it falls")
    assert (shown.presence, shown.absent) == (after.presence, after.absent)
    proofs = [e.open(clip).ask("is it?", ["no", "yes"]).moments[0].score for e in (plain, made)]
    assert proofs[1] == pytest.approx(fitted(HALVED.score, proofs[0]), abs=1e-4)


def test_a_model_that_writes_its_times_has_no_scores():
    model = tiny_model(times="text", num_frames=8)
    with pytest.raises(UnsupportedError, match="writes its times as text"):
        apply(TextTimesExpert(model, tiny_tokenizer(), "t"), HALVED)

    class Silent:
        name = "silent"

    with pytest.raises(UnsupportedError, match="silent gives no scores"):
        apply(Silent(), HALVED)  # type: ignore[arg-type]


def test_who_a_fit_belongs_to():
    tag, other = (session.load_unfitted("contrastive:", device="cpu", method=m) for m in ("tag", "tfvtg"))
    again = session.load_unfitted(SHIPPED_CLIP, device="cpu", method="tag")
    assert identity(tag) == identity(again)
    assert key_of(identity(tag)) != key_of(identity(other))
    before = key_of(identity(tag))
    apply(tag, HALVED)
    assert key_of(identity(tag)) == before
    assert tag.describe()["calibration"]["presence"] == {"temperature": 1.0, "bias": -2.0}


def test_kept_beside_the_model_and_found_by_load(folder, clip):
    raw = session.load(folder, device="cpu")
    assert not raw.calibrated
    place = keep(HALVED, identity(raw), raw.name, folder)
    assert place == folder / FILE
    made = session.load(folder, device="cpu")
    assert isinstance(made, Expert)
    assert made.calibrated
    assert made.config.score_temperature == 2.0
    assert not session.load_unfitted(folder, device="cpu").calibrated


def test_what_is_not_the_users_folder_is_kept_in_the_configuration():
    backend = session.load("contrastive:", device="cpu", method="tag")
    other = session.load("contrastive:", device="cpu", method="watershed")
    for one, name in ((backend, "contrastive:"), (other, SHIPPED_CLIP)):
        place = keep(HALVED, identity(one), one.name, name)
        assert place == settings.config_folder() / FILE
    assert len(json.loads(place.read_text())["fits"]) == 2
    assert session.load("contrastive:", device="cpu", method="tag").calibrated
    assert not session.load("contrastive:", device="cpu", method="tfvtg").calibrated
    assert session.load(device="cpu").config.score_temperature != 2.0


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 9, "fits": {}}'])
def test_a_damaged_file_is_one_sentence(tmp_path, text):
    (tmp_path / FILE).write_text(text)

    class Any:
        name = "a"

        def describe(self):
            return {"model": "a"}

    with pytest.raises(DataError):
        with_stored_fit(Any(), tmp_path)  # type: ignore[arg-type]
    stored = {"format": 1, "fits": {key_of({"model": "a"}): {"score": {"temperature": -1.0, "bias": 0}}}}
    (tmp_path / FILE).write_text(json.dumps(stored))
    with pytest.raises(DataError, match="damaged calibration"):
        with_stored_fit(Any(), tmp_path)  # type: ignore[arg-type]
