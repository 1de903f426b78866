"""Parity: prompt strings, token ids, supervised positions and templates against the released code's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from videoexpert.config import VideoExpertConfig
from videoexpert.language.conversation import (
    Conversation,
    Exchange,
    PromptIds,
    render,
    tokenize,
)
from videoexpert.language.prompt import (
    caption_answer,
    choice_answer,
    grounding_answer,
    grounding_question,
    parse_captions,
    question_with_choices,
)
from videoexpert.language.sequence import IGNORED
from videoexpert.language.vocabulary import add_loc_token

STYLE = "vicuna_v1"
RELEASED = VideoExpertConfig.from_preset("released")
Examples = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def examples(shared: Path) -> Examples:
    return json.loads((shared / "reference/conversation/conversations.json").read_text())


@pytest.fixture(scope="module")
def tokenizer(shared: Path) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(shared / "reference/checkpoint_layout/base_model")
    add_loc_token(tokenizer, "[LOC]")
    return tokenizer


def conversation(example: dict[str, Any], answered: bool = True) -> Conversation:
    """The stored turns; without ``answered`` the first question alone, as in the stored inference prompt."""
    values = [turn["value"].removeprefix("<video>\n") for turn in example["conversation"]]
    if not answered:
        return Conversation((Exchange(values[0]),))
    return Conversation(tuple(Exchange(q, a) for q, a in zip(values[::2], values[1::2], strict=True)))


def ranges(ids: PromptIds) -> list[list[int]]:
    """Half-open runs of supervised positions."""
    found: list[list[int]] = []
    for place, label in enumerate(ids.labels.tolist()):
        if label == IGNORED:
            continue
        if found and found[-1][1] == place:
            found[-1][1] += 1
        else:
            found.append([place, place + 1])
    return found


def test_strings(examples: Examples, tokenizer: Any) -> None:
    for name, example in examples.items():
        assert render(conversation(example), tokenizer, style=STYLE) == example["prompt"], name
        asked = render(conversation(example, answered=False), tokenizer, style=STYLE)
        assert asked == example["inference_prompt"], name


def test_ids_and_supervised_positions(examples: Examples, tokenizer: Any) -> None:
    """The two Llama-2 tokenisations come without their model file: their strings are compared above."""
    compared = 0
    for name, example in examples.items():
        wanted = example["tokenisations"]["fixture"]
        loc = wanted["loc_token_id"]
        ours = tokenize(conversation(example), tokenizer, style=STYLE, loc_token_id=loc)
        assert ours.input_ids.tolist() == wanted["input_ids"], name
        assert ours.video_position == wanted["image_position"], name
        assert list(ours.loc_positions) == wanted["loc_positions"], name
        assert len(ours.loc_positions) == example["n_targets"], name
        supervised = ours.labels != IGNORED
        assert ours.labels[supervised].tolist() == ours.input_ids[supervised].tolist(), name
        if wanted["mismatch_warning"]:
            # The released code drops all labels here; ours are the answers all the same.
            assert wanted["supervised_ranges"] == [], name
            turns = conversation(example).turns
            said = [tokenizer.decode(ours.input_ids[first:last]) for first, last in ranges(ours)]
            assert [text.replace(" ", "") for text in said] == [
                f"{turn.answer}</s>".replace(" ", "") for turn in turns
            ]
        else:
            assert ranges(ours) == wanted["supervised_ranges"], name
            compared += 1
    assert compared > 0


def test_inference_ids(examples: Examples, tokenizer: Any) -> None:
    loc = tokenizer.convert_tokens_to_ids("[LOC]")
    for name, example in examples.items():
        ours = tokenize(
            conversation(example, answered=False), tokenizer, style=STYLE, loc_token_id=loc, supervise=False
        )
        wanted = example["inference_input_ids"]["fixture"]
        assert ours.input_ids.tolist() == wanted, name
        video = wanted.index(-200)
        assert ours.before_video.tolist() == wanted[:video], name
        assert ours.after_video.tolist() == wanted[video + 1 :], name


def test_places_after_the_video_is_expanded(examples: Examples, tokenizer: Any) -> None:
    """The documented shift p + K - 1, and the released state one before <LOC>."""
    for name, example in examples.items():
        wanted = example["tokenisations"]["fixture"]
        ours = tokenize(conversation(example), tokenizer, style=STYLE, loc_token_id=wanted["loc_token_id"])
        for count in (356, 100):
            expanded = wanted[f"expanded_{count}"]
            assert len(ours.input_ids) + count - 1 == expanded["length"], name
            first = expanded["temporal_range"][0]
            assert first == ours.video_position, name
            states = [place + count - 1 - 1 for place in ours.loc_positions]
            assert states == expanded["loc_hidden_positions"], name


def test_templates_of_the_released_preset(examples: Examples) -> None:
    """From the data sets' records. Which phrasing a sample drew is chance; the rules on its texts are not."""
    kinds = set()
    for name, example in examples.items():
        record, turn = example["record"], conversation(example).turns[0]
        if "query" in record:
            kinds.add("grounding")
            # a final period goes; any other sign, such as a question mark, stays
            query = record["query"].removesuffix(".")
            query = query[0].lower() + query[1:]
            assert query in turn.question, name
            assert query in grounding_question(record["query"], RELEASED), name
            assert f"{query}." not in turn.question, name
            assert turn.answer == grounding_answer(RELEASED), name
        elif "sentences" in record:
            kinds.add("captions")
            assert turn.answer == caption_answer(record["sentences"], RELEASED), name
            assert len(parse_captions(turn.answer, RELEASED)) == example["n_targets"], name
        elif "num_option" in record:
            kinds.add("choice")
            choices = [record[f"a{number}"] for number in range(record["num_option"])]
            grounded = "timestamps" in record
            asked = question_with_choices(record["question"], choices, RELEASED, grounded=grounded)
            assert turn.question == asked, name
            assert turn.answer == choice_answer(int(record["answer"]), grounded, RELEASED), name
    assert kinds == {"grounding", "captions", "choice"}
