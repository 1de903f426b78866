"""One chat request to an OpenAI-compatible endpoint, with retries; standard library only."""

from __future__ import annotations

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ...errors import InputError

#: Longest wait before another attempt, seconds, whatever the server asks for.
LONGEST_WAIT_S = 60.0


class Refused(Exception):
    """The endpoint gave no answer to this request; the message says why."""


@dataclass(frozen=True)
class Endpoint:
    """Where and how to ask.

    base_url     up to and without ``/chat/completions``, for instance ``https://api.openai.com/v1``
    key_variable environment variable that holds the key; None for a server that wants none
    attempts     for one item, in all: busy or failing server, and replies without a score
    backoff_s    wait after the first failure; doubled after each further one
    price_in, price_out   per million tokens, in any currency
    """

    base_url: str
    model: str
    key_variable: str | None = "OPENAI_API_KEY"
    attempts: int = 5
    timeout_s: float = 60.0
    backoff_s: float = 1.0
    price_in: float | None = None
    price_out: float | None = None

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise InputError(
                f"the judge's base URL must start with http:// or https://, got {self.base_url!r}"
            )
        if self.attempts < 1:
            raise InputError(f"the judge needs at least one attempt an item, got {self.attempts}")
        if self.key_variable is not None and not os.environ.get(self.key_variable):
            raise InputError(
                f"the environment variable {self.key_variable} with the judge's key is not set: "
                "set it, or name another one, or none for a server without keys"
            )


@dataclass(frozen=True)
class ChatReply:
    """Text of the first choice, tokens as the server counts them (0 where it does not), attempts it took."""

    text: str
    tokens_in: int
    tokens_out: int
    attempts: int = 1


def ask(endpoint: Endpoint, messages: Sequence[dict[str, str]], attempts: int) -> ChatReply:
    """Send one request at temperature 0, up to ``attempts`` times, and return the reply.

    A busy (429) or failing (5xx) server, a lost connection and a reply that is no chat completion are tried
    again. Raises Refused when no attempt is left or the request itself is refused, and InputError where every
    request would be: wrong key (401, 403) or wrong address (404).
    """
    problem = ""
    wait = endpoint.backoff_s
    for attempt in range(attempts):
        if attempt:
            time.sleep(min(wait, LONGEST_WAIT_S))
            wait *= 2
        try:
            return replace(_once(endpoint, messages), attempts=attempt + 1)
        except urllib.error.HTTPError as error:
            with error:
                problem = f"HTTP {error.code} {error.reason}"
                wait = max(wait, _retry_after_s(error))
            if error.code in (401, 403, 404):
                raise InputError(
                    f"the judge at {endpoint.base_url} answers {problem}: check the base URL, the key in "
                    f"{endpoint.key_variable} and the model name {endpoint.model!r}"
                ) from error
            if error.code != 429 and error.code < 500:
                raise Refused(problem) from error
        except (OSError, http.client.HTTPException) as error:
            problem = f"no connection ({error})"
        except (ValueError, KeyError, IndexError, TypeError) as error:
            problem = f"a reply that is no chat completion ({type(error).__name__}: {error})"
    raise Refused(f"{problem}, in the last of {endpoint.attempts} attempts")


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another server; it is reported as the error it is."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect)


def _once(endpoint: Endpoint, messages: Sequence[dict[str, str]]) -> ChatReply:
    headers = {"Content-Type": "application/json"}
    if endpoint.key_variable is not None:
        headers["Authorization"] = f"Bearer {os.environ[endpoint.key_variable]}"
    body = {"model": endpoint.model, "messages": list(messages), "temperature": 0}
    request = urllib.request.Request(
        f"{endpoint.base_url.rstrip('/')}/chat/completions", json.dumps(body).encode(), headers
    )
    with _OPENER.open(request, timeout=endpoint.timeout_s) as response:
        content = json.loads(response.read())
    usage = content.get("usage") or {}
    text = content["choices"][0]["message"]["content"]
    return ChatReply(
        str(text or ""), int(usage.get("prompt_tokens") or 0), int(usage.get("completion_tokens") or 0)
    )


def _retry_after_s(error: urllib.error.HTTPError) -> float:
    """Seconds the server asks to wait; 0 where it does not, or gives a date."""
    try:
        return float(error.headers.get("Retry-After", 0))
    except ValueError:
        return 0.0
