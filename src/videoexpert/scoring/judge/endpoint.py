"""The judge's chat server: where it is, and what it costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ...http_client import ChatReply, ChatServer, Refused, chat


@dataclass(frozen=True)
class Endpoint(ChatServer):
    """A chat server that judges; ``attempts`` are for one item in all, replies without a score included.

    price_in, price_out   per million tokens, in any currency
    """

    key_variable: str | None = "OPENAI_API_KEY"
    role: str = field(default="the judge", repr=False)
    price_in: float | None = None
    price_out: float | None = None


def ask(endpoint: Endpoint, messages: Sequence[dict[str, str]], attempts: int) -> ChatReply:
    """One request at temperature 0, up to ``attempts`` times. Raises what ``http_client.chat`` raises."""
    return chat(endpoint, messages, attempts, temperature=0)


__all__ = ["ChatReply", "Endpoint", "Refused", "ask"]
