"""A short video to put chapters into."""

from __future__ import annotations

from pathlib import Path

import pytest

from videoexpert.testing import tiny_video


@pytest.fixture(scope="session")
def short_video(tmp_path_factory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("short") / "a.mp4", seconds=3.0)
