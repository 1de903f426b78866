"""Where the shared reference data is, also while tests are collected: they run over what a folder holds."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """$VIDEOEXPERT_SHARED or `shared` beside the checkout; None where absent."""
    folder = Path(os.environ.get("VIDEOEXPERT_SHARED", ROOT.parent / "shared"))
    return folder if folder.is_dir() else None


def stored(pattern: str) -> list[Path]:
    """Files of the shared folder that match, sorted; none where it is absent."""
    folder = shared_folder()
    return sorted(folder.glob(pattern)) if folder else []
