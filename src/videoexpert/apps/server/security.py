"""Who may talk to the server: names, origins, the token. Pure ASGI, so that streams pass through untouched."""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse

from .settings import ServerSettings

COOKIE = "videoexpert_token"
# open to anyone who reaches the port: a load balancer has no token
PUBLIC = frozenset({"/healthz"})
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Refuses foreign hosts, foreign origins and missing tokens; adds the security headers to every response."""

    def __init__(self, app: Any, settings: ServerSettings) -> None:
        self.app, self.settings = app, settings

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers) or self._login(scope)

        async def add_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                found = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    found.setdefault(name, value)
                if scope["path"].startswith("/v1/"):
                    found.setdefault("Cache-Control", "no-store")
            await send(message)

        await (answer or self.app)(scope, receive, add_headers)

    def _refusal(self, scope: Any, headers: Headers) -> JSONResponse | None:
        host = headers.get("host", "")
        # a page of another site whose name was made to point here (DNS rebinding) still sends its own name
        if _name_of(host) not in self.settings.names:
            return _error(
                421, f"this server is not {host[:100]!r}; start it with --allow-host for that name."
            )
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return _error(403, "requests from pages of other sites are refused.")
        if headers.get("sec-fetch-site") == "cross-site" and scope["path"] != "/":
            return _error(403, "requests from pages of other sites are refused.")
        if scope["path"] in PUBLIC or self.settings.token is None or self._has_token(scope, headers):
            return None
        return _error(
            401, "a token is needed: open the address that the server printed, or send it as Bearer token."
        )

    def _has_token(self, scope: Any, headers: Headers) -> bool:
        shown = [headers.get("authorization", "").removeprefix("Bearer ").strip(), _cookie(headers)]
        if scope["path"] == "/":
            shown += parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        wanted = (self.settings.token or "").encode()
        return any([secrets.compare_digest(one.encode("utf-8", "replace"), wanted) for one in shown])

    def _login(self, scope: Any) -> RedirectResponse | None:
        """``/?token=...`` becomes a cookie: ``<video>`` and event streams cannot send headers."""
        if scope["path"] != "/" or self.settings.token is None or b"token=" not in scope["query_string"]:
            return None
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(COOKIE, self.settings.token, httponly=True, samesite="strict", path="/")
        return answer


def _name_of(host: str) -> str:
    """A Host header without its port, lower case."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.rpartition(":")[0] if ":" in host else host


def _cookie(headers: Headers) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


def _error(status: int, sentence: str) -> JSONResponse:
    return JSONResponse({"error": sentence}, status_code=status)
