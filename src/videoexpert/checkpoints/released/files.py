"""The authors' checkpoint on disk: finding its files and reading them without running any code in them."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import CheckpointError, DataError
from ...files import load_json, read_text

EXPERTS, OTHERS, CONFIG, PROJECTOR = (
    "pytorch_model.bin",
    "non_lora_trainables.bin",
    "config.json",
    "mm_projector.bin",
)
ROTARY = "rotary_emb.inv_freq"


@dataclass(frozen=True)
class Stages:
    """Files of one checkpoint; ``projector`` None where stage 1 is not at hand."""

    experts: Path
    others: Path
    config: Path
    projector: Path | None


def find_stages(folder: Path, stage1: str | Path | None = None, stage2: str | Path | None = None) -> Stages:
    """Files in ``folder`` itself or one level below; ``stage1`` (file or folder) and ``stage2`` (folder)
    override.

    Raises CheckpointError when a file is not there, or could be more than one.
    """
    if not folder.is_dir():
        raise CheckpointError(
            f"{folder} is not a folder, expected the one with the authors' stage1 and stage2_output."
        )
    places = [folder, *sorted(place for place in folder.iterdir() if place.is_dir())]
    output = (
        Path(stage2)
        if stage2 is not None
        else _only(filter(_is_output, places), folder, "stage-2 outputs", 2)
    )
    if output is None:
        raise CheckpointError(
            f"{folder} holds no stage-2 output, expected a folder with {EXPERTS}, {OTHERS} and {CONFIG}; "
            "name it with --stage2."
        )
    files = [output / name for name in (EXPERTS, OTHERS, CONFIG)]
    for file in files:
        if not file.is_file():
            raise CheckpointError(
                f"{output} has no {file.name}, half a checkpoint; copy it from the training output."
            )
    if stage1 is not None:
        given = Path(stage1)
        projector: Path | None = given / PROJECTOR if given.is_dir() else given
        if not (projector and projector.is_file()):
            raise CheckpointError(
                f"there is no {projector}, expected the {PROJECTOR} of stage 1; check --stage1."
            )
    else:
        found = (place / PROJECTOR for place in places if (place / PROJECTOR).is_file())
        projector = _only(found, folder, f"files {PROJECTOR}", 1)
    return Stages(files[0], files[1], files[2], projector)


def _is_output(place: Path) -> bool:
    """Either of two marks, so that a folder which lost one file is found and the file is named."""
    if (place / OTHERS).exists():
        return True
    try:
        return "VTimeLLM" in read_text(place / CONFIG)
    except DataError:
        return False


def _only(found: Any, folder: Path, what: str, stage: int) -> Path | None:
    """The one path found; the folder's own before those below it."""
    paths = list(found)
    own = [path for path in paths if path in (folder, folder / PROJECTOR)]
    if len(paths) > 1 and not own:
        names = ", ".join(str(path.relative_to(folder)) for path in paths)
        raise CheckpointError(
            f"{folder} holds {len(paths)} {what} ({names}), expected one; name it with --stage{stage}."
        )
    return (own or paths or [None])[0]


def read_json(file: Path) -> dict[str, Any]:
    """A JSON object; raises CheckpointError for anything else."""
    try:
        fields = load_json(file)
    except DataError as error:
        raise CheckpointError(f"{str(error).rstrip('.')}; copy it again from the training output.") from error
    if not isinstance(fields, dict):
        raise CheckpointError(
            f"{file} holds a {type(fields).__name__}, expected a JSON object; copy it again."
        )
    return fields


def read_pickle(file: Path, device: str = "cpu") -> dict[str, Tensor]:
    """Key -> tensor of a torch file, read with ``weights_only=True``: a file with code in it is refused."""
    try:
        loaded = torch.load(file, map_location=device, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{file} holds more than tensors or is damaged, expected plain weights; "
            "it was not run: copy it again from a source you trust."
        ) from error
    except Exception as error:  # its reader runs into bytes that are no pickle with errors of any kind
        raise CheckpointError(f"{file} is cut short or no torch file; copy it again.") from error
    if not isinstance(loaded, dict) or not all(
        isinstance(key, str) and isinstance(value, Tensor) for key, value in loaded.items()
    ):
        raise CheckpointError(f"{file} holds no plain table of tensors, expected weights; copy it again.")
    return loaded


def stored_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """Key -> shape of a transformers model folder (safetensors or .bin, whole or in shards), without its
    numbers.

    Raises CheckpointError for a folder without weights or with a shard missing or damaged.
    """
    for single, read in (("model.safetensors", _safetensors_shapes), ("pytorch_model.bin", _pickle_shapes)):
        index = folder / f"{single}.index.json"
        if (folder / single).is_file():
            files = [folder / single]
        elif index.is_file():
            files = [folder / name for name in sorted(set(read_json(index).get("weight_map", {}).values()))]
        else:
            continue
        found: dict[str, tuple[int, ...]] = {}
        for file in files:
            if not file.is_file():
                raise CheckpointError(
                    f"{folder} has no {file.name}, which its index names; copy the base model again."
                )
            found |= read(file)
        return found
    raise CheckpointError(
        f"{folder} holds no weights, expected a transformers model; download the base model again."
    )


def _safetensors_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(file, framework="pt") as stored:
            return {key: tuple(stored.get_slice(key).get_shape()) for key in stored.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{file} cannot be read ({error}); copy it again.") from error


def _pickle_shapes(file: Path) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in read_pickle(file, "meta").items()}
