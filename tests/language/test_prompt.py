"""Conversations as strings and ids, labels, and the task templates."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from videoexpert.config import VideoExpertConfig
from videoexpert.errors import InputError
from videoexpert.language.conversation import (
    VICUNA_SYSTEM,
    VIDEO_PLACEHOLDER,
    Conversation,
    Exchange,
    PromptIds,
    render,
    tokenize,
)
from videoexpert.language.prompt import (
    caption_answer,
    caption_question,
    choice_answer,
    grounding_answer,
    grounding_question,
    parse_captions,
    phrasings,
    question_with_choices,
)
from videoexpert.language.sequence import IGNORED
from videoexpert.language.vocabulary import add_loc_token

PAPER = VideoExpertConfig.from_preset("paper")
RELEASED = VideoExpertConfig.from_preset("released")
TEXT_CHOICES = VideoExpertConfig.from_preset("paper", choice_format="text")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content | trim }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
CORPUS = [
    VICUNA_SYSTEM,
    "USER: During which frames a person opens the door happen? ASSISTANT: During the day. From here.",
    "Option A: cook Option B: play user assistant system think",
]


def byte_level() -> PreTrainedTokenizerFast:
    """GPT-2 and Qwen's kind: no start token, a space belongs to the word after it."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", chat_template=CHATML)


def sentence_piece_like() -> PreTrainedTokenizerFast:
    """Llama's kind: a start token, and a mark of a word's start put before the text."""
    backend = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    backend.decoder = decoders.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=300, special_tokens=special, show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    backend.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", unk_token="<unk>", chat_template=CHATML
    )


def word_level() -> PreTrainedTokenizerFast:
    """A small word list, as a tiny model has."""
    backend = Tokenizer(models.WordLevel(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.WordLevelTrainer(special_tokens=["<unk>", "</s>"], show_progress=False)
    backend.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="</s>", unk_token="<unk>")


KINDS = {"byte_level": byte_level, "sentence_piece_like": sentence_piece_like, "word_level": word_level}
CASES = [
    ("byte_level", "vicuna_v1"),
    ("byte_level", "chat_template"),
    ("sentence_piece_like", "vicuna_v1"),
    ("word_level", "vicuna_v1"),
]


@pytest.fixture(scope="module")
def tokenizers() -> dict[str, tuple[Any, int]]:
    made = {name: make() for name, make in KINDS.items()}
    return {name: (tokenizer, add_loc_token(tokenizer, "<LOC>")) for name, tokenizer in made.items()}


def said(ids: PromptIds, tokenizer: Any) -> list[str]:
    """Text of each supervised run."""
    runs: list[list[int]] = []
    previous = IGNORED
    for label in ids.labels.tolist():
        if label != IGNORED and previous == IGNORED:
            runs.append([])
        if label != IGNORED:
            runs[-1].append(label)
        previous = label
    return [tokenizer.decode(run) for run in runs]


TALK = Conversation((Exchange("a door?", "During <LOC>."), Exchange("a cook?", "Option A.")))


@pytest.mark.parametrize(
    ("name", "style", "wanted"),
    [
        ("byte_level", "vicuna_v1", [" During<LOC>.<|end|>", " Option A.<|end|>"]),
        ("byte_level", "chat_template", ["During<LOC>.<|im_end|>", "Option A.<|im_end|>"]),
        ("word_level", "vicuna_v1", ["During <LOC> . </s>", "Option A . </s>"]),
    ],
)
def test_supervised_is_the_answer_and_what_ends_it(
    tokenizers: dict[str, tuple[Any, int]], name: str, style: str, wanted: list[str]
) -> None:
    tokenizer, loc = tokenizers[name]
    ids = tokenize(TALK, tokenizer, style=style, loc_token_id=loc)
    assert said(ids, tokenizer) == wanted
    assert [int(ids.input_ids[place]) for place in ids.loc_positions] == [loc]
    supervised = ids.labels != IGNORED
    assert ids.labels[supervised].tolist() == ids.input_ids[supervised].tolist()


def test_strings_of_both_styles(tokenizers: dict[str, tuple[Any, int]]) -> None:
    tokenizer, _ = tokenizers["byte_level"]
    assert render(TALK, tokenizer, style="vicuna_v1") == (
        f"{VICUNA_SYSTEM} USER: <video>\na door? ASSISTANT: During <LOC>.<|end|>"
        "USER: a cook? ASSISTANT: Option A.<|end|>"
    )
    asking = Conversation((Exchange("a door?"),), system="Look.")
    assert render(asking, tokenizer, style="vicuna_v1") == "Look. USER: <video>\na door? ASSISTANT:"
    assert render(Conversation((Exchange("a door?"),), system=""), tokenizer, style="vicuna_v1") == (
        "USER: <video>\na door? ASSISTANT:"
    )
    assert render(asking, tokenizer, style="chat_template") == (
        "<|im_start|>system\nLook.<|im_end|>\n<|im_start|>user\n<video>\na door?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\n"
    )
    answered = Conversation((Exchange("a door?", "assistant"),))
    assert render(answered, tokenizer, style="chat_template") == (
        "<|im_start|>user\n<video>\na door?<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n\n</think>\n\nassistant<|im_end|>"
    )


def test_an_answer_that_looks_like_the_template_is_found(tokenizers: dict[str, tuple[Any, int]]) -> None:
    tokenizer, loc = tokenizers["byte_level"]
    talk = Conversation((Exchange("assistant", "a"), Exchange("a", "assistant")))
    ids = tokenize(talk, tokenizer, style="chat_template", loc_token_id=loc)
    assert said(ids, tokenizer) == ["a<|im_end|>", "assistant<|im_end|>"]


@pytest.mark.parametrize(("name", "style"), CASES)
@settings(max_examples=20, deadline=None)
@given(
    question=st.text("abc <>?:.,\n", min_size=1).filter(str.strip),
    answer=st.text("abc LO<>?:., ", min_size=1).filter(str.strip),
    more=st.booleans(),
)
def test_asking_is_a_prefix_of_answering(
    tokenizers: dict[str, tuple[Any, int]], name: str, style: str, question: str, answer: str, more: bool
) -> None:
    """What the model is asked in use are the very ids it was trained to go on from."""
    tokenizer, loc = tokenizers[name]
    turns = (Exchange(question, answer), Exchange("b?", "c.")) if more else (Exchange(question, answer),)
    trained = tokenize(Conversation(turns), tokenizer, style=style, loc_token_id=loc)
    asked = tokenize(
        Conversation((Exchange(question),)), tokenizer, style=style, loc_token_id=loc, supervise=False
    )
    length = len(asked.input_ids)
    if not (more and style == "chat_template"):  # Qwen's template thinks in the last turn only
        assert trained.input_ids[:length].tolist() == asked.input_ids.tolist()
        assert (trained.labels != IGNORED).nonzero()[0].item() == length
    assert trained.before_video.tolist() == asked.before_video.tolist()
    assert (trained.input_ids == VIDEO_PLACEHOLDER).sum().item() == 1
    assert (asked.labels == IGNORED).all()


def test_spaces_around_loc_belong_to_no_token(tokenizers: dict[str, tuple[Any, int]]) -> None:
    for name, (tokenizer, loc) in tokenizers.items():
        forms = [
            tokenize(Conversation((Exchange("a", text),)), tokenizer, style="vicuna_v1", loc_token_id=loc)
            for text in ("During <LOC>, a. During <LOC>.", "During<LOC> , a. During  <LOC> .")
        ]
        assert forms[0].input_ids.tolist() == forms[1].input_ids.tolist(), name
        assert len(forms[0].loc_positions) == 2, name


def test_loc_in_a_question_asks_for_nothing(tokenizers: dict[str, tuple[Any, int]]) -> None:
    tokenizer, loc = tokenizers["byte_level"]
    talk = Conversation((Exchange("what is <LOC>?", "During <LOC>."),))
    ids = tokenize(talk, tokenizer, style="vicuna_v1", loc_token_id=loc)
    assert (ids.input_ids == loc).sum().item() == 2
    assert ids.loc_positions == (int((ids.input_ids == loc).nonzero()[1]),)


def test_the_start_token_stands_once_where_the_tokenizer_has_one(
    tokenizers: dict[str, tuple[Any, int]],
) -> None:
    tokenizer, loc = tokenizers["sentence_piece_like"]
    ids = tokenize(TALK, tokenizer, style="vicuna_v1", loc_token_id=loc).input_ids.tolist()
    assert ids[0] == tokenizer.bos_token_id
    assert ids.count(tokenizer.bos_token_id) == 1
    assert ids.count(tokenizer.eos_token_id) == 2


def test_what_cannot_be_said_is_refused(tokenizers: dict[str, tuple[Any, int]]) -> None:
    tokenizer, loc = tokenizers["word_level"]
    asking = Conversation((Exchange("a"),))
    with pytest.raises(InputError, match="no answer to supervise"):
        tokenize(asking, tokenizer, style="vicuna_v1", loc_token_id=loc)
    with pytest.raises(InputError, match="no chat template"):
        render(asking, tokenizer, style="chat_template")
    with pytest.raises(InputError, match="'alpaca', expected 'vicuna_v1' or 'chat_template'"):
        render(asking, tokenizer, style="alpaca")
    with pytest.raises(InputError, match="the question of a turn is empty"):
        Exchange(" ")
    with pytest.raises(InputError, match="the answer of a turn is empty"):
        Exchange("a", "")
    with pytest.raises(InputError, match="at least one question"):
        Conversation(())
    with pytest.raises(InputError, match="only the last turn"):
        Conversation((Exchange("a"), Exchange("b", "c")))
    endless = word_level()
    endless.eos_token = None
    with pytest.raises(InputError, match="end-of-sequence"):
        render(asking, endless, style="vicuna_v1")


def test_grounding_by_hand() -> None:
    query = "A person opens the door."
    assert grounding_question(query, PAPER) == "During which frames a person opens the door happen?"
    assert grounding_question(query, RELEASED) == (
        "Based on the given video, answer the question: "
        "When does a person opens the door happen in the video?"
    )
    assert grounding_answer(PAPER) == "During <LOC>."
    assert grounding_answer(RELEASED) == "From [LOC]."
    assert grounding_answer(PAPER, 3) == "During <LOC>, <LOC>, <LOC>."


def test_captions_by_hand() -> None:
    assert (
        caption_answer(["cut the onion", "stir."], PAPER)
        == "During <LOC>, cut the onion. During <LOC>, stir."
    )
    assert caption_answer(["cut"], RELEASED) == "From [LOC], cut."
    assert caption_question(PAPER) == (
        "Describe the provided video in detail. Each sentence should begin with the timestamps."
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("During <LOC>, cut. During <LOC>, stir.", ["cut.", "stir."]),
        ("During<LOC>, cut. During<LOC>, stir", ["cut.", "stir"]),
        ("Well. during <LOC> : cut. During <LOC>", ["cut.", ""]),
        ("During <LOC>, <LOC>, stir during play.", ["", "stir during play."]),
        ("no time at all", []),
        ("", []),
    ],
)
def test_generated_captions_are_read(text: str, wanted: list[str]) -> None:
    assert parse_captions(text, PAPER) == wanted


@given(st.lists(st.text("abc during", min_size=1).map(lambda s: f"x{s}".strip()), min_size=1, max_size=5))
def test_captions_come_back(sentences: list[str]) -> None:
    for config in (PAPER, RELEASED):
        assert parse_captions(caption_answer(sentences, config), config) == [f"{s}." for s in sentences]


def test_choices_by_hand() -> None:
    choices = ["cook", "play"]
    assert question_with_choices("What does he do", choices, PAPER) == (
        "Question: what does he do? Option A: cook Option B: play "
        "Considering the video, select the correct answer from the options (A, B)."
    )
    assert choice_answer(1, False, PAPER) == "Option B."
    assert choice_answer(1, True, PAPER) == "During <LOC>. Option B."
    asked = question_with_choices("What does he do?", choices, TEXT_CHOICES, grounded=True)
    assert asked.startswith("Question: what does he do? Options: cook, play. During which frames")
    assert "(A, B)" not in asked
    assert choice_answer(1, True, TEXT_CHOICES, choices) == "During <LOC>. play."


def test_open_questions_are_put_as_they_are() -> None:
    assert question_with_choices(" Why does Tom fall? ", (), PAPER) == "Why does Tom fall?"
    grounded = question_with_choices("Why does Tom fall?", (), PAPER, grounded=True)
    assert grounded.startswith("Why does Tom fall? During which frames")
    assert choice_answer("He slips", True, PAPER) == "During <LOC>. He slips."


def test_training_draws_every_phrasing_and_use_the_first() -> None:
    for config in (PAPER, RELEASED, TEXT_CHOICES):
        wording = phrasings(config)
        letter = config.choice_format == "letter"
        for count, ask in (
            (len(wording.grounding), lambda rng, c=config: grounding_question("he runs", c, rng)),
            (len(wording.captions), lambda rng, c=config: caption_question(c, rng)),
            (
                len(wording.choice if letter else wording.choice_text),
                lambda rng, c=config: question_with_choices("why", ["a"], c, rng=rng),
            ),
            (
                len(wording.grounded_choice if letter else wording.grounded_choice_text),
                lambda rng, c=config: question_with_choices("why", ["a"], c, grounded=True, rng=rng),
            ),
            (
                len(wording.grounded_open),
                lambda rng, c=config: question_with_choices("why", (), c, grounded=True, rng=rng),
            ),
        ):
            drawn = {ask(random.Random(seed)) for seed in range(60)}
            assert len(drawn) == count
            assert ask(None) in drawn
            assert ask(random.Random(7)) == ask(random.Random(7))


def test_templates_refuse_what_they_cannot_fill() -> None:
    with pytest.raises(InputError, match="the query is empty"):
        grounding_question(" . ", PAPER)
    with pytest.raises(InputError, match="has 0 <LOC>"):
        grounding_answer(PAPER, 0)
    with pytest.raises(InputError, match="no sentence"):
        caption_answer([], PAPER)
    with pytest.raises(InputError, match="27 choices"):
        question_with_choices("why", ["a"] * 27, PAPER)
    with pytest.raises(InputError, match="the choice is 26"):
        choice_answer(26, False, PAPER)
    with pytest.raises(InputError, match="the choice is 2 of 2 choices"):
        choice_answer(2, False, TEXT_CHOICES, ["a", "b"])
