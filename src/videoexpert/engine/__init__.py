"""How questions are run: prefixes of open videos kept, many questions and many videos in one pass."""

from .engine import Engine
from .store import Opened, PrefixStore

__all__ = ["Engine", "Opened", "PrefixStore"]
