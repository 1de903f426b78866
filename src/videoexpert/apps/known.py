"""What goes with every answer: whether the model knows such videos, and whether its scores were fitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..backends.base import Backend, OpenVideo


def known(backend: Backend, video: OpenVideo) -> dict[str, Any]:
    """``familiarity`` and ``calibrated`` of ``Answers``, None of a backend that does not say.

    Ask after the video has answered: a cascade knows then which windows it was shown.
    """
    return {
        "familiarity": getattr(video, "familiarity", None),
        "calibrated": getattr(backend, "calibrated", None),
    }


__all__ = ["known"]
