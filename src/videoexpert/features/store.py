"""The feature store: visual tokens of many videos, made once, for training and use alike (docs/features.md).

    STORE/store.json                 what made the tokens, field by field, and the hash of it
    STORE/00000-00000.safetensors    a shard of S videos: temporal (S, N, C) and spatial (S, M, C), float16
    STORE/00000-00000.json           its index: key, content hash, row, duration, start, frames of each video

A shard is named ``<rank>-<number>``. It counts once its index is there: both files are written beside their
place and renamed, the shard first. What a killed process leaves is taken away by the next one of its rank.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from .. import files
from ..config import VideoExpertConfig
from ..errors import DataError, InputError
from ..files import remote
from ..locks import LOCK
from ..types import VisualTokens
from .entry import Entry

STORE = "store.json"
MADE_BY = "made_by.json"  # the model folder as it was when the store was filled (unchanged.py)
FORMAT = 1
READER = 2  # raise it when the same file gives other frames: stores of another number are refused
SHARD_VIDEOS = 64  # 35 MB at N + M = 356 tokens of 768; what a kill can cost, and no more
HASH_BLOCK = 1 << 16

# Fields of VideoExpertConfig that decide what a video's tokens are (stages 1 and 2)
TOKEN_FIELDS = (
    *("num_frames", "frame_times", "groups", "tokens_per_group", "key_tokens", "gop", "gop_similarity"),
    *("key_score", "static_reference", "spatial_tokens"),
)
# Fields of a vision tower's config that do; the others are news of transformers, or of training
TOWER_FIELDS = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size"),
    *("patch_size", "num_channels", "projection_dim", "hidden_act", "layer_norm_eps"),
)
_FILE = re.compile(r"(\d{5})-(\d{5})\.(safetensors|json)")
_PART = re.compile(r"\.(\d{5})-\d{5}\.(safetensors|json)\..+\.part")


class MissingVideoError(DataError, KeyError):
    """The store holds no such video."""

    __str__ = Exception.__str__  # KeyError would print the sentence in quotes


@dataclass(frozen=True)
class EncoderId:
    """What made the tokens, as plain JSON values by name: ``reader``, token fields, ``vision.*``, ``preprocessing.*``,
    and ``weights``, a digest. One made from a config alone knows no weights."""

    fields: Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "fields", json.loads(json.dumps(dict(self.fields))))

    @classmethod
    def of_config(
        cls,
        config: VideoExpertConfig,
        *,
        preprocessing: Mapping[str, Any] | None = None,
        weights: str | None = None,
    ) -> EncoderId:
        """All that a config determines; a model also knows its ``preprocessing`` and the digest of its weights."""
        tower = dict(config.vision_config or {})
        preprocessing = preprocessing or tower.get("preprocessing") or {}
        kind = str(tower.get("model_type", "")).partition("_")[0]  # clip and clip_vision_model are one tower
        if "vision_config" in tower:
            tower = {**tower["vision_config"], "projection_dim": tower.get("projection_dim")}
        fields = {"reader": READER, **{name: getattr(config, name) for name in TOKEN_FIELDS}}
        if kind:
            fields["vision.model_type"] = kind
        fields |= {f"vision.{name}": tower[name] for name in TOWER_FIELDS if tower.get(name) is not None}
        fields |= {f"preprocessing.{name}": value for name, value in preprocessing.items()}
        return cls(fields if weights is None else {**fields, "weights": weights})

    @property
    def digest(self) -> str:
        """SHA-256 of the fields."""
        return _digest(self.fields)

    def differences(self, other: EncoderId) -> list[str]:
        """The fields that both know and that differ, each with its two values, this one's first."""
        common = [name for name in self.fields if name in other.fields]
        return [
            f"{name} is {_short(self.fields[name])}, not {_short(other.fields[name])}"
            for name in common
            if self.fields[name] != other.fields[name]
        ]


class FeatureStore(Mapping[str, VisualTokens]):
    """Video key -> VisualTokens in half precision, temporal (N, C) and spatial (M, C).

    Keys are those of ``video_key``; a key that ends in a file name's extension also finds the video without.
    Can be handed to the worker processes of a data loader.
    """

    def __init__(self, folder: Path, encoder: EncoderId) -> None:
        """Use ``create`` or ``open``."""
        self.folder, self.encoder = folder, encoder
        self.entries: dict[str, Entry] = {}
        self._signatures: dict[str, str] = {}
        self._handles: dict[str, Any] = {}

    @classmethod
    def create(cls, folder: str | os.PathLike[str], encoder: EncoderId) -> FeatureStore:
        """A new store, or the one that is there if the same encoder made it. Every rank may call it at once.

        Raises InputError for a folder that holds something else, or a store made by another encoder.
        """
        path = Path(folder)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file, expected a folder for the feature store.")
        files.make_folder(path)
        foreign = [n for n in sorted(os.listdir(path)) if not _is_ours(n)]
        if foreign:
            raise InputError(
                f"{path} holds other files ({foreign[0]}), expected a new folder or a feature store."
            )
        if not (path / STORE).exists():
            stored = {"format": FORMAT, "encoder_hash": encoder.digest, "encoder": dict(encoder.fields)}
            files.write_json(path / STORE, stored)
        return cls.open(path, encoder)

    @classmethod
    def open(
        cls, folder: str | os.PathLike[str], config: VideoExpertConfig | EncoderId | None = None
    ) -> FeatureStore:
        """The store with the indices of all processes that wrote it.

        ``config``: what the tokens must have been made with, else InputError names the fields that differ;
        an EncoderId, which also knows the weights, is checked in full. Raises DataError for a folder that is
        no store, or a damaged one.
        """
        path = Path(folder)
        if not (path / STORE).is_file():
            raise DataError(
                f"{path} is not a feature store: it has no {STORE}; make one with `videoexpert encode`."
            )
        stored = _read_json(path / STORE)
        fields = stored.get("encoder")
        encoder = EncoderId(fields if isinstance(fields, dict) else {})
        if stored.get("format") != FORMAT or stored.get("encoder_hash") != encoder.digest:
            raise DataError(
                f"{path / STORE} is damaged or of another version; encode the videos into a new folder."
            )
        store = cls(path, encoder)
        if config is not None:
            store.check(config)
        store.refresh()
        return store

    def check(self, config: VideoExpertConfig | EncoderId) -> None:
        """Raises InputError unless the tokens are those that this encoder would make."""
        wanted = config if isinstance(config, EncoderId) else EncoderId.of_config(config)
        found = self.encoder.differences(wanted)
        if found:
            raise InputError(
                f"the feature store {self.folder} was made with another encoder: {'; '.join(found)}; "
                "use the model that made it, or encode the videos into another folder."
            )

    def refresh(self) -> None:
        """Take in what other processes have finished meanwhile."""
        for file in sorted(self.folder.glob("*-*.json")):
            if _FILE.fullmatch(file.name) and file.stem not in self._signatures:
                self._take(file.stem, _read_json(file))

    def entry(self, key: str) -> Entry:
        """Where the video is and what is known of it. Raises MissingVideoError."""
        for name in _spellings(key):
            if name in self.entries:
                return self.entries[name]
        raise MissingVideoError(
            f"the feature store {self.folder} holds no video {key!r} among its {len(self)}; add it with "
            "`videoexpert encode`."
        )

    def __getitem__(self, key: str) -> VisualTokens:
        """Raises MissingVideoError, which is a KeyError, for an unknown video; DataError for a bad shard."""
        entry = self.entry(key)
        try:
            handle = self._handle(entry.shard)
            temporal, spatial = (_row(handle, name, entry.row) for name in ("temporal", "spatial"))
        except (OSError, SafetensorError, IndexError, TypeError, ValueError) as error:
            raise self._damaged(entry.shard) from error
        holes = tuple((float(a), float(b)) for a, b in entry.holes)
        return VisualTokens(temporal, spatial, entry.duration_s, entry.start_s, holes)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and any(name in self.entries for name in _spellings(key))

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_handles": {}}  # open files do not travel

    @property
    def bytes(self) -> int:
        """Size of the store on disk, index included."""
        return sum(file.stat().st_size for file in self.folder.iterdir() if _is_ours(file.name))

    def _take(self, shard: str, index: Mapping[str, Any]) -> None:
        if index.get("encoder_hash") != self.encoder.digest:
            raise DataError(
                f"{self.folder / shard}.json belongs to another feature store; remove it and its "
                ".safetensors."
            )
        self._signatures[shard] = _digest(index)
        try:
            for video in index["videos"]:
                self.entries.setdefault(video["key"], Entry(shard=shard, **video))
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(shard) from error

    def _handle(self, shard: str) -> Any:
        if shard not in self._handles:
            handle = safe_open(self.folder / f"{shard}.safetensors", framework="pt")
            # Two processes that wrote one name at a time would leave a shard with the other's index.
            if (handle.metadata() or {}).get("index") != self._signatures[shard]:
                raise self._damaged(shard)
            self._handles[shard] = handle
        return self._handles[shard]

    def _damaged(self, shard: str) -> DataError:
        return DataError(
            f"shard {shard} of the feature store {self.folder} is damaged or missing; remove {shard}.json "
            f"and {shard}.safetensors and run `videoexpert encode` again."
        )


class ShardWriter:
    """Adds videos to a store, a shard at a time; the last one when the ``with`` block ends well.

    One writer a rank. What an exception or a kill leaves unfinished is encoded again by the next run.
    """

    def __init__(
        self, store: FeatureStore, rank: int = 0, world_size: int = 1, shard_videos: int = SHARD_VIDEOS
    ) -> None:
        self.store, self.rank, self.shard_videos = store, rank, shard_videos
        self._waiting: list[tuple[dict[str, Any], torch.Tensor, torch.Tensor]] = []
        self._clear(world_size)
        own = [m for n in os.listdir(store.folder) if (m := _FILE.fullmatch(n)) and int(m[1]) == rank]
        self._number = 1 + max((int(m[2]) for m in own), default=-1)

    def add(self, key: str, tokens: VisualTokens, content: str) -> None:
        """Append one video; every ``shard_videos`` of them become a shard."""
        video = {
            "key": key,
            "content": content,
            "row": len(self._waiting),
            "duration_s": tokens.duration_s,
            "start_s": tokens.start_s,
            "frames": len(tokens.temporal),
            "holes": [list(hole) for hole in tokens.holes],
        }
        self._waiting.append((video, half(tokens.temporal), half(tokens.spatial)))
        if len(self._waiting) == self.shard_videos:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting as a shard: its tensors, then the index that makes it count."""
        if not self._waiting:
            return
        videos, temporal, spatial = zip(*self._waiting, strict=True)
        shard = f"{self.rank:05d}-{self._number:05d}"
        index = {"shard": shard, "encoder_hash": self.store.encoder.digest, "videos": list(videos)}
        tensors = {"temporal": torch.stack(temporal), "spatial": torch.stack(spatial)}
        with files.whole_file(self.store.folder / f"{shard}.safetensors") as part:
            save_file(tensors, part, metadata={"index": _digest(index)})
        files.write_json(self.store.folder / f"{shard}.json", index)
        self.store._take(shard, index)
        self._waiting, self._number = [], self._number + 1

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.flush()

    def _clear(self, world_size: int) -> None:
        """Remove what a killed process of this rank left; rank 0 also cleans up after ranks that no longer exist."""
        for file in list(self.store.folder.iterdir()):
            part = _PART.fullmatch(file.name)
            found = part or _FILE.fullmatch(file.name)
            if not found or (part is None and file.with_suffix(".json").exists()):
                continue
            rank = int(found[1])
            if rank == self.rank or (self.rank == 0 and rank >= world_size):
                file.unlink(missing_ok=True)


def video_key(video: str, clip: tuple[float, float] | None = None) -> str:
    """The key of a video, its id or file stem, or of its part from start to end: ``id@12.5-20`` (seconds)."""
    return video if clip is None else f"{video}@{clip[0]:.15g}-{clip[1]:.15g}"


def content_hash(path: str | os.PathLike[str]) -> str:
    """SHA-256 of a file's size and of its first, middle and last 64 KiB; of a smaller file, all its bytes.

    Reads the same little of any file, at an address (files/remote.py) too; a change elsewhere that keeps the size is
    not seen. Raises OSError.
    """
    size, read = remote.size_and_reader(path)
    found = hashlib.sha256(f"{size}:".encode())
    if size <= 3 * HASH_BLOCK:
        found.update(read(0, size))
    else:
        for place in (0, (size - HASH_BLOCK) // 2, size - HASH_BLOCK):
            found.update(read(place, place + HASH_BLOCK))
    return found.hexdigest()


def half(tokens: torch.Tensor) -> torch.Tensor:
    """Tokens as the store keeps them."""
    return tokens.detach().to("cpu", torch.float16).contiguous()


def _row(handle: Any, name: str, row: int) -> torch.Tensor:
    part = handle.get_slice(name)
    shape = part.get_shape()
    return torch.empty(shape[1:], dtype=torch.float16) if 0 in shape else part[row]


def _spellings(key: str) -> list[str]:
    """The key, and the same without a file name's extension (``talk.mp4@3-9`` -> ``talk@3-9``)."""
    video, at, clip = key, "", ""
    if re.search(r"@[\d.e+]+-[\d.e+]+$", key):
        video, at, clip = key.rpartition("@")
    stem, dot, extension = video.rpartition(".")
    # Ids hold dots too: v_360.0_510.0
    is_file = dot and stem and len(extension) <= 5 and extension.isalnum() and not extension.isdigit()
    return [key, f"{stem}{at}{clip}"] if is_file else [key]


def _is_ours(name: str) -> bool:
    known = name in (STORE, MADE_BY) or name.startswith(LOCK)
    return known or bool(_FILE.fullmatch(name)) or files.is_unfinished(name)


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=dict)
    return hashlib.sha256(text.encode()).hexdigest()


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = files.load_json(file)
    except DataError as error:
        raise DataError(f"{str(error).rstrip('.')}; run `videoexpert encode` anew.") from error
    if not isinstance(value, dict):
        raise DataError(f"{file} holds no JSON object; run `videoexpert encode` anew.")
    return value
