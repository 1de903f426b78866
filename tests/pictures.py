"""Pictures that commands draw."""

from __future__ import annotations

from pathlib import Path

from PIL import Image


def size_of(picture: Path) -> tuple[int, int]:
    """(width, height); the file is closed again."""
    with Image.open(picture) as image:
        return image.size
