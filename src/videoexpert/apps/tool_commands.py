"""Commands of this group; filled by register()."""

from __future__ import annotations

import typer


def register(app: typer.Typer) -> None:
    """Add this group's verbs to the app."""
