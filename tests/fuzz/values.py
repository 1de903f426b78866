"""Ways to damage a JSON value where it keeps its structure: another value, a key gone, doubled or renamed."""

from __future__ import annotations

import copy
import random
from typing import Any

HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1e9, 10**9, 1e308, -1e308, 10**400, 0.1 + 0.2, 2**63, -(2**63)),
    *(float("nan"), float("inf"), -float("inf")),
    *("", " ", "a", "\0", "\ud800", "\u202e", "../../x", "/dev/zero", "1e9", "NaN", "x" * 3000, "\U0001f600"),
    *([], {}, [[]], [None], [[0, 1]], [[1, 0]], [["a", "b"]], {"a": 1}, [[0, 1e12]], ["a"] * 200),
)


def _places(value: Any, found: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    """Every (container, key or index) of a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        found.append((value, key))
        _places(inner, found)
    return found


def damaged(value: Any, rng: random.Random) -> Any:
    """A copy with one to three changes."""
    made = [copy.deepcopy(value)]
    for _ in range(rng.choice((1, 1, 2, 3))):
        container, key = rng.choice(_places(made, []))
        kind = rng.random()
        if kind < 0.7 or container is made:
            container[key] = copy.deepcopy(rng.choice(HOSTILE))
        elif kind < 0.8:
            del container[key]
        elif isinstance(container, dict):
            container[rng.choice(("", "id", "moments", f"{key}s", str(key).upper()))] = container.pop(key)
        else:
            container.insert(key, container[key])
    return made[0]


__all__ = ["HOSTILE", "damaged"]
