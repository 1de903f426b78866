"""A model that writes its times: what it says is what is found, and no head is there."""

from __future__ import annotations

import pytest

from videoexpert.backends.expert import Video
from videoexpert.backends.text_times import TextTimesExpert
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import Moments


@pytest.fixture
def told(tmp_path) -> Video:
    expert = TextTimesExpert(tiny_model(num_frames=16, times="text"), tiny_tokenizer(), "tiny")
    return expert.open(tiny_video(tmp_path / "a.mp4", 8.0))


def say(video: Video, monkeypatch, text: str) -> None:
    monkeypatch.setattr(
        video.expert.engine, "generate", lambda _, asked, **__: [[[] for _ in own] for own in asked]
    )
    monkeypatch.setattr(video.expert.prompter, "decode", lambda _: text)


def test_there_is_no_head_and_a_random_model_still_answers(told):
    assert told.expert.model.head is None
    assert not any(name.startswith("head.") for name in told.expert.model.trained_names())
    assert isinstance(told.ground("it falls"), Moments)


def test_moments(told, monkeypatch):
    say(told, monkeypatch, "From 25 to 50 and from 75 to 80.")
    found = told.ground("it falls")
    assert [m.start for m in found] == pytest.approx([2.0, 6.0])
    assert [m.end for m in found] == pytest.approx([4.0, 6.4])
    assert sum(found.curve) == 5  # frames centred at 2.25, 2.75, 3.25, 3.75 and 6.25 s
    assert not found.absent
    assert len(told.ground("it falls", 1)) == 1


def test_absence(told, monkeypatch):
    say(told, monkeypatch, "Not in this video.")
    found = told.ground("it falls")
    assert (len(found), found.absent, found.presence) == (0, True, 0.0)


def test_captions_and_answers(told, monkeypatch):
    say(told, monkeypatch, "From 00 to 25, it runs. From 50 to 75, it falls.")
    assert [(m.start, m.end, m.text) for m in told.caption()] == [
        (0.0, 2.0, "it runs."),
        (4.0, 6.0, "it falls."),
    ]
    say(told, monkeypatch, "From 50 to 75. it slips.")
    answer = told.ask("why does it fall?")
    assert (answer.text, answer.moments[0].start, answer.moments[0].end) == ("it slips.", 4.0, 6.0)


def test_choices_are_compared_behind_the_moment(told, monkeypatch):
    say(told, monkeypatch, "From 50 to 75.")
    asked = []
    likelihoods = told.expert.engine.likelihoods
    monkeypatch.setattr(
        told.expert.engine, "likelihoods", lambda v, s: asked.extend(s[0]) or likelihoods(v, s)
    )
    answer = told.ask("which one?", ["a", "b"])
    assert [(m.start, m.end) for m in answer.moments] == [(4.0, 6.0)]
    assert sum(answer.choice_scores) == pytest.approx(1.0)
    assert len(asked) == 2
    assert all(not segment.loc_positions for segment in asked)
