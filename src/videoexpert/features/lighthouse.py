"""Clip features as lighthouse and Moment-DETR keep them: read to train on, written so that a peer trains on ours.

    FOLDER/{vid}.npz         features (L, C): a row a clip, of ``clip_s`` seconds (QVHighlights and ActivityNet 2,
                             Charades-STA 1)
    TEXTS/qid{qid}.npz       last_hidden_state (L, W): a row a token, start and end included; pooler_output (C,)

FOLDER and TEXTS are called clip and clip_text in lighthouse, clip_features and clip_text_features in Moment-DETR.
Both projects cast to float32 and normalise rows as they load them. Sources: ``training/dataset.py`` of line/lighthouse,
``moment_detr/start_end_dataset.py`` and ``run_on_video/`` of jayleicn/moment_detr.
"""

from __future__ import annotations

import io
import json
import math
import os
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .. import files
from ..annotations.readers import read
from ..annotations.samples import Sample, sentences_as_queries
from ..config import VideoExpertConfig
from ..errors import DataError, InputError
from ..types import VisualTokens
from ..vision.image_text import TransformersTower
from ..windows import CLIP_S
from .store import STORE, EncoderId, FeatureStore, MissingVideoError, _spellings, video_key

LAYOUTS = {"lighthouse": ("clip", "clip_text"), "moment-detr": ("clip_features", "clip_text_features")}
VIDEO_KEY, TEXT_KEYS = "features", ("last_hidden_state", "pooler_output")
QUERIES = "queries.jsonl"
TOGETHER = 64  # sentences in one pass of the text tower
_UNREADABLE = (OSError, ValueError, KeyError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error)


class ClipFeatures(Mapping[str, VisualTokens]):
    """Video id -> VisualTokens of a folder of ``{vid}.npz``: T-tokens (N, C) in half precision, no S-tokens.

    The L clips become the N frames of ``config``: frame i is the clip that contains its bin's centre. ``clip_s``:
    seconds of a clip. Raises InputError for a model that has S-tokens or another width, DataError for a folder without
    such files.
    """

    def __init__(
        self, folder: str | os.PathLike[str], config: VideoExpertConfig, clip_s: float = CLIP_S
    ) -> None:
        self.folder, self.frames, self.clip_s = Path(folder), config.num_frames, clip_s
        self.names = {file.stem for file in self.folder.glob("*.npz")}
        if not self.names:
            raise DataError(f"{folder} holds no features: neither {STORE} nor files named VIDEO.npz.")
        if config.num_spatial_tokens:
            raise InputError(
                f"{folder} holds a feature a clip and no patches, but the model has S-tokens; set "
                "model.config.spatial_tokens to none."
            )
        self.width = clip_rows(self.folder / f"{min(self.names)}.npz").shape[1]
        if self.width != config.vision_width:
            raise InputError(
                f"{folder} holds features {self.width} wide, but the model's vision encoder gives "
                f"{config.vision_width}; name the encoder that made them."
            )
        self.encoder = EncoderId({"layout": "clip features", "width": self.width, "clip_seconds": clip_s})

    def __getitem__(self, key: str) -> VisualTokens:
        """Raises MissingVideoError for an unknown video, DataError for a file that holds something else."""
        name = next((name for name in _spellings(key) if name in self.names), None)
        if name is None:
            raise MissingVideoError(f"{self.folder} holds no video {key!r} among its {len(self)}.")
        rows = clip_rows(self.folder / f"{name}.npz")
        if rows.shape[1] != self.width:
            raise DataError(
                f"{self.folder / name}.npz is {rows.shape[1]} wide, the others {self.width}; extract it again."
            )
        chosen = torch.from_numpy(rows[frame_clips(len(rows), self.frames)]).half()
        return VisualTokens(chosen, chosen[:0], len(rows) * self.clip_s)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and any(name in self.names for name in _spellings(key))

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.names))

    def __len__(self) -> int:
        return len(self.names)


def open_features(
    folder: str | os.PathLike[str], config: VideoExpertConfig, clip_s: float = CLIP_S
) -> FeatureStore | ClipFeatures:
    """A feature store, or a folder of ``{vid}.npz``. Raises as ``FeatureStore.open`` or ClipFeatures."""
    path = Path(folder)
    if not (path / STORE).is_file() and any(path.glob("*.npz")):
        return ClipFeatures(path, config, clip_s)
    return FeatureStore.open(path, config)


def clip_rows(file: Path) -> np.ndarray:
    """(L, C) float32. Raises DataError for a file without ``features``, or with others than a row of numbers a clip."""
    try:
        with zipfile.ZipFile(file) as stored, stored.open(f"{VIDEO_KEY}.npy") as packed:
            array = files.unpacked(packed, file)
        rows = np.asarray(np.load(io.BytesIO(array), allow_pickle=False), dtype=np.float32)
    except _UNREADABLE as error:
        raise DataError(f"{file} holds no {VIDEO_KEY} of clips ({error}); download it again.") from error
    if rows.ndim != 2 or not rows.size or not np.isfinite(rows).all():
        raise DataError(f"{file} holds {VIDEO_KEY} of shape {rows.shape}, expected a finite row a clip.")
    return rows


def frame_clips(clips: int, frames: int) -> np.ndarray:
    """(N,) the clip that contains the centre of each of N equal bins."""
    return ((np.arange(frames) + 0.5) / frames * clips).astype(np.int64)


def clips_of_frames(temporal: np.ndarray, duration_s: float, clip_s: float) -> np.ndarray:
    """T-tokens (N, C) as a row a clip (L, C): the mean of the frames whose centre is in the clip, else the nearest.

    As many frames as clips are copied as they are.
    """
    count = max(1, math.ceil(duration_s / clip_s - 1e-6))
    centres = (np.arange(len(temporal)) + 0.5) / len(temporal) * duration_s
    member = np.minimum((centres / clip_s).astype(np.int64), count - 1)
    middles = (np.arange(count) + 0.5) * clip_s
    nearest = np.abs(middles[:, None] - centres[None]).argmin(1)
    rows = np.empty((count, temporal.shape[1]), temporal.dtype)
    for clip in range(count):
        inside = member == clip
        rows[clip] = temporal[inside].astype(np.float32).mean(0) if inside.any() else temporal[nearest[clip]]
    return rows


@dataclass(frozen=True)
class Exported:
    """What was written, and the videos that could not be, with their sentence."""

    videos: int
    queries: int
    failed: dict[str, str]


def export(
    store: FeatureStore,
    out: str | os.PathLike[str],
    layout: str = "lighthouse",
    *,
    queries: Sequence[Sample] = (),
    texts: TransformersTower | None = None,
    clip_s: float = CLIP_S,
) -> Exported:
    """Write every video of a store as clip features, and ``queries`` as text features and as an annotation file.

    ``texts`` is the CLIP whose vision tower made the store. Raises InputError for another layout or clip length, or a
    tower of another width.
    """
    if layout not in LAYOUTS:
        raise InputError(f"layout is {layout!r}, expected one of {', '.join(LAYOUTS)}.")
    if not (math.isfinite(clip_s) and clip_s > 0):
        raise InputError(f"the length of a clip is {clip_s} s, expected a positive number of seconds.")
    folder, text_folder = (Path(out) / name for name in LAYOUTS[layout])
    failed: dict[str, str] = {}
    for key in store:
        if not _is_name(key):
            failed[key] = f"{key!r} is not a valid file name; rename the video."
            continue
        tokens = store[key]
        rows = clips_of_frames(tokens.temporal.numpy(), tokens.duration_s, clip_s)
        _save(folder / f"{key}.npz", {VIDEO_KEY: rows})
    asked = [sample for sample in queries if key_of(sample) in store and key_of(sample) not in failed]
    if asked:
        if texts is None:
            raise InputError("queries need the CLIP whose vision tower made the store; name it.")
        _write_texts(texts, asked, text_folder, store)
        lines = [json.dumps(record(sample, store), ensure_ascii=False) for sample in asked]
        files.write_text(Path(out) / QUERIES, "\n".join(lines) + "\n")
    return Exported(len(store) - len(failed), len(asked), failed)


def queries_of(benchmark: str, annotations: str | os.PathLike[str], split: str | None = None) -> list[Sample]:
    """The queries to find of an annotation file; dense captions are queries. Raises as ``read``."""
    samples = list(read(benchmark, annotations, split=split))
    found = [sample for sample in samples if sample.task in ("grounding", "highlight")]
    return found + sentences_as_queries(samples)


def key_of(sample: Sample) -> str:
    """Under which key a store holds the sample's input."""
    return video_key(sample.video, sample.clip)


def record(sample: Sample, store: FeatureStore) -> dict[str, Any]:
    """A query in QVHighlights' form, for the peer's training and evaluation."""
    entry = store.entry(key_of(sample))
    found: dict[str, Any] = {
        "qid": _qid(sample),
        "query": sample.query,
        "duration": sample.duration_s or entry.duration_s,
        "vid": entry.key,
    }
    if sample.labelled:
        found["relevant_windows"] = [list(window) for window in sample.windows]
    if sample.labelled and sample.saliency is not None and not sample.clips:
        rated = [clip for clip, scores in enumerate(sample.saliency) if any(scores)]
        found["relevant_clip_ids"] = rated
        found["saliency_scores"] = [list(sample.saliency[clip]) for clip in rated]
    return found


def _qid(sample: Sample) -> int | str:
    return int(sample.id) if sample.id.isdigit() else sample.id


def _write_texts(
    tower: TransformersTower, asked: Sequence[Sample], folder: Path, store: FeatureStore
) -> None:
    width = store[key_of(asked[0])].temporal.shape[1]
    if tower.width != width:
        raise InputError(
            f"{tower.name} embeds sentences {tower.width} wide, but the store's features are {width} wide; name the "
            "CLIP whose vision tower made the store."
        )
    for first in range(0, len(asked), TOGETHER):
        part = asked[first : first + TOGETHER]
        states = tower.text_states([sample.query or "" for sample in part])
        for sample, arrays in zip(part, states, strict=True):
            named = dict(zip(TEXT_KEYS, (array.numpy() for array in arrays), strict=True))
            _save(folder / f"qid{_qid(sample)}.npz", named)


def _is_name(key: str) -> bool:
    return Path(key).name == key and "\\" not in key and len(key.encode()) < 250


def _save(file: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with files.whole_file(file) as part, part.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's own keywords come before the arrays


__all__ = [
    "LAYOUTS",
    "ClipFeatures",
    "Exported",
    "clip_rows",
    "clips_of_frames",
    "export",
    "frame_clips",
    "open_features",
    "queries_of",
    "record",
]
