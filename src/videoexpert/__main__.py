"""``python -m videoexpert`` is ``videoexpert``."""

from __future__ import annotations

from .apps.cli import entry

if __name__ == "__main__":
    raise SystemExit(entry())
