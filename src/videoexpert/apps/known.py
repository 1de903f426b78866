"""How every app looks at a video, and what goes with every answer."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..backends.beyond import beyond_training
from ..errors import InputError

if TYPE_CHECKING:
    from ..backends.base import Backend, OpenVideo
    from ..library.find import Library


def open_video(
    backend: Backend,
    path: str | os.PathLike[str],
    *,
    window: float | str = "auto",
    overlap: float | None = None,
    progress: Callable[[float, float], None] | None = None,
    **part: Any,
) -> OpenVideo:
    """The video, in windows where it is long and the model is one that looks at windows.

    ``progress`` is called with the seconds looked at and those of all; ``part`` are arguments of ``Backend.open``.
    Raises InputError for windows of a model that has none.
    """
    in_windows = getattr(backend, "open_long", None)
    if in_windows is None:
        if overlap is not None or window not in ("auto", "off"):
            raise InputError(f"{backend.name} looks at no windows; leave out --window and --overlap.")
        return backend.open(path, **part)
    found: OpenVideo = in_windows(path, window=window, overlap=overlap, progress=progress, **part)
    return found


def known(backend: Backend, video: OpenVideo) -> dict[str, Any]:
    """``familiarity``, ``calibrated``, ``looked_at`` and ``warnings`` of ``Answers``; unknown values are None.

    Ask after the video has answered: a cascade knows then which windows it was shown.
    """
    looked_at = getattr(video, "looked_at", None)
    return {
        "familiarity": getattr(video, "familiarity", None),
        "calibrated": getattr(backend, "calibrated", None),
        "looked_at": looked_at,
        "warnings": beyond_training(getattr(backend, "config", None), looked_at),
    }


def open_library(folder: Path, backend: Backend, rate: float = 1.0) -> Library:
    """The library in a folder, searched with this model. Raises DataError where it is none of this model's."""
    from ..backends.expert import Expert
    from ..library.encoders import encoder_of
    from ..library.find import Library

    return Library(folder, encoder_of(backend, rate), backend if isinstance(backend, Expert) else None)


def knows(library: Path, file: Path) -> bool:
    """Whether a library holds this very file."""
    from ..library.manifest import Manifest

    with closing(Manifest(library)) as manifest:
        return manifest.knows(str(file))


__all__ = ["known", "knows", "open_library", "open_video"]
