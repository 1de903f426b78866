"""Video files -> feature store: a pool of threads decodes and resizes while the encoder works.

    clips --threads: hash, decode, resize--> Frames --batches across videos--> VisualTokens --> shards

Only stages 1 and 2 of a model are needed, so a vision encoder and a config do; no language model is loaded.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from ..checkpoints import folder as checkpoint
from ..config import VideoExpertConfig
from ..errors import InputError, sentence
from ..files import remote
from ..locks import LOCK, held
from ..model import VideoExpertModel
from ..runtime import pick_device
from ..types import Frames, VisualTokens
from ..video.decode import read_frames
from ..vision.encoder import VisionEncoder
from ..vision.tokens import visual_tokens
from .clips import Clip, check_keys
from .store import (
    SHARD_VIDEOS,
    TOKEN_FIELDS,
    EncoderId,
    FeatureStore,
    ShardWriter,
    content_hash,
    half,
)

BATCH = 64  # frames in one pass of the encoder
AHEAD = 2  # decoded videos that wait, for each thread: bounds the memory


@dataclass(frozen=True)
class Encoded:
    """A clip's tokens in half precision on the CPU, and the content hash of its file."""

    clip: Clip
    content: str
    tokens: VisualTokens


@dataclass(frozen=True)
class FailedClip:
    """A clip that gives no tokens, with the sentence that says why."""

    clip: Clip
    reason: str


@dataclass(frozen=True)
class TokenEncoder:
    """Stages 1 and 2 of a model: what makes visual tokens of a file."""

    config: VideoExpertConfig
    vision: VisionEncoder

    @classmethod
    def of(cls, model: VideoExpertModel | TokenEncoder) -> TokenEncoder:
        """That of a model."""
        return model if isinstance(model, TokenEncoder) else cls(model.config, model.vision)

    @classmethod
    def from_vision(cls, vision: str | Path, preset: str = "paper") -> TokenEncoder:
        """That of a model still to be trained, on a pretrained encoder with the fields of a preset.

        Raises CheckpointError for anything but a vision encoder, InputError for an unknown preset.
        """
        encoder = VisionEncoder.from_pretrained(vision)
        return cls(VideoExpertConfig.from_preset(preset, vision_config=encoder.to_config()), encoder)

    def with_fields(self, **fields: Any) -> TokenEncoder:
        """The same with other values of TOKEN_FIELDS. Raises InputError for a field that is none of them."""
        unknown = [name for name in fields if name not in TOKEN_FIELDS]
        if unknown:
            raise InputError(
                f"{unknown[0]} does not change what a video's tokens are, expected one of {', '.join(TOKEN_FIELDS)}."
            )
        return replace(self, config=VideoExpertConfig.from_dict({**self.config.to_dict(), **fields}))

    def to(self, device: torch.device | str) -> TokenEncoder:
        """The same on a device."""
        self.vision.to(device)
        return self

    @property
    def id(self) -> EncoderId:
        """All that decides what the tokens are; reads every weight once."""
        return EncoderId.of_config(
            self.config,
            preprocessing=self.vision.preprocessor.to_dict(),
            weights=weights_digest(self.vision),
        )

    def read(self, clip: Clip) -> Frames:
        """N frames, resized. Raises VideoError, or InputError for a part outside the video."""
        with remote.local(clip.path) as file:
            return read_frames(
                file,
                self.config.num_frames,
                start_s=clip.start_s,
                end_s=clip.end_s,
                resize=self.vision.preprocessor.resize,
                sampling="centre" if self.config.frame_times == "centre" else "linspace",
            )

    def encode(self, videos: Sequence[Frames], batch_size: int = BATCH) -> list[VisualTokens]:
        """What ``VideoExpertModel.encode_video`` gives of each video, in half precision."""
        return [
            replace(tokens, temporal=half(tokens.temporal), spatial=half(tokens.spatial))
            for tokens in visual_tokens(self.vision, self.config, videos, batch_size)
        ]


def encode_videos(
    clips: Iterable[Clip],
    model: VideoExpertModel | TokenEncoder,
    *,
    batch_size: int = BATCH,
    workers: int | None = None,
) -> Iterator[Encoded | FailedClip]:
    """Tokens of many videos, in the order of ``clips``; a failure comes as soon as it is met.

    It writes nothing and keeps no state, so any scheduler can hand a part of the clips to each of its
    processes. As many videos share a pass as fill ``batch_size`` frames. ``workers``: decoding threads.
    """
    encoder = TokenEncoder.of(model)
    if batch_size < 1 or (workers is not None and workers < 1):
        raise InputError(f"batch size is {batch_size} and workers {workers}, expected at least 1 of each.")
    together: list[tuple[Clip, str, Frames]] = []
    for clip, result in _read_ahead(clips, encoder, workers or default_workers()):
        if isinstance(result, str):
            yield FailedClip(clip, result)
            continue
        together.append((clip, *result))
        if len(together) == videos_a_pass(encoder.config, batch_size):
            yield from _encode(encoder, together, batch_size)
            together = []
    if together:
        yield from _encode(encoder, together, batch_size)


@dataclass
class Summary:
    """What a run did: videos encoded now, there before, and failed with their sentences, by key; seconds encoded."""

    encoded: int = 0
    kept: int = 0
    seconds: float = 0.0
    failed: dict[str, str] = field(default_factory=dict)


def encode_to_store(
    clips: Sequence[Clip],
    model: VideoExpertModel | TokenEncoder,
    folder: str | os.PathLike[str],
    *,
    rank: int = 0,
    world_size: int = 1,
    batch_size: int = BATCH,
    workers: int | None = None,
    shard_videos: int = SHARD_VIDEOS,
    spread: Callable[[Sequence[Clip]], Iterator[Encoded | FailedClip]] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Encode this rank's share of the clips into a store; what is there already stays.

    Started again after a kill it ends with the bytes of a run that nothing stopped. ``progress`` is called
    with the number of videos just processed. ``spread`` encodes the clips, in their order, in place of this process
    (features/ray.py). Raises InputError for two clips of one key, another encoder's store,
    or one that another process of this rank is filling.
    """
    encoder = TokenEncoder.of(model)
    check_keys(clips)
    store = FeatureStore.create(folder, encoder.id)
    share = clips[rank::world_size]  # of all clips, not of those still to do: others may be adding some now
    there = [clip for clip in share if clip.key in store.entries]
    pending = [clip for clip in share if clip.key not in store.entries]
    summary = Summary(kept=len(there))
    for clip in _changed(there, store, workers or default_workers()):
        summary.kept -= 1
        summary.failed[clip.key] = (
            f"{str(clip.path)!r} is not the file that the store holds as {clip.key!r}; encode it under "
            "another name or into another folder."
        )
    done = progress or (lambda _: None)
    done(len(there))
    # Whole passes in a shard: a run that resumes after one makes the same passes, and so the same last bits.
    each = videos_a_pass(encoder.config, batch_size)
    name = f"{LOCK}-{rank:05d}"
    # with nothing to do a store may be on a read-only disk; a lock that a kill left goes all the same
    lock = held(store.folder, name) if pending or (store.folder / name).exists() else nullcontext()
    with lock, ShardWriter(store, rank, world_size, -(-shard_videos // each) * each) as writer:
        if spread is not None:
            results = spread(pending)
        else:
            results = encode_videos(pending, encoder, batch_size=batch_size, workers=workers)
        for result in results:
            if isinstance(result, FailedClip):
                summary.failed[result.clip.key] = result.reason
            else:
                writer.add(result.clip.key, result.tokens, result.content)
                summary.encoded += 1
                summary.seconds += result.tokens.duration_s
            done(1)
    return summary


def load_encoder(
    model: str | Path | None = None,
    *,
    vision: str | Path | None = None,
    preset: str | None = None,
    fields: Mapping[str, Any] | None = None,
    device: str = "auto",
) -> TokenEncoder:
    """The encoder of a model (None: the shipped one), or ``vision`` with the fields of ``preset``.

    ``fields`` replace some of TOKEN_FIELDS. Of several processes on one machine each takes a GPU of its own
    (LOCAL_RANK). Raises CheckpointError for what cannot be loaded, InputError for arguments that contradict each other.
    """
    if vision is not None and model is not None:
        raise InputError("both a model and a vision encoder are named, expected one of them.")
    if preset is not None and vision is None:
        raise InputError("a preset goes with a vision encoder; a model brings its own fields.")
    if vision is not None:
        encoder = TokenEncoder.from_vision(vision, preset or "paper").to(pick_device(device))
    else:
        folder = checkpoint.shipped() if model is None else model
        encoder = TokenEncoder.of(checkpoint.load(folder, device=pick_device(device))[0])
    return encoder.with_fields(**fields) if fields else encoder


def weights_digest(vision: VisionEncoder) -> str:
    """SHA-256 of the encoder's weights by name, as float32: the same in any dtype that keeps their values."""
    found = hashlib.sha256()
    weights = {  # some transformers releases keep the tower one level deeper
        name.replace("vision_model.", ""): tensor
        for name, tensor in vision.model.state_dict().items()
        if tensor.is_floating_point()
    }
    for name, tensor in sorted(weights.items()):
        found.update(f"{name} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return found.hexdigest()


def videos_a_pass(config: VideoExpertConfig, batch_size: int) -> int:
    """How many videos fill a batch of frames."""
    return max(1, batch_size // config.num_frames)


def default_workers() -> int:
    """Decoding threads; FFmpeg splits the work on one video further."""
    return min(8, os.cpu_count() or 1)


def _encode(
    encoder: TokenEncoder, together: Sequence[tuple[Clip, str, Frames]], batch_size: int
) -> Iterator[Encoded | FailedClip]:
    tokens = encoder.encode([frames for _, _, frames in together], batch_size)
    for (clip, content, _), found in zip(together, tokens, strict=True):
        if bool(found.temporal.isfinite().all() and found.spatial.isfinite().all()):
            yield Encoded(clip, content, found)
        else:
            yield FailedClip(clip, f"the tokens of {str(clip.path)!r} do not fit in half precision.")


def _read_ahead(
    clips: Iterable[Clip], encoder: TokenEncoder, workers: int
) -> Iterator[tuple[Clip, tuple[str, Frames] | str]]:
    """Each clip with its content hash and frames, or why there are none: in order, read ahead by threads."""

    def work(clip: Clip) -> tuple[str, Frames] | str:
        if clip.refused:
            return clip.refused
        try:
            return content_hash(clip.path), encoder.read(clip)
        except FileNotFoundError:
            return f"{str(clip.path)!r} does not exist, expected a video file: check the path."
        except Exception as error:  # whatever a file does to a decoder fails that file alone
            return sentence(error)

    waiting: deque[tuple[Clip, Future[tuple[str, Frames] | str]]] = deque()
    # One torch thread in each of ours: resizing already runs in parallel, across videos. Asking for this
    # thread's number settles it, so that theirs do not become its own.
    threads = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, "decode", initializer=torch.set_num_threads, initargs=(1,))
    try:
        for clip in clips:
            waiting.append((clip, pool.submit(work, clip)))
            if len(waiting) > AHEAD * workers:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)


def _changed(clips: Sequence[Clip], store: FeatureStore, workers: int) -> list[Clip]:
    """Those whose file differs from the one in the store; a deleted file does not count."""

    def differs(clip: Clip) -> bool:
        try:
            return content_hash(clip.path) != store.entries[clip.key].content
        except OSError:
            return False

    with ThreadPoolExecutor(workers) as pool:
        return [clip for clip, wrong in zip(clips, pool.map(differs, clips), strict=True) if wrong]
