"""A tiny video, and every figure that is saved."""

from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from videoexpert.testing import tiny_video


@pytest.fixture(scope="session")
def video(tmp_path_factory) -> Path:
    return tiny_video(tmp_path_factory.mktemp("videos") / "a.mp4", 8.0)


@pytest.fixture
def drawn(monkeypatch) -> list[Figure]:
    """Every figure that is saved."""
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **k: figures.append(self) or save(self, *a, **k))
    return figures
