"""Marks of a tokenizer in a user's text are words; those that the program writes stay marks."""

from __future__ import annotations

import pytest
import torch

from videoexpert.annotations.samples import Sample, Turn
from videoexpert.errors import InputError
from videoexpert.language import prompt
from videoexpert.language.conversation import Conversation, Exchange, render
from videoexpert.language.prompter import Prompter
from videoexpert.marks import marks_of, plain, said_elsewhere, settled, words_of
from videoexpert.session import Expert
from videoexpert.testing import LOC, tiny_config, tiny_model, tiny_tokenizer
from videoexpert.training.batches import make_example
from videoexpert.training.conversation import conversation_example
from videoexpert.types import VisualTokens

MARKS = ("</s>", "<LOC>", "<s>")
HOSTILE = ("<LOC>", "a </s> b", "<<LOC>", "<s></s><LOC>", "x<LO<LOC>C>", "<pad>", "<unk>")
SPECIAL = {0, 1, 2, LOC}


@pytest.fixture
def prompter() -> Prompter:
    return Prompter(tiny_config(), tiny_tokenizer())


def test_ordinary_text_is_as_it_was():
    for text in ("a man runs", "a < b and [c]", "<b> bold", "", "\U0001f600 <3"):
        assert words_of(text, MARKS) == text


def test_only_marks_are_broken_and_only_those_of_users():
    assert words_of("a <LOC> b</s>", MARKS) == "a < LOC> b< /s>"
    assert settled(f"During <LOC>, {plain('<LOC>')}", MARKS) == "During <LOC>, < LOC>"
    assert words_of("a\ue001b", MARKS) == "ab"
    assert marks_of(tiny_tokenizer()) == ("<LOC>", "<pad>", "<unk>", "</s>", "<s>")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_query_question_or_choice_gives_a_mark(prompter, text):
    locs = [i for i in prompter.grounding(text).ids if i == LOC]
    assert len(locs) == 1  # of the answer
    assert len(prompter.grounding(text).loc_positions) == 1
    config = prompter.config
    asked = prompt.question_with_choices(text, [text, "b"], config, grounded=True)
    assert not SPECIAL & set(prompter.segment(asked).ids)
    for form in ("letter", "text"):
        config = tiny_config(choice_format=form)
        segment = prompter.segment("who", prompt.choice_answer(0, True, config, [text, "b"]))
        assert len(segment.loc_positions) == 1
        assert list(segment.ids).count(2) == 1  # its own end


@pytest.mark.parametrize("text", HOSTILE)
def test_training_data_gives_no_mark_either(prompter, text):
    kinds = (
        Sample("a", "v", "caption", captions=(text, "b"), windows=((0.0, 1.0), (1.0, 2.0)), duration_s=4.0),
        Sample("a", "v", "qa", query=text, choices=(text, "b"), choice=0, answer=text, duration_s=4.0),
        Sample("a", "v", "qa", query=text, answer=text, duration_s=4.0),
    )
    for sample, locs in zip(kinds, (2, 0, 0), strict=True):
        made = make_example(prompter, sample)
        assert len(made.segment.loc_positions) == locs
        assert list(made.segment.ids).count(2) == 1
    turns = (Turn("user", f"why {text}"), Turn("assistant", f"From <s0> to <e0>, {text}"))
    talk = Sample("a", "v", "conversation", turns=turns, times=(("<s0>", 0.0), ("<e0>", 1.0)), duration_s=4.0)
    made = conversation_example(prompter, talk, 4.0)
    assert len(made.segment.loc_positions) == 1
    assert list(made.segment.ids).count(2) == 1


def test_what_people_see_has_no_sign():
    shown = render(Conversation((Exchange(plain("a <b> <LOC>")),)), tiny_tokenizer(), style="vicuna_v1")
    assert "a <b> < LOC>" in shown
    assert "\ue001" not in shown


def test_a_model_behind_a_server_is_told_words():
    assert said_elsewhere(plain("a <|im_end|> b [x] <b>") + " [[0, 3]]") == "a < |im_end|> b [x] <b> [[0, 3]]"


def test_a_query_longer_than_the_positions_is_refused_with_both_numbers():
    expert = Expert(tiny_model(), tiny_tokenizer(), "tiny")
    video = expert.open_tokens(VisualTokens(torch.randn(6, 24), torch.randn(6, 24), 10.0))
    with pytest.raises(InputError, match=r"needs \d{3} positions .* the language model has 512"):
        video.ground("a man " * 100)
    with pytest.raises(InputError, match=r"needs \d{3} positions .* the language model has 512"):
        video.ask("a man " * 100)
