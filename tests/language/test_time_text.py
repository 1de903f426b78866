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
    percent,
    read_captions,
    read_times,
    without_times,
    write_times,
)
from videoexpert.training.batches import make_example

CONFIG = VideoExpertConfig.from_preset("paper", times="text", choice_format="text")


def test_the_form_is_vtimellms():
    answer = prompt.grounding_answer(CONFIG)
    assert write_times(answer, [[(0.28, 0.71)]], CONFIG) == "From 28 to 71."
    assert write_times(answer, [[(0.0, 1.0)]], CONFIG) == "From 00 to 99."
    assert write_times(answer, [[(0.1, 0.2), (0.5, 0.64)]], CONFIG) == "From 10 to 20 and from 50 to 64."
    assert write_times(answer, [[]], CONFIG) == f"{ABSENT}."


def test_answers_with_other_text():
    captions = prompt.caption_answer(["he runs", "he falls"], CONFIG)
    told = write_times(captions, [[(0.0, 0.1)], [(0.25, 0.5)]], CONFIG)
    assert told == "From 00 to 10, he runs. From 25 to 50, he falls."
    assert read_captions(told) == [((0.0, 0.1), "he runs."), ((0.25, 0.5), "he falls.")]
    choice = prompt.choice_answer(1, True, CONFIG, ["red", "blue"])
    told = write_times(choice, [[(0.4, 0.6)]], CONFIG)
    assert told == "From 40 to 60. blue."
    assert without_times(told).strip(" .") == "blue"


def test_a_count_that_does_not_fit_is_told():
    with pytest.raises(InputError, match="2 moments for 1 <LOC>"):
        write_times("During <LOC>.", [[(0, 1)], [(0, 1)]], CONFIG)


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
    assert read_times(text) == spans


def test_captions_without_a_sentence_are_left_out():
    assert read_captions("it begins. From 1 to 2, . From 3 to 9 and from 11 to 12, he sits.") == [
        ((0.03, 0.09), "he sits.")
    ]
    assert read_captions("no time at all") == []


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 1)).map(lambda p: (min(p), max(p))), min_size=1, max_size=4
    )
)
def test_what_is_written_is_read_back(spans):
    found = read_times(write_times("During <LOC>.", [spans], CONFIG))
    assert len(found) == len(spans)
    for (a, b), (c, d) in zip(spans, found, strict=True):
        assert abs(a - c) <= 0.01 + 1e-9
        assert abs(b - d) <= 0.01 + 1e-9
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
    from videoexpert.testing import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    config = VideoExpertConfig.from_preset(
        "paper", times="text", loc_token_id=add_loc_token(tokenizer, "<LOC>")
    )
    return Prompter(config, tokenizer)
