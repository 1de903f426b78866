"""Fixtures every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# a busy machine is no failure
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["training_world"]

ROOT = Path(__file__).resolve().parent.parent


def shared_folder() -> Path | None:
    """The shared reference data: $VIDEOEXPERT_SHARED or `shared` beside the checkout; None where absent."""
    folder = Path(os.environ.get("VIDEOEXPERT_SHARED", ROOT.parent / "shared"))
    return folder if folder.is_dir() else None


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the shared reference data; the test is skipped where it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("shared reference data not found: set VIDEOEXPERT_SHARED or place it beside the checkout")
    return folder
