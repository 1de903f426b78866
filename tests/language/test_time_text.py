"""Times as text: what is written is read back, to a hundredth of the duration."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.annotations.samples import Sample
from videoexpert.config import VideoExpertConfig
from videoexpert.errors import InputError
from videoexpert.language import prompt
from videoexpert.language.time_text import (
    ABSENT,
    FORMS,
    add_time_tokens,
    percent,
    read_captions,
    read_times,
    with_length,
    without_times,
    write_times,
)
from videoexpert.testing import tiny_tokenizer
from videoexpert.training.batches import make_example


def config_of(form: str) -> VideoExpertConfig:
    return VideoExpertConfig.from_preset("paper", times=form, choice_format="text")


CONFIG = config_of("text")


def test_the_form_is_vtimellms():
    answer = prompt.grounding_answer(CONFIG)
    assert write_times(answer, [[(0.28, 0.71)]], CONFIG, 20.0) == "From 28 to 71."
    assert write_times(answer, [[(0.0, 1.0)]], CONFIG, 20.0) == "From 00 to 99."
    assert (
        write_times(answer, [[(0.1, 0.2), (0.5, 0.64)]], CONFIG, 20.0) == "From 10 to 20 and from 50 to 64."
    )
    assert write_times(answer, [[]], CONFIG, 20.0) == f"{ABSENT}."


def test_answers_with_other_text():
    captions = prompt.caption_answer(["he runs", "he falls"], CONFIG)
    told = write_times(captions, [[(0.0, 0.1)], [(0.25, 0.5)]], CONFIG, 20.0)
    assert told == "From 00 to 10, he runs. From 25 to 50, he falls."
    assert read_captions(told, CONFIG, 20.0) == [((0.0, 0.1), "he runs."), ((0.25, 0.5), "he falls.")]
    choice = prompt.choice_answer(1, True, CONFIG, ["red", "blue"])
    told = write_times(choice, [[(0.4, 0.6)]], CONFIG, 20.0)
    assert told == "From 40 to 60. blue."
    assert without_times(told, CONFIG).strip(" .") == "blue"


def test_a_count_that_does_not_fit_is_told():
    with pytest.raises(InputError, match="2 moments for 1 <LOC>"):
        write_times("During <LOC>.", [[(0, 1)], [(0, 1)]], CONFIG, 20.0)


@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("from 7 to 9", [(0.07, 0.09)]),
        ("From 60 to 40.", [(0.4, 0.6)]),
        ("Not in this video.", []),
        ("nothing like a time, 12 and 15", []),
        ("From 10 to 20 and from 50 to 64.", [(0.1, 0.2), (0.5, 0.64)]),
    ],
)
def test_reading(text, spans):
    assert read_times(text, CONFIG, 20.0) == spans


def test_captions_without_a_sentence_are_left_out():
    text = "it begins. From 1 to 2, . From 3 to 9 and from 11 to 12, he sits."
    assert read_captions(text, CONFIG, 20.0) == [((0.03, 0.09), "he sits.")]
    assert read_captions("no time at all", CONFIG, 20.0) == []


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("seconds", "From 5.6s to 14.2s and from 0.0s to 20.0s."),
        ("tokens", "From <t28> to <t71> and from <t00> to <t99>."),
    ],
)
def test_other_forms(form, said):
    config = config_of(form)
    answer = prompt.grounding_answer(config)
    spans = [(0.28, 0.71), (0.0, 1.0)]
    assert write_times(answer, [spans], config, 20.0) == said
    found = read_times(said, config, 20.0)
    assert [x for span in found for x in span] == pytest.approx([0.28, 0.71, 0.0, 1.0], abs=0.011)
    assert read_captions(said[:-1] + ", he sits.", config, 20.0) == [(found[0], "he sits.")]
    assert without_times(f"{said} blue", config).strip(" .") == "blue"
    assert read_times("From 28 to 71.", config, 20.0) == []


def test_only_seconds_need_to_know_how_long_the_video_is():
    asked = {form: with_length("When?", 20.0, config_of(form)) for form in (*FORMS, "head")}
    assert asked.pop("seconds") == "The video lasts 20.0s. When?"
    assert set(asked.values()) == {"When?"}


def test_time_tokens_are_one_word_each():
    tokenizer = tiny_tokenizer()
    add_time_tokens(tokenizer)
    size = len(tokenizer)
    add_time_tokens(tokenizer)
    assert len(tokenizer) == size
    for token in ("<t00>", "<t42>", "<t99>"):
        assert len(tokenizer(token, add_special_tokens=False).input_ids) == 1
        assert (
            tokenizer.decode(tokenizer(token, add_special_tokens=False).input_ids, skip_special_tokens=True)
            == token
        )


@pytest.mark.parametrize("form", FORMS)
@given(
    spans=st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda p: (min(p), max(p))), min_size=1, max_size=4
    )
)
def test_what_is_written_is_read_back(form, spans):
    config = config_of(form)
    found = read_times(write_times("During <LOC>.", [spans], config, 20.0), config, 20.0)
    assert len(found) == len(spans)
    for (a, b), (c, d) in zip(spans, found, strict=True):
        assert abs(a - c) <= 0.01 + 1e-9
        assert abs(b - d) <= 0.01 + 1e-9
        if form != "seconds":
            assert (percent(a), percent(b)) == (round(c * 100), round(d * 100))


def test_examples_have_times_and_no_loc(prompter_text):
    sample = Sample(
        "1", video="v", task="grounding", duration_s=20.0, query="he runs", windows=((5.0, 10.0),)
    )
    example = make_example(prompter_text, sample, random.Random(0))
    assert example.windows == ()
    assert example.segment.loc_positions == ()
    # the toy tokenizer has no capital F
    supervised = [
        i for i, label in zip(example.segment.ids, example.segment.labels, strict=True) if label >= 0
    ]
    assert "rom 25 to 50." in prompter_text.decode(supervised)


@pytest.fixture
def prompter_text():
    from videoexpert.language.prompter import Prompter
    from videoexpert.language.vocabulary import add_loc_token

    tokenizer = tiny_tokenizer()
    config = VideoExpertConfig.from_preset(
        "paper", times="text", loc_token_id=add_loc_token(tokenizer, "<LOC>")
    )
    return Prompter(config, tokenizer)
