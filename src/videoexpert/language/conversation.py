"""Conversations about a video as token ids and labels.

The video stands at one place, after ``USER: `` or what the tokenizer's own chat template has there. Text
before and after it is tokenised apart, so the part before it is the same for every question on a video.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..errors import InputError
from ..marks import marks_of, settled
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
class Exchange:
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

    turns: tuple[Exchange, ...]
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

    Texts of users come through ``marks.plain``, and their marks are words.

    Raises InputError for supervision without a last answer, or a tokenizer that the style cannot use.
    """
    (found,) = tokenize_many(
        [conversation], tokenizer, style=style, loc_token_id=loc_token_id, supervise=supervise
    )
    return PromptIds(torch.tensor(found.ids), torch.tensor(found.labels), tuple(found.locs))


@dataclass
class PromptLists:
    """The numbers of PromptIds as lists, while they grow."""

    ids: list[int]
    labels: list[int]
    locs: list[int]

    @property
    def after(self) -> int:
        """Place of the first token behind the video."""
        return self.ids.index(VIDEO_PLACEHOLDER) + 1


def tokenize_many(
    conversations: Sequence[Conversation],
    tokenizer: Any,
    *,
    style: str,
    loc_token_id: int,
    supervise: bool = True,
) -> list[PromptLists]:
    """``tokenize`` of many conversations, whose texts go through the tokenizer together."""
    if supervise and any(c.turns[-1].answer is None for c in conversations):
        raise InputError("the last turn has no answer to supervise; give one, or pass supervise=False.")
    loc = re.escape(tokenizer.convert_ids_to_tokens(loc_token_id))
    around_loc = re.compile(rf"\s*({loc})\s*")
    marks = marks_of(tokenizer)

    def encode(texts: Sequence[str]) -> list[list[int]]:
        unlike = list(dict.fromkeys(texts))
        words = [settled(text, marks) for text in unlike]
        found = (
            dict(zip(unlike, tokenizer(words, add_special_tokens=False).input_ids, strict=True))
            if unlike
            else {}
        )
        return [list(found[text]) for text in texts]

    parts = _parts(conversations, tokenizer, style)
    start = _start_ids(tokenizer, style)
    begun = encode([around_loc.sub(r"\1", before) for before, _ in parts])
    made = [PromptLists([*start, *ids, VIDEO_PLACEHOLDER], [], []) for ids in begun]
    for prompt in made:
        prompt.labels = [IGNORED] * len(prompt.ids)
    texts = ["" for _ in made]
    offsets = [len(prompt.ids) for prompt in made]
    for turn in range(max((len(after) for _, after in parts), default=0)):
        here = [i for i, (_, after) in enumerate(parts) if turn < len(after)]
        said = [around_loc.sub(r"\1", parts[i][1][turn][0]) for i in here]
        for i, segment in zip(here, said, strict=True):
            texts[i] += segment
        # A token that would reach over the edge of an answer is split there, as it is when asking.
        for i, whole, segment in zip(here, encode([texts[i] for i in here]), said, strict=True):
            prompt, is_answer = made[i], parts[i][1][turn][1]
            so_far = prompt.ids[offsets[i] :]
            new = whole[len(so_far) :] if whole[: len(so_far)] == so_far else encode([segment])[0]
            if is_answer:
                first = len(prompt.ids)
                prompt.locs += [first + place for place, token in enumerate(new) if token == loc_token_id]
            prompt.labels += new if is_answer and supervise else [IGNORED] * len(new)
            prompt.ids += new
    return made


def render(conversation: Conversation, tokenizer: Any, *, style: str) -> str:
    """The conversation as one string, ``<video>`` where the visual tokens go; for people and tests."""
    ((before, after),) = _parts([conversation], tokenizer, style)
    return settled(f"{before}<video>" + "".join(segment for segment, _ in after), marks_of(tokenizer))


Parts = tuple[
    str, list[tuple[str, bool]]
]  # text before the video, then (text, is it an answer with its end of turn)


def _parts(conversations: Sequence[Conversation], tokenizer: Any, style: str) -> list[Parts]:
    """The texts of each conversation in order."""
    if style == "vicuna_v1":
        return [_vicuna_parts(conversation, tokenizer) for conversation in conversations]
    if style != "chat_template":
        raise InputError(f"conversation style is {style!r}, expected 'vicuna_v1' or 'chat_template'.")
    rendered: dict[tuple[object, ...], list[str]] = {}  # the template sees nothing of the texts themselves
    found = []
    for conversation in conversations:
        shape = (conversation.system, *(turn.answer is None for turn in conversation.turns))
        if shape not in rendered:
            rendered[shape] = _template_pieces(conversation, tokenizer)
        found.append(_template_parts(conversation, rendered[shape]))
    return found


def _vicuna_parts(conversation: Conversation, tokenizer: Any) -> Parts:
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


def _template_pieces(conversation: Conversation, tokenizer: Any) -> list[str]:
    """The rendered template cut at its stand-ins: text, kind, number, text, kind, number, ..., text."""
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
    return _SLOT.split(text)


def _template_parts(conversation: Conversation, pieces: Sequence[str]) -> Parts:
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
