"""A base model whose weights exist only as pickles, written again as safetensors: nothing else opens a pickle."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from safetensors.torch import save_file

from ... import files, hub
from ...errors import CheckpointError
from ..weights import untied
from .files import read_json, read_pickle

INDEX = "pytorch_model.bin.index.json"
SINGLE = "pytorch_model.bin"


def needs_safetensors(language: str | Path) -> bool:
    """Whether a folder, or a model of the hub, holds its weights as pickles alone."""
    folder = Path(language)
    if folder.is_dir():
        return not hub.weight_files(folder) and bool(_shards(folder))
    try:
        hub.check_weights(language, hub.locate(language, (*hub.SMALL, hub.WEIGHTS)))
    except CheckpointError as error:
        return "as a pickle" in str(error)
    return False


def write_base(language: str | Path, target: Path) -> Path:
    """The base model as a folder with safetensors; one shard is in memory at a time. Raises CheckpointError."""
    source = hub.locate(language, (*hub.SMALL, SINGLE, "pytorch_model-*.bin"))
    shards = _shards(source)
    missing = [name for name in shards if not (source / name).is_file()]
    if missing or not shards:
        raise CheckpointError(f"{language} has no {(missing or [SINGLE])[0]}; download the base model again.")
    table: dict[str, str] = {}
    with files.whole_folder(target) as part:
        for number, name in enumerate(shards, 1):
            tensors = read_pickle(source / name)
            kept = {key: tensor.contiguous() for key, tensor in untied(tensors).items()}
            own = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
            save_file(kept, part / own, metadata={"format": "pt"})
            table |= dict.fromkeys(kept, own)
        (part / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": table}))
        for pattern in hub.SMALL:
            for file in source.glob(pattern):
                if file.is_file() and not file.name.endswith(".index.json"):
                    shutil.copyfile(file, part / file.name)
    return target


def _shards(folder: Path) -> list[str]:
    """Names of the pickles that hold the weights, in order."""
    if (folder / INDEX).is_file():
        table = read_json(folder / INDEX).get("weight_map", {})
        names = sorted({str(name) for name in table.values()}) if isinstance(table, dict) else []
        foreign = [name for name in names if Path(name).name != name]
        if foreign:
            raise CheckpointError(f"{folder / INDEX} names {foreign[0][:80]!r}, expected files beside it.")
        return names
    return [SINGLE] if (folder / SINGLE).is_file() else []


__all__ = ["needs_safetensors", "write_base"]
