"""The name under which a model of transformers takes its cache, and gives it back."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any


def with_cache(base_model: Any, cache: Any) -> dict[str, Any]:
    """The keyword and the cache: ``cache`` from transformers 5.24 on, which warns of ``past_key_values``."""
    kind: Any = type(base_model)
    return {_keyword(kind): cache}


def cache_of(output: Any) -> Any:
    """The cache that a model's output holds: under ``cache`` from transformers 5.24 on."""
    return output.cache if "cache" in output else output.past_key_values


@cache
def _keyword(kind: Any) -> str:
    known = inspect.signature(kind.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


__all__ = ["cache_of", "with_cache"]
