"""A chat model behind an OpenAI-compatible server (vLLM, SGLang, llama.cpp): frames as JPEG, each behind its time.

>>> expert = videoexpert.load("http://localhost:8000/v1#Qwen/Qwen3-VL-8B-Instruct")
"""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import BoundedSemaphore
from typing import Any

from ...errors import InputError, ServerError
from ...http_client import ChatReply, ChatServer, Refused, TokenChance, chat, list_models
from ...marks import said_elsewhere
from ...types import Frames
from .frames import Budget, Size, times_of, within
from .local import TEMPERATURE
from .prompts import preface, stamp
from .talk import Ask, Reply, chances_of

JPEG_QUALITY = 90
KEY_VARIABLE = "VIDEOEXPERT_API_KEY"  # read where it is set; a server at home wants none
LIKELIEST = 20  # alternatives asked for at the letter's place; the most that servers give
TIMEOUT_S = 600.0  # a long video on a busy server


class EndpointTalker:
    """A model that a server runs. At most ``workers`` requests are under way at once, over all videos and questions."""

    multiple = 1
    budget = Budget(fps=1.0, max_frames=64, frame_pixels=448 * 448, total_pixels=64 * 448 * 448)

    def __init__(self, server: ChatServer, workers: int = 8) -> None:
        if workers < 1:
            raise InputError(f"workers is {workers}, expected at least 1 request at a time.")
        self.server, self.name, self.workers = server, server.model, workers
        self.videos_at_once = workers  # a video may have one question only
        self.gives_logprobs = True  # until the server refuses them
        self._free = BoundedSemaphore(workers)

    def size_for(self, budget: Budget) -> Callable[[int], Size]:
        return lambda count: within(budget.pixels(count))

    def look(self, frames: Frames) -> EndpointTalk:
        return EndpointTalk(self, frames)

    def describe(self) -> dict[str, Any]:
        """The model and how frames are sent; not the server's address, so that a run can resume at another one."""
        return {
            "model": self.name,
            "server": "openai-compatible",
            "clock": "pictures",
            "jpeg_quality": JPEG_QUALITY,
        }

    def ask(self, messages: Sequence[dict[str, Any]], **options: Any) -> ChatReply:
        """One request. Raises ServerError where the server gives no answer, InputError for a wrong key or address."""
        with self._free:
            return self._ask(messages, **options)

    def _ask(self, messages: Sequence[dict[str, Any]], **options: Any) -> ChatReply:
        wanted = {"logprobs": True, **options} if self.gives_logprobs else options
        try:
            return chat(self.server, messages, **wanted)
        except Refused as refusal:
            if "logprobs" not in wanted or not str(refusal).startswith(("HTTP 400", "HTTP 422", "HTTP 501")):
                raise self._error(refusal) from refusal
        # some servers refuse only log-probabilities; repeating the request without them shows if that was it
        plain = {name: value for name, value in options.items() if name != "top_logprobs"}
        try:
            reply = chat(self.server, messages, **plain)
        except Refused as refusal:
            raise self._error(refusal) from refusal
        self.gives_logprobs = False
        return reply

    def _error(self, refusal: Refused) -> ServerError:
        return ServerError(
            f"{self.name} at {self.server.base_url} gave no answer: {refusal}; check that the server runs, takes "
            "pictures and has room for the prompt (fewer max_frames or frame_pixels need less)."
        )


class EndpointTalk:
    """Questions about one video; its frames are encoded once and sent with each question."""

    def __init__(self, talker: EndpointTalker, frames: Frames) -> None:
        self.talker = talker
        self.shown = _shown(frames)

    def replies(self, asks: Sequence[Ask]) -> list[Reply]:
        with ThreadPoolExecutor(max_workers=self.talker.workers) as pool:
            coming = [pool.submit(self._reply, ask) for ask in asks]
            try:
                return [future.result() for future in coming]
            except BaseException:  # an interrupt too: what waits is not sent
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def likelihoods(self, question: str, answers: Sequence[str]) -> list[float] | None:
        """From the likeliest first tokens; an answer that is not among them gets the least of theirs."""
        if not self.talker.gives_logprobs:
            return None
        reply = self.talker.ask(self._messages(question), max_tokens=1, temperature=0, top_logprobs=LIKELIEST)
        if not reply.tokens:
            return None
        first = reply.tokens[0]
        known = _by_text(first)
        if not any(answer in known for answer in answers):
            return None
        least = min(known.values())
        return [known.get(answer, least) for answer in answers]

    def _reply(self, ask: Ask) -> Reply:
        options: dict[str, Any] = {"max_tokens": ask.max_new_tokens, "temperature": 0}
        if ask.seed is not None:
            options |= {"temperature": TEMPERATURE, "seed": ask.seed}
        reply = self.talker.ask(self._messages(ask.text), **options)
        pieces = [(token.text, token.logprob) for token in reply.tokens]
        # a server may spell its tokens otherwise than its text (special tokens, bytes): then nothing fits
        matching = "".join(text for text, _ in pieces).startswith(reply.text) and bool(pieces)
        return Reply(reply.text, chances_of(pieces) if matching else ())

    def _messages(self, question: str) -> list[dict[str, Any]]:
        return [
            {"role": "user", "content": [*self.shown, {"type": "text", "text": said_elsewhere(question)}]}
        ]


def _shown(frames: Frames) -> list[dict[str, Any]]:
    """The content that precedes every question."""
    content: list[dict[str, Any]] = [{"type": "text", "text": preface(len(frames), frames.duration_s)}]
    for time, pixels in zip(times_of(frames), frames.pixels, strict=True):
        content.append({"type": "text", "text": stamp(time)})
        content.append({"type": "image_url", "image_url": {"url": _jpeg(pixels)}})
    return content


def _jpeg(pixels: Any) -> str:
    """(3, h, w) uint8 -> a data URL."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy()).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _by_text(token: TokenChance) -> dict[str, float]:
    """Log-probability of each text at a token's place; spellings that differ in blanks alone count together."""
    known: dict[str, float] = {}
    for text, logprob in {token.text: token.logprob, **token.likeliest}.items():
        plain, before = text.strip(), known.get(text.strip(), -math.inf)
        known[plain] = max(before, logprob) + math.log1p(math.exp(-abs(before - logprob)))
    return known


def parse_address(address: str) -> tuple[str, str | None]:
    """``http://HOST:PORT/v1#NAME`` -> (base URL, name of the model or None)."""
    base, _, name = address.partition("#")
    return base.rstrip("/"), name or None


def connect(
    address: str,
    *,
    key_variable: str | None = None,
    workers: int = 8,
    attempts: int = 5,
    timeout_s: float = TIMEOUT_S,
) -> EndpointTalker:
    """The model of an address; one without ``#NAME`` is the server's only model.

    Raises InputError for an address that is none, a key variable that is not set, or a server of several models,
    ServerError for one that does not answer.
    """
    base, name = parse_address(address)
    key = key_variable or (KEY_VARIABLE if os.environ.get(KEY_VARIABLE) else None)
    options: dict[str, Any] = {"key_variable": key, "attempts": attempts, "timeout_s": timeout_s}
    if name is None:
        name = _only_model(ChatServer(base, "", **options))
    return EndpointTalker(ChatServer(base, name, **options), workers)


def _only_model(server: ChatServer) -> str:
    try:
        names = list_models(server)
    except Refused as refusal:
        raise ServerError(
            f"{server.base_url} does not say which models it has ({refusal}); check that the server runs, or add "
            "#NAME to the address."
        ) from refusal
    if len(names) != 1:
        raise InputError(
            f"{server.base_url} has {len(names)} models ({', '.join(names[:5]) or 'none'}); add #NAME to the address."
        )
    return names[0]
