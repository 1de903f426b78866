"""What a server is started with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import InputError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class ServerSettings:
    """Limits and places of one server; sizes are bytes, times seconds.

    state       folder of the registry and of uploaded videos; survives a restart
    roots       folders whose videos may be opened; nothing outside them ever is, uploads aside
    opened      a video that the page shows first; the one file outside the roots that may be read
    library     a library to search in (docs/library.md); its videos may be opened, too
    token       what clients must show; None only on the loopback interface
    hosts       further names by which clients may reach the server (``Host`` header)

    Raises InputError for a root that is not a folder, a non-positive limit, or an open interface without a token.
    """

    state: Path
    roots: tuple[Path, ...] = ()
    opened: Path | None = None
    library: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8420
    token: str | None = field(default=None, repr=False)
    hosts: tuple[str, ...] = ()
    max_upload_bytes: int = 4 * 2**30
    max_body_bytes: int = 2**20
    # disk space that an upload never uses up
    spare_bytes: int = 512 * 2**20
    # questions that wait; one more is answered 429
    max_queue: int = 256
    # videos whose decoded tokens stay open
    max_open: int = 32
    # questions answered in one pass
    max_batch: int = 64
    # an upload that sends nothing for so long is dropped
    stall_s: float = 30.0
    # a request that is not complete so long after it began ends its connection; uploads are bounded by stall_s
    request_s: float = 30.0
    # a video that needs longer than this to be looked into is refused
    decode_s: float = 600.0

    def __post_init__(self) -> None:
        for root in self.roots:
            if not root.is_dir():
                raise InputError(f"the root {str(root)!r} is not a folder; name a folder of videos.")
        for name in (
            "max_upload_bytes",
            "max_body_bytes",
            "max_queue",
            "max_open",
            "max_batch",
            "stall_s",
            "request_s",
        ):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}, expected a positive number.")
        if not self.is_local and not self.token:
            raise InputError(
                f"the host {self.host!r} is reachable from other machines and needs a token; "
                "set VIDEOEXPERT_TOKEN, or serve on 127.0.0.1."
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK

    @property
    def names(self) -> frozenset[str]:
        """Host names that a request may carry, lower case, without port."""
        own = LOOPBACK | {"[::1]"} if self.is_local else {self.host.lower()}
        return frozenset(own | {name.lower() for name in self.hosts})

    @property
    def uploads(self) -> Path:
        """Folder of uploaded videos, which have random names."""
        return self.state / "uploads"

    @property
    def clips(self) -> Path:
        """Folder of clips cut for clients."""
        return self.state / "clips"


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(24)
