"""How the server listens: uvicorn, with bounds on how long a client may take to ask."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from .settings import ServerSettings

# Bodies of these paths are bounded where they are read: a video may take its time.
OWN_PACE = frozenset({"/v1/uploads"})
LATE = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class PromptProtocol(H11Protocol):
    """Ends a connection whose request is not complete ``request_s`` seconds after it was made, or after its first byte.

    uvicorn itself bounds only the time between two requests.
    """

    request_s: float
    _late: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # the next request has begun
            self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _watch(self) -> None:
        """Starts the clock where a request is not complete, and stops it where it is."""
        coming = self.conn.their_state is h11.IDLE or (
            self.conn.their_state is h11.SEND_BODY and self.scope["path"] not in OWN_PACE
        )
        if not coming or self.transport.is_closing():
            self._forget()
        elif self._late is None:
            self._late = self.loop.call_later(self.request_s, self._end)

    def _forget(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _end(self) -> None:
        if self.conn.their_state is h11.IDLE:
            self.transport.write(LATE)
        self.transport.close()


def listening(settings: ServerSettings) -> dict[str, Any]:
    """What ``uvicorn.run`` and ``uvicorn.Config`` are called with, beside the application."""
    return {
        "host": settings.host,
        "port": settings.port,
        "http": type("Protocol", (PromptProtocol,), {"request_s": settings.request_s}),
        # addresses contain queries and tokens: requests are not logged
        "access_log": False,
        "log_level": "warning",
        "server_header": False,
        "timeout_keep_alive": 20,
        "timeout_graceful_shutdown": 5,
        "limit_concurrency": 512,
        "h11_max_incomplete_event_size": 64 * 1024,
    }
