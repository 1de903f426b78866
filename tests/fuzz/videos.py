"""Videos with mutated bytes, atoms and lengths: frames with sound times, or one sentence; never anything else."""

from __future__ import annotations

import math
import random
import warnings
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from fuzz.mutations import damaged, near
from videoexpert.errors import InputError, VideoError
from videoexpert.video import VideoWarning, glance, probe, read_frames, stream_frames

name = "videos"

_ATOM_NAMES = (
    "moov mvhd trak tkhd mdhd elst stsd stts ctts stsc stsz stco stss avcC moof tfhd tfdt trun pasp colr"
)
_ATOMS = near([atom.encode() for atom in _ATOM_NAMES.split()])
# TimestampScale, Duration, Cluster and its time, SimpleBlock, BlockGroup, Tracks, sizes
_EBML = near(
    [bytes.fromhex(one) for one in ["2ad7b1", "4489", "1f43b675", "e7", "a3", "a0", "1654ae6b", "b0"]]
)
_CHUNKS = near((b"RIFF", b"avih", b"strh", b"strf", b"idx1", b"00dc", b"movi"))
_PACKETS = near((b"G\x41", b"G\x01", b"\0\0\1\xe0"), before=2, behind=30)
_BLOCKS = near((b"GIF8", b"\x21\xf9", b"\x2c", b"\x21\xff"), before=2, behind=14)
_TAGS = near((b"FLV", b"onMetaData", b"duration", b"\x09\0\0"), before=6, behind=24)

# container, codec, ticks a second, structural mutations
SOURCES = {
    "a.mp4": ("libx264", 1000, (_ATOMS,)),
    "fragmented.mp4": ("libx264", 1000, (_ATOMS,)),
    "a.mkv": ("libx264", 1000, (_EBML,)),
    "a.webm": ("libvpx", 1000, (_EBML,)),
    "a.ts": ("libx264", 90_000, (_PACKETS,)),
    "a.mpg": ("mpeg2video", 25, (_PACKETS,)),
    "a.avi": ("mpeg4", 25, (_CHUNKS,)),
    "a.gif": ("gif", 25, (_BLOCKS,)),
    "a.flv": ("flv", 25, (_TAGS,)),
}
PICTURES, SIZE, FRAMES = 12, (32, 48), 5


def prepare(folder: Path) -> dict[str, bytes]:
    made = {}
    for file, (codec, clock, _) in SOURCES.items():
        path = folder / file
        options = {"fflags": "bitexact"}  # no random ids
        if file.startswith("fragmented"):
            options["movflags"] = "frag_keyframe+empty_moov"
        with av.open(str(path), "w", options=options) as container:
            stream: Any = container.add_stream(codec, rate=25)
            stream.height, stream.width = SIZE
            stream.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, clock)
            stream.codec_context.gop_size = 5
            stream.codec_context.thread_count = 1  # several threads make other bytes
            for i in range(PICTURES):
                grey = np.full((*SIZE, 3), 20 * i, dtype=np.uint8)
                frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format=stream.pix_fmt)
                frame.pts, frame.time_base = i * clock // 25, Fraction(1, clock)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        made[file] = path.read_bytes()
    return made


def case(state: dict[str, bytes], seed: int) -> bytes:
    rng = random.Random(seed)
    file = rng.choice(list(SOURCES))
    data = state[file]
    if rng.random() < 0.08:  # two files joined, the second perhaps of another kind
        data += state[rng.choice((file, rng.choice(list(SOURCES))))]
    return damaged(data, rng, SOURCES[file][2])


def check(data: bytes, folder: Path) -> None:
    path = folder / "case"
    path.write_bytes(data)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always", VideoWarning)
        frames = attempt(lambda: read_frames(path, FRAMES, resize=tiny))
        info = attempt(lambda: probe(path))
        attempt(lambda: glance(path))
        streamed = attempt(lambda: list(stream_frames(path, 5.0, end_s=1.0, resize=tiny)))
    # Where several threads decode, FFmpeg notices damage in one run and not in the next: only sound files agree.
    sound = info is not None and not any("left out" in line for line in (*map(str, said), *info.problems))
    assert not sound or frames is not None
    if frames is None:
        return
    assert math.isfinite(frames.duration_s)
    assert 0 < frames.duration_s < 1e9
    times = frames.times_s.numpy()
    assert np.isfinite(times).all()
    assert (np.diff(times) >= 0).all()
    assert times.min() >= 0
    assert times.max() < frames.duration_s
    if sound and info is not None:
        assert frames.duration_s == info.duration_s
        assert np.array_equal(times, info.frame_times(FRAMES))
    if streamed:
        assert all(a[0] <= b[0] for a, b in pairwise(streamed))


def attempt(read: Any) -> Any:
    """What ``read`` gives; None for a refusal in one printable sentence."""
    try:
        return read()
    except (VideoError, InputError) as error:
        sentence = str(error)
        assert sentence.isprintable(), sentence
        assert sentence.endswith("."), sentence
        return None


def tiny(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(np.resize(picture, (4, 4, 3)).transpose(2, 0, 1)))
