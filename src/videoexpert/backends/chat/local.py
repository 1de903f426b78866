"""A local image-text-to-text model of transformers that talks about frames.

The video's share of a prompt is computed once: its keys and values are kept, and every question starts from them.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ... import hub
from ...errors import CheckpointError, DependencyError, InputError
from ...language.caching import cache_of, with_cache
from ...marks import marks_of, settled
from ...pretrained import check_folder
from ...runtime import pick_device
from ...types import Frames
from .feeds import Feed, Inputs, feed_for
from .frames import Budget, Size
from .processors import SHOWN_VIDEOS, load_processor
from .talk import Ask, Chance, Reply

# of a log-probability: far above half precision's noise, far below what another prompt gives
PROOF_TOLERANCE = 0.25
PROOF_TEXT = "12.5"  # that every tokenizer can write
TEMPERATURE = 0.7  # of sampled answers
# what may differ between the tokens of a prompt; any other input of that length rules out reusing a prefix
_PER_TOKEN = {"input_ids", "attention_mask", "mm_token_type_ids"}


def is_chat_model(config: dict[str, Any]) -> bool:
    """True for the config of a model that takes pictures and text and writes text."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

    return config.get("model_type") in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES


class LocalTalker:
    """A loaded model with its processor and clock."""

    videos_at_once = 1

    def __init__(self, model: Any, processor: Any, name: str, digest: str = "unsaved") -> None:
        self.model, self.processor, self.name, self.digest = model.eval(), processor, name, digest
        self.model.generation_config = _ends_alone(model.generation_config)
        self.feed: Feed = feed_for(processor)
        self.multiple = self.feed.multiple
        self.budget = self.feed.budget

    def size_for(self, budget: Budget) -> Callable[[int], Size]:
        return self.feed.size_for(budget)

    def look(self, frames: Frames) -> LocalTalk:
        return LocalTalk(self, frames)

    def describe(self) -> dict[str, Any]:
        """Weights, precision, and how times are conveyed."""
        quantization = getattr(self.model.config, "quantization_config", None)
        return {
            "model": self.name,
            "weights": self.digest,
            "model_type": self.model.config.model_type,
            "dtype": str(self.model.dtype).removeprefix("torch."),
            "load_in_4bit": bool(getattr(quantization, "load_in_4bit", False)),
            "clock": self.feed.clock,
        }


def load_talker(
    name: str | Path,
    *,
    device: str | torch.device = "auto",
    dtype: torch.dtype | None = None,
    load_in_4bit: bool = False,
) -> LocalTalker:
    """The model of a folder or hub id. Nothing of it is executed: safetensors only, no code of its own.

    dtype  None: the checkpoint's own on a GPU, float32 on a CPU.

    Raises CheckpointError for a model that is not one of pictures and text or cannot be read, InputError for 4 bit
    without a GPU, DependencyError where 4 bit lacks bitsandbytes.
    """
    from transformers import AutoModelForImageTextToText

    config = hub.read_config(name)
    if not is_chat_model(config):
        raise CheckpointError(
            f"{name} is a {config.get('model_type', 'model of unknown type')}, which does not take pictures and write "
            "text; use an image-text-to-text model (`videoexpert models` lists some)."
        )
    where = pick_device(str(device))
    options: dict[str, Any] = {"dtype": dtype or ("auto" if where.type != "cpu" else torch.float32)}
    if load_in_4bit:
        options |= _four_bits(where, dtype)
    folder = hub.files(name)
    check_folder(name, folder)
    processor = load_processor(folder, str(config["model_type"]))
    try:
        with _silent_unless_seen():
            model = AutoModelForImageTextToText.from_pretrained(
                str(folder), trust_remote_code=False, use_safetensors=True, local_files_only=True, **options
            )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{name} cannot be loaded ({type(error).__name__}: {reason}); download the model again."
        ) from error
    _check_tokenizer(str(name), model.config, processor)
    if not load_in_4bit:
        model = model.to(where)  # type: ignore[arg-type]  # its stub lacks the device
    return LocalTalker(model, processor, str(name), hub.weights_digest(folder))


def _ends_alone(saved: Any) -> Any:
    """Of a model's saved settings only the ends of an answer: a penalty on repeated tokens would change digits.

    ``generate`` takes from a model's settings whatever its own leave open.
    """
    from transformers import GenerationConfig

    return GenerationConfig(
        eos_token_id=saved.eos_token_id, pad_token_id=saved.pad_token_id, bos_token_id=saved.bos_token_id
    )


@contextmanager
def _silent_unless_seen() -> Iterator[None]:
    """transformers draws its bar of loaded weights also where stderr is a file."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    if not sys.stderr.isatty():
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _check_tokenizer(name: str, config: Any, processor: Any) -> None:
    """transformers makes an empty tokenizer where there is none: it must write digits, and know the mark of a video."""
    tokenizer = processor.tokenizer
    can_write = PROOF_TEXT in tokenizer.decode(tokenizer.encode(PROOF_TEXT, add_special_tokens=False))
    shown_videos = type(processor).__name__ in SHOWN_VIDEOS
    known = shown_videos and tokenizer.convert_tokens_to_ids(processor.video_token) == config.video_token_id
    if not can_write or (shown_videos and not known):
        raise CheckpointError(
            f"the tokenizer of {name} does not fit its model: tokenizer files are missing or another model's; download "
            "the model again."
        )


def _four_bits(where: torch.device, dtype: torch.dtype | None) -> dict[str, Any]:
    """Loading options for NF4 weights."""
    from importlib.util import find_spec

    from transformers import BitsAndBytesConfig

    if where.type != "cuda":
        raise InputError(
            f"4-bit weights need an NVIDIA GPU, the device is {where.type}; leave out load_in_4bit."
        )
    if find_spec("bitsandbytes") is None:
        raise DependencyError(
            "4-bit weights need the package bitsandbytes: pip install bitsandbytes, or leave out load_in_4bit."
        )
    compute = dtype or torch.bfloat16
    settings = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
    )
    return {"quantization_config": settings, "device_map": {"": where}, "dtype": compute}


@dataclass
class _Prefix:
    """The video's share of every prompt, already run through the model.

    ids        (1, P)
    positions  (3, 1, P) rotary positions, None where the model counts itself
    """

    ids: Tensor
    positions: Tensor | None
    cache: Any

    def copy_of_cache(self) -> Any:
        """A cache to continue from; plain layers share their tensors, which they never write to."""
        from transformers.cache_utils import DynamicLayer

        mine = copy.copy(self.cache)
        if not hasattr(mine, "layers"):
            return copy.deepcopy(self.cache)
        mine.layers = [
            copy.copy(layer) if type(layer) is DynamicLayer else copy.deepcopy(layer)
            for layer in self.cache.layers
        ]
        return mine


class LocalTalk:
    """Questions about one video. ``frames`` are kept until the prefix is computed."""

    def __init__(self, talker: LocalTalker, frames: Frames) -> None:
        self.talker, self.frames = talker, frames
        self.prefix: _Prefix | None = None
        self.whole = False  # True: this model's prompts cannot be split, each is run whole

    def replies(self, asks: Sequence[Ask]) -> list[Reply]:
        return [self._reply(replace(ask, text=self._words(ask.text))) for ask in asks]

    @torch.inference_mode()
    def likelihoods(self, question: str, answers: Sequence[str]) -> list[float]:
        """Log-probability of each answer behind the question."""
        question = self._words(question)
        tokenizer = self.talker.processor.tokenizer
        ids = [tokenizer.encode(answer, add_special_tokens=False) for answer in answers]
        if all(len(own) == 1 for own in ids):
            last = self._logits(question, [])[-1].log_softmax(-1)
            return [float(last[own[0]]) for own in ids]
        found = []
        for own in ids:
            logits = self._logits(question, own).log_softmax(-1)
            found.append(sum(float(row[token]) for row, token in zip(logits, own, strict=False)))
        return found

    def _logits(self, question: str, answer: list[int]) -> Tensor:
        """(A + 1, V) float32: what follows the question, and each token of the answer."""
        given = _longer(self._given(question), answer)
        cached = 0 if self.prefix is None else self.prefix.ids.shape[1]
        if cached:
            given["input_ids"] = given["input_ids"][:, cached:]
            del given["attention_mask"]  # nothing is padded, and some models count positions from its length
            if "position_ids" in given:
                given["position_ids"] = given["position_ids"][..., cached:]
        logits = self.talker.model(**given, use_cache=bool(cached), logits_to_keep=len(answer) + 1).logits
        return logits[0, -len(answer) - 1 :].float()

    @torch.inference_mode()
    def _reply(self, ask: Ask) -> Reply:
        from transformers import GenerationConfig, LogitsProcessorList

        given = self._given(ask.text)
        sampled = {"temperature": TEMPERATURE, "top_k": 0} if ask.seed is not None else {}
        settings = GenerationConfig(
            max_new_tokens=ask.max_new_tokens, do_sample=ask.seed is not None, **sampled
        )
        listener = _Listener()
        with torch.random.fork_rng():
            torch.manual_seed(ask.seed or 0)
            ids = self.talker.model.generate(
                **given, generation_config=settings, logits_processor=LogitsProcessorList([listener])
            )
        own = ids[0, given["input_ids"].shape[1] :].tolist()
        return self._spelled(own, listener.logprobs(own))

    def _spelled(self, ids: list[int], logprobs: list[float]) -> Reply:
        """The text, and which of its characters each token wrote."""

        def text(count: int) -> str:
            return str(self.talker.processor.tokenizer.decode(ids[:count], skip_special_tokens=True))

        ends = [len(text(count)) for count in range(len(ids) + 1)]
        pairs = zip(ends, ends[1:], logprobs, strict=False)
        return Reply(text(len(ids)), tuple(Chance(start, end, chance) for start, end, chance in pairs))

    def _given(self, question: str) -> dict[str, Any]:
        """What ``generate`` is given: the whole prompt, or its ids and the cache of the video's share."""
        if self.prefix is None and not self.whole:
            inputs = self._inputs(question)
            self._split(inputs, question)
            if self.prefix is not None and self.talker.feed.clock == "pictures":
                self._prove(inputs, question)
            if self.whole:
                return inputs
        if self.prefix is None:
            return self._inputs(question)
        device = self.prefix.ids.device
        rest = torch.tensor([self._rest(question)], device=device)
        ids = torch.cat([self.prefix.ids, rest], dim=1)
        given: dict[str, Any] = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            **with_cache(self.talker.model, self.prefix.copy_of_cache()),
        }
        if self.prefix.positions is not None:
            after = torch.arange(rest.shape[1], device=device) + int(self.prefix.positions.max()) + 1
            positions = torch.cat([self.prefix.positions, after.expand(3, 1, -1)], dim=-1)
            given["position_ids"] = _with_text_row(positions)
        return given

    def _inputs(self, question: str) -> dict[str, Any]:
        model, feed = self.talker.model, self.talker.feed
        inputs: Inputs = feed.inputs(self.frames, question)
        self._check_length(inputs["input_ids"].shape[1])
        positions = feed.positions(model, inputs, self.frames)
        given: dict[str, Any] = {
            name: value.to(model.device, model.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        if positions is not None:
            given["position_ids"] = _with_text_row(positions.to(model.device))
        return given

    def _words(self, text: str) -> str:
        """A text in which the user's words cannot act as a mark of the prompt: end a turn, or become a picture."""
        return settled(text, marks_of(self.talker.processor.tokenizer))

    def _check_length(self, length: int) -> None:
        config = self.talker.model.config.get_text_config()
        most = getattr(config, "max_position_embeddings", None)
        if most is not None and length > most:
            raise InputError(
                f"the {len(self.frames)} frames make a prompt of {length} tokens, {self.talker.name} takes {most}: "
                "lower max_frames or total_pixels, or open a part of the video."
            )

    def _split(self, inputs: dict[str, Any], question: str) -> None:
        """Run the video's share of a prompt, if the rest is what the tokenizer alone makes of the text behind it."""
        ids = inputs["input_ids"]
        length = ids.shape[1]
        rest = self._rest(question)
        cut = length - len(rest)
        others = {
            name for name, value in inputs.items() if value.ndim == 2 and value.shape[1] == length
        } - _PER_TOKEN
        if not rest or cut <= 0 or ids[0, cut:].tolist() != rest or others:
            self.whole = True
            return
        short = {
            name: value[..., :cut] if name in _PER_TOKEN or name == "position_ids" else value
            for name, value in inputs.items()
        }
        cache = cache_of(self.talker.model(**short, use_cache=True, logits_to_keep=1))
        positions = inputs["position_ids"][1:, :, :cut] if "position_ids" in inputs else None
        self.prefix = _Prefix(ids[:, :cut], positions, cache)

    def _prove(self, inputs: dict[str, Any], question: str) -> None:
        """An untested family may not support reuse of a prefix: its prompts then run whole."""
        whole = self.talker.model(**inputs, logits_to_keep=1).logits[0, -1].float().log_softmax(-1)
        short = self._logits(question, [])[-1].log_softmax(-1)
        best = int(whole.argmax())
        if not abs(float(whole[best] - short[best])) < PROOF_TOLERANCE:
            self.prefix, self.whole = None, True

    def _rest(self, question: str) -> list[int]:
        """Ids of the prompt's text behind the last picture; empty where no token marks its place."""
        feed = self.talker.feed
        if feed.placeholder is None:
            return []
        _, found, rest = feed.prompt(self.frames, question).rpartition(feed.placeholder)
        return list(self.talker.processor.tokenizer.encode(rest, add_special_tokens=False)) if found else []


class _Listener:
    """Notes the log-probability of each generated token; holds one row of the vocabulary at a time."""

    def __init__(self) -> None:
        self.row: Tensor | None = None
        self.noted: list[float] = []

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        if self.row is not None:
            self.noted.append(float(self.row[ids[0, -1]]))
        self.row = scores[0].float().log_softmax(-1)
        return scores

    def logprobs(self, ids: Sequence[int]) -> list[float]:
        """Of the tokens that were chosen; the last one is only known at the end."""
        return [*self.noted, *([] if self.row is None else [float(self.row[ids[-1]])])]


def _with_text_row(positions: Tensor) -> Tensor:
    """(3, 1, L) -> (4, 1, L): Qwen's models take the place in the text as one more row."""
    return torch.cat([torch.arange(positions.shape[-1], device=positions.device)[None, None], positions])


def _longer(given: dict[str, Any], ids: list[int]) -> dict[str, Any]:
    """The same prompt with tokens behind it."""
    if not ids:
        return given
    longer = dict(given)
    added = torch.tensor([ids], device=given["input_ids"].device)
    longer["input_ids"] = torch.cat([given["input_ids"], added], dim=1)
    longer["attention_mask"] = torch.cat([given["attention_mask"], torch.ones_like(added)], dim=1)
    if "mm_token_type_ids" in given:
        longer["mm_token_type_ids"] = torch.cat([given["mm_token_type_ids"], torch.zeros_like(added)], dim=1)
    if "position_ids" in given:
        step = torch.arange(1, len(ids) + 1, device=added.device)
        last = given["position_ids"][..., -1:]
        longer["position_ids"] = torch.cat([given["position_ids"], last + step], dim=-1)
    return longer
