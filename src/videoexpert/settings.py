"""What a user has chosen for good: the default model. Kept in one small file of the user's configuration folder."""

from __future__ import annotations

import os
from pathlib import Path

from . import files
from .errors import DataError

MODEL_VARIABLE = "VIDEOEXPERT_MODEL"
SHIPPED = "shipped"  # the model in the package, by name


def config_folder() -> Path:
    """``$XDG_CONFIG_HOME/videoexpert``, by default ``~/.config/videoexpert``; it may not exist."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "videoexpert"


def settings_file() -> Path:
    """Where the default model is written down."""
    return config_folder() / "settings.json"


def default_model() -> str | None:
    """$VIDEOEXPERT_MODEL, else what `videoexpert models use` chose; None: the model in the package.

    Raises DataError for a settings file that cannot be read.
    """
    name = os.environ.get(MODEL_VARIABLE, "").strip()
    if not name and settings_file().is_file():
        stored = files.load_json(settings_file())
        chosen = stored.get("model", "") if isinstance(stored, dict) else None
        if not isinstance(chosen, str):
            raise DataError(
                f"{settings_file()} does not name a model; run `videoexpert models use NAME` again."
            )
        name = chosen.strip()
    return None if name in ("", SHIPPED) else name


def use_model(name: str) -> Path:
    """Make a model the default from now on; ``shipped`` is the one in the package. Returns the file written.

    A folder is kept by its absolute path: commands run elsewhere find it too.
    """
    file = settings_file()
    files.make_folder(file.parent)
    files.write_json(file, {"model": whole_name(name)})
    return file


def whole_name(name: str) -> str:
    """A model's name that means the same in any working folder; also behind a prefix such as ``contrastive:``."""
    kind, colon, rest = name.rpartition(":")
    folder = Path(rest).expanduser()
    is_folder = name != SHIPPED and bool(rest) and folder.is_dir()
    return f"{kind}{colon}{folder.resolve()}" if is_folder else name
