"""What notebooks show of an answer, and answers as plain values: the display that ``types`` asks for."""

from __future__ import annotations

from typing import Any

from .export import answers_json, tables


def plain(shown: Any) -> dict[str, Any]:
    """The keys and values of docs/cli.md."""
    return answers_json.plain(shown)


def rows(shown: Any) -> list[dict[str, Any]]:
    """One flat row a moment, clip or caption."""
    return tables.rows(shown)
