"""What is said to the language model and what it is to say back: conversations, token ids, task templates.

The video stands at one place, after ``USER: `` or what the tokenizer's own chat template has there. Text
before and after it is tokenised apart, so the part before it is the same for every question on a video.
"""

from __future__ import annotations

import random
import re
import string
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..config import VideoExpertConfig
from ..errors import InputError
from .sequence import IGNORED

VIDEO_PLACEHOLDER = -200  # in input_ids: the N + M visual tokens go here
VICUNA_SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
# Stand-ins while a chat template is rendered, in characters that no text uses: the template then sees
# nothing of the texts themselves, and the places of video, questions and answers are known without a search.
_SLOT = re.compile("\ue000([VQA])(\\d+)\ue000")


@dataclass(frozen=True)
class Turn:
    """A question and its answer; ``answer`` None in the last turn of a conversation that asks."""

    question: str
    answer: str | None = None

    def __post_init__(self) -> None:
        for name, text in (("question", self.question), ("answer", self.answer)):
            if text is not None and not text.strip():
                raise InputError(f"the {name} of a turn is empty, expected some text.")


@dataclass(frozen=True)
class Conversation:
    """Turns on one video, which precedes the first question. ``system`` None: the style's own system text."""

    turns: tuple[Turn, ...]
    system: str | None = None

    def __post_init__(self) -> None:
        if not self.turns:
            raise InputError("a conversation has no turn, expected at least one question.")
        if any(turn.answer is None for turn in self.turns[:-1]):
            raise InputError("only the last turn of a conversation may lack an answer; answer the others.")


@dataclass(frozen=True)
class PromptIds:
    """A conversation as token ids, the video still one place.

    input_ids      (L,) with VIDEO_PLACEHOLDER once
    labels         (L,) the ids of the answers and their end-of-turn tokens, IGNORED elsewhere
    loc_positions  places of <LOC> in the answers, in input_ids; K visual tokens move place p to p + K - 1
    """

    input_ids: Tensor
    labels: Tensor
    loc_positions: tuple[int, ...]

    @property
    def video_position(self) -> int:
        return int((self.input_ids == VIDEO_PLACEHOLDER).nonzero()[0])

    @property
    def before_video(self) -> Tensor:
        """Ids of the text before the video; the same for every conversation of one system text."""
        return self.input_ids[: self.video_position]

    @property
    def after_video(self) -> Tensor:
        """Ids of the text after the video."""
        return self.input_ids[self.video_position + 1 :]


def tokenize(
    conversation: Conversation,
    tokenizer: Any,
    *,
    style: str,
    loc_token_id: int,
    supervise: bool = True,
) -> PromptIds:
    """Token ids and labels of a conversation, in ``style`` "vicuna_v1" or "chat_template".

    Ids of the question form are a prefix of those with the answer, so that training and use agree. White
    space on both sides of <LOC> belongs to no token, as in the released code, whatever the tokenizer does by
    itself. Supervised are every answer and what ends its turn. The released code masks a whole sample when
    its tokenizer splits a later turn's first word otherwise than at the start of a text; ours never does.

    Raises InputError for supervision without a last answer, or a tokenizer that the style cannot use.
    """
    if supervise and conversation.turns[-1].answer is None:
        raise InputError("the last turn has no answer to supervise; give one, or pass supervise=False.")
    before, after = _parts(conversation, tokenizer, style)
    loc = re.escape(tokenizer.convert_ids_to_tokens(loc_token_id))
    around_loc = re.compile(rf"\s*({loc})\s*")

    def encode(text: str) -> list[int]:
        return list(tokenizer(text, add_special_tokens=False).input_ids)

    ids = [*_start_ids(tokenizer, style), *encode(around_loc.sub(r"\1", before)), VIDEO_PLACEHOLDER]
    labels = [IGNORED] * len(ids)
    offset, text = len(ids), ""
    locs: list[int] = []
    for segment, is_answer in after:
        segment = around_loc.sub(r"\1", segment)
        text += segment
        so_far = ids[offset:]
        whole = encode(text)
        # A token that would reach over the edge of an answer is split there, as it is when asking.
        new = whole[len(so_far) :] if whole[: len(so_far)] == so_far else encode(segment)
        if is_answer:
            locs += [len(ids) + place for place, token in enumerate(new) if token == loc_token_id]
        labels += new if is_answer and supervise else [IGNORED] * len(new)
        ids += new
    return PromptIds(torch.tensor(ids), torch.tensor(labels), tuple(locs))


def render(conversation: Conversation, tokenizer: Any, *, style: str) -> str:
    """The conversation as one string, ``<video>`` where the visual tokens go; for people and tests."""
    before, after = _parts(conversation, tokenizer, style)
    return f"{before}<video>" + "".join(segment for segment, _ in after)


def _parts(conversation: Conversation, tokenizer: Any, style: str) -> tuple[str, list[tuple[str, bool]]]:
    """Text before the video, then (text, is it an answer with its end of turn) in order."""
    if style == "vicuna_v1":
        return _vicuna_parts(conversation, tokenizer)
    if style == "chat_template":
        return _template_parts(conversation, tokenizer)
    raise InputError(f"conversation style is {style!r}, expected 'vicuna_v1' or 'chat_template'.")


def _vicuna_parts(conversation: Conversation, tokenizer: Any) -> tuple[str, list[tuple[str, bool]]]:
    if tokenizer.eos_token is None:
        raise InputError("the tokenizer has no end-of-sequence token, which ends an answer; set eos_token.")
    system = VICUNA_SYSTEM if conversation.system is None else conversation.system
    after: list[tuple[str, bool]] = []
    for number, turn in enumerate(conversation.turns):
        opening = "USER: " if number else "\n"
        after.append((f"{opening}{turn.question} ASSISTANT:", False))
        if turn.answer is not None:
            after.append((f" {turn.answer}{tokenizer.eos_token}", True))
    return f"{system} USER: " if system else "USER: ", after


def _template_parts(conversation: Conversation, tokenizer: Any) -> tuple[str, list[tuple[str, bool]]]:
    if tokenizer.chat_template is None:
        raise InputError("the tokenizer has no chat template; set conversation to 'vicuna_v1'.")
    messages = [] if conversation.system is None else [{"role": "system", "content": conversation.system}]
    for number, turn in enumerate(conversation.turns):
        opening = "" if number else "\ue000V0\ue000\n"
        messages.append({"role": "user", "content": f"{opening}\ue000Q{number}\ue000"})
        if turn.answer is not None:
            messages.append({"role": "assistant", "content": f"\ue000A{number}\ue000"})
    text = tokenizer.apply_chat_template(
        messages,
        tokenize=False,
        add_generation_prompt=conversation.turns[-1].answer is None,
        enable_thinking=False,  # templates without a thinking mode do not read it
    )
    pieces = _SLOT.split(text)  # text, kind, number, text, kind, number, ..., text
    end_of_turn = pieces[-1].rstrip() if conversation.turns[-1].answer is not None else ""
    before, carried = pieces[0], pieces[3]
    after: list[tuple[str, bool]] = []
    for kind, place, following in zip(pieces[4::3], pieces[5::3], pieces[6::3], strict=True):
        turn = conversation.turns[int(place)]
        if kind == "Q":
            carried += turn.question + following
            continue
        ended = bool(end_of_turn) and following.startswith(end_of_turn)
        after += [(carried, False), (f"{turn.answer}{end_of_turn if ended else ''}", True)]
        carried = following[len(end_of_turn) :] if ended else following
    if carried.strip():
        after.append((carried, False))
    return before, after


def _start_ids(tokenizer: Any, style: str) -> list[int]:
    """The start token where the tokenizer sets one; a chat template writes its own."""
    if style == "chat_template":
        return []
    alone = list(tokenizer("").input_ids)
    return alone[:1] if alone and alone[0] == tokenizer.bos_token_id else []


# --- Task templates (paper III-D) ---


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
    return _pick(phrasings(config).grounding, rng).format(query=_tidy(query, "query"))


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
    tidied = [sentence.strip() for sentence in sentences]
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
    if not choices:
        return f"{question.strip()} {_pick(wording.grounded_open, rng)}" if grounded else question.strip()
    letters = string.ascii_uppercase[: len(choices)]
    if len(letters) < len(choices):
        raise InputError(f"a question has {len(choices)} choices, expected at most 26, one for each letter.")
    asked = _tidy(question, "question").rstrip("?").rstrip()
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
        text = answer.strip()
    elif config.choice_format == "letter":
        if not 0 <= answer < 26:
            raise InputError(f"the choice is {answer}, expected 0 to 25, one for each letter.")
        text = f"Option {string.ascii_uppercase[answer]}"
    elif 0 <= answer < len(choices):
        text = choices[answer].strip()
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
