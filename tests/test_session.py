"""Load once, open once, ask often: routes agree, times are on the video's clock, scores are calibrated."""

from __future__ import annotations

import math

import pytest
import torch

from videoexpert import assets, session
from videoexpert.backends.blank import GREY
from videoexpert.checkpoints import folder as checkpoint
from videoexpert.errors import CheckpointError, InputError, VideoError
from videoexpert.language import prompt
from videoexpert.language.sequence import Segment
from videoexpert.session import Expert, Video
from videoexpert.testing import tiny_model, tiny_tokenizer, tiny_video
from videoexpert.types import Frames, Moments, VisualTokens

SECONDS = 8.0
QUERIES = [
    "a red ball jumps",
    "it falls",
    "the blue square moves to the left and then stops.",
    "x",
    "it falls",
]


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tiny_video(tmp_path_factory.mktemp("videos") / "a.mp4", SECONDS)


@pytest.fixture
def expert() -> Expert:
    return Expert(tiny_model(num_frames=16), tiny_tokenizer(), "tiny")


@pytest.fixture
def video(expert: Expert, file) -> Video:
    return expert.open(file)


def assert_same(found, expected):
    assert found.query == expected.query
    torch.testing.assert_close(torch.tensor(found.curve), torch.tensor(expected.curve), atol=1e-5, rtol=1e-4)
    assert found.presence == pytest.approx(expected.presence, abs=1e-5)
    assert [m.start for m in found] == pytest.approx([m.start for m in expected], abs=1e-3)
    assert [m.end for m in found] == pytest.approx([m.end for m in expected], abs=1e-3)
    assert [m.score for m in found] == pytest.approx([m.score for m in expected], abs=1e-5)


def test_one_query_equals_the_same_query_among_many(video):
    together = video.ground(QUERIES)
    assert [m.query for m in together] == QUERIES
    for query, found in zip(QUERIES, together, strict=True):
        assert_same(found, video.ground(query))
    assert_same(together[1], together[4])
    assert max(abs(a - b) for a, b in zip(together[0].curve, together[1].curve, strict=True)) > 1e-4


def test_moments_of_a_part_are_on_the_clock_of_the_whole(expert, video, file):
    part = expert.open(file, start=2.0, end=6.0)
    assert (part.start, part.duration) == (2.0, 4.0)
    found = part.ground("it falls")
    assert all(2.0 <= m.start <= m.end <= 6.0 for m in found)
    from_zero = expert.open_tokens(VisualTokens(part.tokens.temporal, part.tokens.spatial, 4.0)).ground(
        "it falls"
    )
    assert [m.start for m in found] == pytest.approx([m.start + 2.0 for m in from_zero])
    assert [m.end for m in found] == pytest.approx([m.end + 2.0 for m in from_zero])
    assert part.highlights("it falls").times == (2.0, 4.0)
    # other pictures, not the whole video's with another label
    assert not torch.allclose(part.tokens.temporal, video.tokens.temporal, atol=1e-3)


def test_whole_video(video):
    assert (video.start, video.duration) == (0.0, pytest.approx(SECONDS))
    assert set(video.timings) == {"decode", "encode"}
    for found in video.ground(QUERIES, top_k=3):
        assert 1 <= len(found) <= 3
        assert all(0 <= m.start <= m.end <= SECONDS for m in found)
        assert [m.score for m in found] == sorted((m.score for m in found), reverse=True)
        assert len(found.curve) == 16


def test_number_of_frames(expert, file):
    assert len(expert.open(file, num_frames=8).tokens.temporal) == 8
    assert len(expert.open(file).tokens.temporal) == 16


def test_calibration_changes_scores_but_not_the_order(video):
    raw = video.ground("it falls")
    video.expert.config.score_temperature, video.expert.config.score_bias = 0.5, -1.0
    calibrated = video.ground("it falls")
    assert [(m.start, m.end) for m in calibrated] == [(m.start, m.end) for m in raw]
    for before, after in zip(raw, calibrated, strict=True):
        logit = math.log(before.score / (1 - before.score))
        assert after.score == pytest.approx(1 / (1 + math.exp(-(logit / 0.5 - 1.0))), abs=1e-4)
    assert calibrated.presence == raw.presence
    assert calibrated.curve == raw.curve


def test_presence_is_the_calibrated_peak_and_absence_its_threshold(video):
    config = video.expert.config
    config.presence_temperature, config.presence_bias = 2.0, 0.3
    found = video.ground("it falls")
    peak = max(found.curve)
    logit = math.log(peak / (1 - peak))
    assert found.presence == pytest.approx(1 / (1 + math.exp(-(logit / 2.0 + 0.3))), abs=1e-5)
    config.absent_below = found.presence + 1e-3
    assert video.ground("it falls").absent
    assert video.highlights("it falls").absent
    config.absent_below = found.presence - 1e-3
    assert not video.ground("it falls").absent


def test_highlights_cover_the_video(video):
    shown = video.highlights("it falls", top_k=2, clip_s=3.0)
    assert shown.times == (0.0, 3.0, 6.0)
    found = video.ground("it falls", 2)
    assert (shown.moments, shown.presence) == (found.items, found.presence)
    # over time, saliency and curve have the same mean
    mean = (3 * shown.scores[0] + 3 * shown.scores[1] + 2 * shown.scores[2]) / 8
    assert mean == pytest.approx(sum(found.curve) / len(found.curve), abs=1e-6)


def test_choices(video):
    choices = ["a ball", "the red square", "no"]
    answer = video.ask("what falls", choices)
    assert len(answer.choice_scores) == 3
    assert sum(answer.choice_scores) == pytest.approx(1.0, abs=1e-5)
    assert answer.choice == max(range(3), key=lambda i: answer.choice_scores[i])
    assert answer.text == choices[answer.choice]
    assert answer.moments
    assert all(0 <= m.start <= m.end <= SECONDS for m in answer.moments)


def answered(video: Video, monkeypatch, text: str) -> Segment:
    """The model 'generates' this text; <LOC> in it is the token. Gives the caption question with it."""
    prompter = video.expert.prompter
    ids = prompter.tokenizer(text.replace(" <LOC>", "<LOC>"), add_special_tokens=False).input_ids
    monkeypatch.setattr(
        video.expert.engine, "generate", lambda _, asked, **__: [[ids for _ in own] for own in asked]
    )
    return prompter.answered(prompter.segment(prompt.caption_question(video.expert.config)), ids)


def test_captions_pair_each_sentence_with_its_own_moment(video, monkeypatch):
    asked = answered(video, monkeypatch, "During <LOC>, a ball falls. During <LOC>, it stops.")
    told = video.caption()
    assert sorted(str(m.text) for m in told) == ["a ball falls.", "it stops."]
    model = video.expert.model
    head = model.locate(model.open_prefix(video.tokens, video.expert.prompter.prefix_ids), [asked])
    assert len(head.indicator_logits) == 2
    best = model.moments(head, [video.tokens.stretch] * 2, top_k=1)
    assert [m.start for m in told] == sorted(m.start for m in told)
    own = {moment.text: moment for moment in told}
    for (expected,), text in zip(best, ["a ball falls.", "it stops."], strict=True):
        moment = own[text]
        assert (moment.start, moment.end) == pytest.approx((expected.start, expected.end), abs=1e-4)
        assert moment.score == pytest.approx(expected.score, abs=1e-5)


def test_text_without_a_moment_gives_no_caption(video, monkeypatch):
    answered(video, monkeypatch, "a ball falls.")
    assert video.caption() == []


@pytest.mark.parametrize(
    ("said", "text", "moments"),
    [
        ("During <LOC>. it is red.", "it is red.", True),
        ("it is red, during <LOC>.", "it is red.", True),
        ("it is red", "it is red.", False),
        ("During <LOC>.", "", True),
    ],
)
def test_open_answers_are_told_without_their_times(video, monkeypatch, said, text, moments):
    answered(video, monkeypatch, said)
    answer = video.ask("what is it?")
    assert (answer.text, answer.choice, bool(answer.moments)) == (text, None, moments)


def test_generation_runs(video):
    assert isinstance(video.caption(max_new_tokens=6), list)
    assert isinstance(video.ask("why?", max_new_tokens=6).text, str)


def test_wrong_calls(expert, video, file, tmp_path):
    for empty in ("", "  ", ["it falls", ""]):
        with pytest.raises(InputError, match="query is empty"):
            video.ground(empty)
    with pytest.raises(InputError, match="question is empty"):
        video.ask(" ")
    for choices in (["one"], ["one", " "], []):
        with pytest.raises(InputError, match="at least two and none empty"):
            video.ask("what?", choices)
    with pytest.raises(InputError, match="clip_s is 0"):
        video.highlights("it falls", clip_s=0)
    with pytest.raises(InputError, match="top_k is 0"):
        video.ground("it falls", 0)
    with pytest.raises(InputError, match=r"within its 8\.00 s"):
        expert.open(file, start=9.0)
    with pytest.raises(InputError, match="number of frames is 0"):
        expert.open(file, num_frames=0)
    with pytest.raises(VideoError, match="does not exist"):
        expert.open(tmp_path / "none.mp4")


def test_a_blank_video_is_as_long_and_grey(expert, file):
    part = expert.open(file, start=2.0, end=6.0, num_frames=8)
    blank = part.blank()
    assert (blank.start, blank.duration, len(blank.tokens.temporal)) == (2.0, 4.0, 8)
    grey = Frames(torch.full((8, 3, 32, 32), GREY, dtype=torch.uint8), torch.arange(8).double(), 4.0)
    torch.testing.assert_close(blank.tokens.temporal, expert.open_frames(grey).tokens.temporal)
    torch.testing.assert_close(blank.tokens.spatial, expert.open_frames(grey).tokens.spatial)
    assert not torch.allclose(blank.tokens.temporal, part.tokens.temporal, atol=1e-3)
    assert part.blank() is blank
    longer = expert.open_blank(9.0, num_frames=8)  # encoded once, whatever the length
    assert longer.tokens.temporal is blank.tokens.temporal
    assert (longer.start, longer.duration, blank.duration) == (0.0, 9.0, 4.0)


def test_evidence_is_the_distance_to_the_answer_without_the_video(video):
    one, two = video.evidence(QUERIES[:2])
    alone = video.evidence(QUERIES[0])  # asked with another query or alone: equal to rounding
    assert (one.presence, one.overlap, one.shift_s) == pytest.approx(
        (alone.presence, alone.overlap, alone.shift_s), abs=1e-3
    )
    assert (one.moment.start, one.moment.end) == pytest.approx(
        (alone.moment.start, alone.moment.end), abs=1e-3
    )
    for evidence, query in zip((one, two), QUERIES, strict=False):
        seen, guessed = video.ground(query), video.blank().ground(query)
        a, b = seen[0], guessed[0]
        assert evidence.query == query
        assert (evidence.moment.start, evidence.blank_moment.end) == pytest.approx((a.start, b.end), abs=1e-3)
        assert evidence.presence == pytest.approx(seen.presence, abs=1e-5)
        assert evidence.blank_presence == pytest.approx(guessed.presence, abs=1e-5)
        assert evidence.shift_s == pytest.approx((abs(a.start - b.start) + abs(a.end - b.end)) / 2, abs=1e-3)
        both = max(0.0, min(a.end, b.end) - max(a.start, b.start))
        union = a.end - a.start + b.end - b.start - both
        assert evidence.overlap == pytest.approx(both / union, abs=1e-3)
    assert one.presence != one.blank_presence
    nothing = video.blank().evidence(QUERIES[0])  # a grey video taken away changes nothing
    assert (nothing.overlap, nothing.shift_s) == pytest.approx((1.0, 0.0), abs=1e-6)
    assert nothing.presence == nothing.blank_presence
    assert video.evidence([]) == []
    with pytest.raises(InputError, match="query is empty"):
        video.evidence(" ")


def test_evidence_where_no_moment_is_named(video, monkeypatch):
    blank = video.blank()
    monkeypatch.setattr(blank, "ground", lambda queries, top_k: [Moments(q, ()) for q in queries])
    evidence = video.evidence("it falls")
    assert evidence.moment is not None
    assert (evidence.blank_moment, evidence.overlap, evidence.shift_s) == (None, 0.0, None)


def test_no_query_no_answer(video):
    assert video.ground([]) == []


def test_load(tmp_path, monkeypatch):
    folder = checkpoint.save(tiny_model(), tiny_tokenizer(), tmp_path / "model")
    assert session.load(folder, device="cpu").name == str(folder)
    monkeypatch.setattr(assets, "SHIPPED_MODEL", folder)
    assert session.load(device="cpu").name == "shipped"
    with pytest.raises(InputError, match="device 'gpu' is not available"):
        session.load(folder, device="gpu")
    monkeypatch.setattr(assets, "SHIPPED_MODEL", tmp_path / "none")
    with pytest.raises(CheckpointError, match="carries no model"):
        session.load()
