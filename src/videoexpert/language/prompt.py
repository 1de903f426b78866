"""What the language model is asked and what it is to answer: the task templates (paper III-D)."""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass

from ..config import VideoExpertConfig
from ..errors import InputError
from ..marks import plain


@dataclass(frozen=True)
class Phrasings:
    """Ways to put each task; the first is the one used outside training."""

    grounding: tuple[str, ...]  # {query}
    captions: tuple[str, ...]
    choice: tuple[str, ...]  # after the question and its options; {letters}
    grounded_choice: tuple[str, ...]
    choice_text: tuple[str, ...]  # the same where the answer is the choice's own text
    grounded_choice_text: tuple[str, ...]
    grounded_open: tuple[str, ...]  # after a question without options


_PAPER = Phrasings(
    grounding=(
        "During which frames {query} happen?",
        "When does this happen in the video: {query}?",
        "Which part of the video shows this: {query}?",
        "Find the moment of the video where {query}.",
    ),
    captions=(
        "Describe the provided video in detail. Each sentence should begin with the timestamps.",
        "Tell what happens in the video, one sentence for each event. Begin each sentence with its time.",
        "List the events of the video in order, each with the time when it happens.",
    ),
    choice=(
        "Considering the video, select the correct answer from the options ({letters}).",
        "Which of the options ({letters}) is right?",
        "Look at the video and choose one of {letters}.",
    ),
    grounded_choice=(
        "During which frames can we see this? Then select the correct answer from the options ({letters}).",
        "First find the moment that shows it, then tell which of the options ({letters}) is right.",
    ),
    choice_text=(
        "Considering the video, select the correct answer from the options.",
        "Which of the options is right?",
        "Look at the video and choose one of the options.",
    ),
    grounded_choice_text=(
        "During which frames can we see this? Then select the correct answer from the options.",
        "First find the moment that shows it, then tell which of the options is right.",
    ),
    grounded_open=(
        "During which frames can we see this? Then answer the question.",
        "First find the moment that shows it, then answer.",
    ),
)
# The wording that models of the released code were trained on, read off the reference conversations.
_BASED = "Based on the given video, answer the question: "
_SELECT = "onsidering the information presented in the video, select the correct answer from the options"
_WHICH = "During which frames can we see the Question happen? Then, "
_RELEASED = Phrasings(
    grounding=(
        _BASED + "When does {query} happen in the video?",
        _BASED + "At what time in the video does {query} take place?",
    ),
    captions=(
        _BASED + "Write a informative summary of the video. Please specify the exact time of each sentence.",
    ),
    choice=(f"C{_SELECT} ({{letters}}).",),
    grounded_choice=(f"{_WHICH}c{_SELECT} ({{letters}}).",),
    choice_text=(f"C{_SELECT}.",),
    grounded_choice_text=(f"{_WHICH}c{_SELECT}.",),
    grounded_open=(f"{_WHICH}answer the question.",),
)


def phrasings(config: VideoExpertConfig) -> Phrasings:
    """The released code's wording for ``preset`` "released", else the paper's with more of ours."""
    return _RELEASED if config.preset == "released" else _PAPER


def grounding_question(query: str, config: VideoExpertConfig, rng: random.Random | None = None) -> str:
    """Asks when ``query`` happens; the query loses a final '.' and gets a small first letter."""
    return _pick(phrasings(config).grounding, rng).format(query=plain(_tidy(query, "query")))


def grounding_answer(config: VideoExpertConfig, count: int = 1) -> str:
    """``During <LOC>.``, with ``count`` <LOC> separated by commas."""
    if count < 1:
        raise InputError(f"a grounding answer has {count} <LOC>, expected at least 1.")
    return f"{config.moment_prefix} {', '.join([config.loc_text] * count)}."


def caption_question(config: VideoExpertConfig, rng: random.Random | None = None) -> str:
    """Asks for dense captions."""
    return _pick(phrasings(config).captions, rng)


def caption_answer(sentences: Sequence[str], config: VideoExpertConfig) -> str:
    """``During <LOC>, xxx. During <LOC>, xxx.``; a sentence without a final '.' gets one."""
    if not sentences:
        raise InputError("dense captions have no sentence, expected at least one.")
    opening = f"{config.moment_prefix} {config.loc_text}, "
    tidied = [plain(sentence.strip()) for sentence in sentences]
    return " ".join(f"{opening}{text}{'' if text.endswith('.') else '.'}" for text in tidied)


def parse_captions(text: str, config: VideoExpertConfig) -> list[str]:
    """The sentences of generated dense captions, one for each <LOC> in order, '' where none follows it.

    Reads ``caption_answer`` back, with or without the spaces around <LOC>; text before the first <LOC> is
    left out, as nothing says when it happens.
    """
    next_opening = re.compile(
        rf"(?:^|(?<=\s)|(?<=[.!?])){re.escape(config.moment_prefix)}\s*$", re.IGNORECASE
    )
    chunks = text.split(config.loc_text)[1:]
    sentences = [next_opening.sub("", chunk.rstrip()) for chunk in chunks[:-1]] + chunks[-1:]
    return [sentence.strip().lstrip(",:.").strip() for sentence in sentences]


def question_with_choices(
    question: str,
    choices: Sequence[str],
    config: VideoExpertConfig,
    *,
    grounded: bool = False,
    rng: random.Random | None = None,
) -> str:
    """A question with its options, if there are ``choices``; ``grounded`` asks for the moment too.

    With ``choice_format`` "letter" the options are lettered, with "text" just named. A question with options
    gets a small first letter and a final '?'; one without is put as it is.
    """
    wording = phrasings(config)
    asked = plain(question.strip())
    choices = [plain(choice) for choice in choices]
    if not choices:
        return f"{asked} {_pick(wording.grounded_open, rng)}" if grounded else asked
    letters = string.ascii_uppercase[: len(choices)]
    if len(letters) < len(choices):
        raise InputError(f"a question has {len(choices)} choices, expected at most 26, one for each letter.")
    asked = plain(_tidy(question, "question")).rstrip("?").rstrip()
    if config.choice_format == "letter":
        options = " ".join(
            f"Option {letter}: {choice}" for letter, choice in zip(letters, choices, strict=True)
        )
        instructions = wording.grounded_choice if grounded else wording.choice
    else:
        options = f"Options: {', '.join(choices)}."
        instructions = wording.grounded_choice_text if grounded else wording.choice_text
    return f"Question: {asked}? {options} {_pick(instructions, rng).format(letters=', '.join(letters))}"


def choice_answer(
    answer: int | str, grounded: bool, config: VideoExpertConfig, choices: Sequence[str] = ()
) -> str:
    """``Option C.`` for a 0-based choice, or the text of an open answer; ``During <LOC>.`` first if grounded.

    With ``choice_format`` "text" a choice is answered by its own text, so ``choices`` must be given.
    """
    if isinstance(answer, str):
        text = plain(answer.strip())
    elif config.choice_format == "letter":
        if not 0 <= answer < 26:
            raise InputError(f"the choice is {answer}, expected 0 to 25, one for each letter.")
        text = f"Option {string.ascii_uppercase[answer]}"
    elif 0 <= answer < len(choices):
        text = plain(choices[answer].strip())
    else:
        raise InputError(f"the choice is {answer} of {len(choices)} choices; give the choices it is one of.")
    text = text if text.endswith(".") else f"{text}."
    return f"{grounding_answer(config)} {text}" if grounded else text


def _pick(options: tuple[str, ...], rng: random.Random | None) -> str:
    return options[0] if rng is None else rng.choice(options)


def _tidy(text: str, name: str) -> str:
    """Without a final '.', small first letter: the text becomes part of a sentence."""
    text = text.strip().removesuffix(".").rstrip()
    if not text:
        raise InputError(f"the {name} is empty, expected a sentence.")
    return text[0].lower() + text[1:]
