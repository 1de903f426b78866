"""Where a model's files are: a folder, the hub's cache, or the hub. Nothing of a model is ever executed.

Only plain data is fetched and read: JSON, text, tokenizer files and safetensors. Weights that exist only as a pickle
are refused, and so are models that bring code of their own.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from . import assets
from .errors import CheckpointError, DataError
from .files import load_json

CONFIG = "config.json"
OPEN_CLIP_CONFIG = "open_clip_config.json"
WEIGHTS = "*.safetensors"
SMALL = ("*.json", "*.txt", "*.model", "*.jinja", "tokenizer*")
# The same weights once more, beside those that transformers reads.
OF_OPEN_CLIP = ("open_clip_*.safetensors",)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt")
BLOCK = 64 * 1024
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


def read_config(name: str | Path) -> dict[str, Any]:
    """The config of a model folder or hub id, without its weights.

    An open_clip model without a transformers config gives ``{"model_type": "open_clip", ...}``. Raises CheckpointError
    for a name that is neither, a model that asks to run its own code, and any failure to reach the hub.
    """
    folder = locate(name, SMALL)
    for file in (CONFIG, OPEN_CLIP_CONFIG):
        if (folder / file).is_file():
            fields = _read_json(folder / file)
            if file == OPEN_CLIP_CONFIG:
                return {**fields, "model_type": "open_clip"}
            if "model_type" not in fields and (folder / OPEN_CLIP_CONFIG).is_file():
                continue  # timm's config, of the picture tower alone
            refuse_code(name, fields)
            return fields
    raise CheckpointError(
        f"{name} is not a model folder: it has no {CONFIG}; name a folder that a model was saved in, or a hub id."
    )


def shipped() -> Path:
    """The model folder in the package; raises CheckpointError where the package carries none."""
    if not assets.SHIPPED_MODEL.is_dir():
        raise CheckpointError(
            "this installation carries no model; reinstall videoexpert, or name a model folder or hub id "
            "(--model on the command line)."
        )
    return assets.SHIPPED_MODEL


def files(name: str | Path) -> Path:
    """The folder with all files of a model, its weights complete.

    Raises CheckpointError where weights are missing, cut short, or there only as a pickle.
    """
    twice = read_config(name).get("model_type") != "open_clip"
    folder = locate(name, (*SMALL, WEIGHTS), OF_OPEN_CLIP if twice else ())
    check_weights(name, folder)
    return folder


def locate(name: str | Path, patterns: Sequence[str], without: Sequence[str] = ()) -> Path:
    """The folder of that name, or a snapshot of the hub model that holds the files of ``patterns``.

    ``without``: patterns of files that are not fetched. What is in the cache is used without a network. Raises
    CheckpointError with the reason the hub gave none.
    """
    path, text = Path(name).expanduser(), str(name)
    try:
        if path.is_dir():
            return path
        there = path.exists()
    except (OSError, ValueError):  # a name that no file can have
        there = False
    if there:
        raise CheckpointError(
            f"{name} is a file, expected a model: name the folder that holds it, or a hub id."
        )
    if not _HUB_ID.fullmatch(text):
        raise CheckpointError(
            f"{name} is neither a model folder here nor the id of a model on the hub (OWNER/NAME): check the path."
        )
    from huggingface_hub import snapshot_download

    try:
        # Unlike a single file's download, a snapshot's does not try again for half a minute without a network.
        with _bars_on_terminals_only():
            return Path(
                snapshot_download(text, allow_patterns=list(patterns), ignore_patterns=list(without) or None)
            )
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise CheckpointError(_refusal(text, error)) from error


@contextmanager
def _bars_on_terminals_only() -> Iterator[None]:
    """The hub's own bars, where somebody may look at them."""
    from huggingface_hub.utils.tqdm import (
        are_progress_bars_disabled,
        disable_progress_bars,
        enable_progress_bars,
    )

    quiet = not sys.stderr.isatty() and not are_progress_bars_disabled()
    if quiet:
        disable_progress_bars()
    try:
        yield
    finally:
        if quiet:
            enable_progress_bars()


def _refusal(name: str, error: Exception) -> str:
    """Why the hub gave nothing, in one sentence."""
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            f"{name} is a gated model: accept its terms on its page at the hub, then run `hf auth login` or set "
            "HF_TOKEN, and try again."
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"{name} is neither a model folder here nor a public model on the hub; check the name, or log in with "
            "`hf auth login` where it is private."
        )
    if isinstance(error, errors.IncompleteSnapshotError):
        return (
            f"the cached copy of {name} is incomplete and the hub cannot be reached; connect and try again, which "
            "downloads what is missing."
        )
    answered = isinstance(error.__cause__, errors.HfHubHTTPError)  # it was reached, and had no answer
    if not answered and isinstance(error, (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled)):
        return (
            f"{name} is neither a model folder here nor in the cache, and the hub cannot be reached; connect (or "
            "unset HF_HUB_OFFLINE), or copy the model here and name its folder."
        )
    reason = str(error.__cause__ if answered else error).strip() or type(error).__name__
    first = reason.splitlines()[0].rstrip(".")
    return f"the hub did not give {name} ({first}); check the name and the connection, and try again."


def cached(name: str) -> bool:
    """True where the hub's cache holds a snapshot of the model with weights; asks no network."""
    from huggingface_hub import snapshot_download

    try:
        folder = Path(snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS], local_files_only=True))
        check_weights(name, folder)
    except (OSError, ValueError, CheckpointError):
        return False
    return True


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, in the order of their names; its own subfolders are left out."""
    return sorted(file for file in folder.glob(WEIGHTS) if file.is_file())


def check_weights(name: str | Path, folder: Path) -> None:
    """Raises CheckpointError unless the folder holds whole safetensors, every shard its index names among them."""
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        table = _read_json(index).get("weight_map", {})
        shards = table.values() if isinstance(table, dict) else [table]
        wanted = sorted({str(shard) for shard in shards})
        foreign = [shard for shard in wanted if Path(shard).name != shard]
        if foreign:
            raise CheckpointError(
                f"{index} names the weight file {foreign[0][:80]!r}, expected files beside it; download {name} again."
            )
        missing = [shard for shard in wanted if not (folder / shard).is_file()]
        if missing:
            raise CheckpointError(
                f"{name} is half a download: {len(missing)} of {len(wanted)} weight files are missing ({missing[0]} "
                "first); download it again."
            )
    found = weight_files(folder)
    if not found:
        pickle = next((file.name for pattern in PICKLES for file in sorted(folder.glob(pattern))), None)
        if pickle is None and (folder.parent.parent / "blobs").is_dir():
            pickle = _pickle_on_hub(str(name))
        if pickle is not None:
            raise CheckpointError(
                f"{name} holds its weights as a pickle ({pickle}), which can run code and is not opened; `videoexpert "
                f"convert {name} FOLDER` writes it again as safetensors, reading numbers alone, or use another model "
                "of `videoexpert models`."
            )
        raise CheckpointError(f"{name} has no weights (*.safetensors); download or copy it again.")
    for file in found:
        _check_whole(name, file)


def _pickle_on_hub(name: str) -> str | None:
    """The pickle that a model has on the hub in place of safetensors; None where the hub does not say."""
    from huggingface_hub import list_repo_files

    try:
        there = list_repo_files(name)
    except (OSError, ValueError):
        return None
    return next((file for file in there if Path(file).suffix in {Path(p).suffix for p in PICKLES}), None)


def _check_whole(name: str | Path, file: Path) -> None:
    """A safetensors file says in its header how long it is."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="np"):
            pass
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{name} is half a download: {file.name} is cut short or damaged; download it again."
        ) from error


def weights_digest(folder: Path) -> str:
    """16 hexadecimal digits that identify these weights: of each file's name, size, and three blocks.

    Reads the same little of any file, so that an index of a large model is opened without reading it.
    """
    found = hashlib.sha256()
    for file in weight_files(folder):
        size = file.stat().st_size
        found.update(f"{file.name}:{size}:".encode())
        with file.open("rb") as stream:
            for place in (0, max(0, (size - BLOCK) // 2), max(0, size - BLOCK)):
                stream.seek(place)
                found.update(stream.read(BLOCK))
    return found.hexdigest()[:16]


def refuse_code(name: str | Path, fields: dict[str, Any]) -> None:
    """Raises CheckpointError for a model whose type only its own code knows.

    ``auto_map`` beside a known type is not needed and not used.
    """
    if "auto_map" not in fields:
        return
    from transformers import CONFIG_MAPPING

    if fields.get("model_type") not in CONFIG_MAPPING and fields.get("model_type") != "videoexpert":
        raise CheckpointError(
            f"{name} asks to run code of its own, which videoexpert never does; use a model that transformers knows "
            "(`videoexpert models` lists some)."
        )


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = load_json(file)
    except DataError as error:
        raise CheckpointError(f"{str(error).rstrip('.')}; download the model again.") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{file} holds no JSON object; download the model again.")
    return value
