"""Fixtures every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from shared_data import shared_folder

# a busy machine is no failure
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

pytest_plugins = ["training_world"]


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the shared reference data; the test is skipped where it is absent."""
    folder = shared_folder()
    if folder is None:
        pytest.skip("shared reference data not found: set VIDEOEXPERT_SHARED or place it beside the checkout")
    return folder


@pytest.fixture(autouse=True)
def _no_settings_of_the_user(monkeypatch, tmp_path_factory):
    """What whoever runs the tests has chosen as default model is theirs."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.getbasetemp() / "config"))
    monkeypatch.delenv("VIDEOEXPERT_MODEL", raising=False)
