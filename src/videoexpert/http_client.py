"""Requests to OpenAI-compatible chat servers, with retries: what the judge and the endpoint backend share.

Redirects are not followed: one would carry the key to another server.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .files import loads
from .limits import limits, variable

if TYPE_CHECKING:
    import httpx2

LONGEST_WAIT_S = 60.0  # before another attempt, even if the server asks for more


class Refused(Exception):
    """The server gave no answer to this request; the message says why."""


@dataclass(frozen=True)
class ChatServer:
    """Where and how to ask.

    base_url     up to and without ``/chat/completions``, for instance ``https://api.openai.com/v1``
    key_variable environment variable that holds the key; None for a server that wants none
    attempts     for one request, in all
    timeout_s    longest silence of the server
    backoff_s    wait after the first failure; doubled after each further one
    role         what errors call it

    Raises InputError for an address that is none, less than one attempt, or a key variable that is not set.
    """

    base_url: str
    model: str
    key_variable: str | None = None
    attempts: int = 5
    timeout_s: float = 60.0
    backoff_s: float = 1.0
    role: str = field(default="the server", repr=False)

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise InputError(
                f"{self.role}'s base URL must start with http:// or https://, got {self.base_url!r}."
            )
        if self.attempts < 1:
            raise InputError(f"{self.role} needs at least one attempt a request, got {self.attempts}.")
        if self.key_variable is not None and not os.environ.get(self.key_variable):
            raise InputError(
                f"the environment variable {self.key_variable} with {self.role}'s key is not set: "
                "set it, or name another one, or none for a server without keys."
            )


@dataclass(frozen=True)
class TokenChance:
    """One generated token: its text, its log-probability, and those of the likeliest tokens at its place."""

    text: str
    logprob: float
    likeliest: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class ChatReply:
    """Text of the first choice, tokens as the server counts them (0 where it does not), attempts it took.

    ``tokens`` is empty where the server gives no log-probabilities.
    """

    text: str
    tokens_in: int
    tokens_out: int
    attempts: int = 1
    tokens: tuple[TokenChance, ...] = ()


def chat(
    server: ChatServer,
    messages: Sequence[Mapping[str, Any]],
    attempts: int | None = None,
    **options: Any,
) -> ChatReply:
    """Send one chat request, up to ``attempts`` times, and return the reply; ``options`` go into its body.

    A busy (429) or failing (5xx) server, a lost connection and a reply that is not a chat completion are tried
    again. Raises Refused when no attempt is left or the request itself is refused, and InputError where every
    request would be: wrong key (401, 403) or wrong address (404).
    """
    body = {"model": server.model, "messages": list(messages), **options}
    problem = ""
    wait = server.backoff_s
    for attempt in range(server.attempts if attempts is None else attempts):
        if attempt:
            time.sleep(min(wait, LONGEST_WAIT_S))
            wait *= 2
        status, content, wait_s = _send(server, "POST", "chat/completions", body)
        if status == 200:
            try:
                return replace(_completion(content), attempts=attempt + 1)
            except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError) as error:
                problem = f"a reply that is not a chat completion ({type(error).__name__}: {error})"
                continue
        problem = content if status is None else f"HTTP {status}{_reason(content)}"
        wait = max(wait, wait_s)
        if status in (401, 403, 404):
            raise InputError(
                f"{server.role} at {server.base_url} answers {problem}: check the base URL, the key in "
                f"{server.key_variable} and the model name {server.model!r}."
            )
        if status is not None and status != 429 and status < 500:
            raise Refused(problem)
    raise Refused(f"{problem}, in the last of {server.attempts} attempts")


def list_models(server: ChatServer) -> list[str]:
    """Names of the models that the server offers. Raises Refused where it does not say."""
    status, content, _ = _send(server, "GET", "models", None)
    if status != 200:
        raise Refused(content if status is None else f"HTTP {status}{_reason(content)}")
    try:
        return [str(model["id"]) for model in loads(content)["data"]]
    except (ValueError, KeyError, TypeError) as error:
        raise Refused(f"a reply that is not a list of models ({type(error).__name__}: {error})") from error


def _send(
    server: ChatServer, method: str, path: str, body: Mapping[str, Any] | None
) -> tuple[int | None, str, float]:
    """(status, text, seconds the server asks to wait); status None: no connection, and the text says why."""
    import httpx2

    headers = {"Content-Type": "application/json"}
    if server.key_variable is not None:
        headers["Authorization"] = f"Bearer {os.environ[server.key_variable]}"
    address = f"{server.base_url.rstrip('/')}/{path}"
    content = None if body is None else json.dumps(body).encode()
    most = limits().reply_bytes
    try:
        with _client(server.timeout_s).stream(method, address, content=content, headers=headers) as response:
            parts, size = [], 0
            for part in response.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > most:
                    return (
                        None,
                        f"a reply of more than {most:,} bytes ({variable('reply_bytes')} allows more)",
                        0.0,
                    )
            text = b"".join(parts).decode("utf-8", "replace")
            return response.status_code, text, _seconds(response.headers.get("Retry-After"))
    except httpx2.TimeoutException:
        return None, f"no answer within {server.timeout_s:g} s", 0.0
    except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
        return None, f"no connection ({str(error) or type(error).__name__})", 0.0


@lru_cache(maxsize=8)
def _client(timeout_s: float) -> httpx2.Client:
    """One pool of connections for all threads."""
    import httpx2

    return httpx2.Client(timeout=timeout_s, follow_redirects=False)


def _completion(text: str) -> ChatReply:
    content = loads(text)
    usage = content.get("usage") or {}
    choice = content["choices"][0]
    said = choice["message"]["content"]
    listed = (choice.get("logprobs") or {}).get("content") or []
    tokens = tuple(
        TokenChance(
            str(token["token"]),
            float(token["logprob"]),
            {str(t["token"]): float(t["logprob"]) for t in token.get("top_logprobs") or []},
        )
        for token in listed
    )
    counts = int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    return ChatReply(str(said or ""), *counts, tokens=tokens)


def _reason(content: str) -> str:
    """What the server says of its refusal, in short; '' where it says nothing."""
    try:
        said = loads(content)
    except ValueError:
        said = "" if "<" in content else content
    for key in ("error", "message", "detail"):
        said = said.get(key, said) if isinstance(said, dict) else said
    plain = " ".join(said.split()) if isinstance(said, str) else ""
    return f" ({plain[:200]})" if plain else ""


def _seconds(value: str | None) -> float:
    """Seconds the server asks to wait; 0 where it does not, or gives a date."""
    try:
        return float(value or 0)
    except ValueError:
        return 0.0
