"""What ``doctor`` reports, as plain dictionaries: the installation, and one video."""

from __future__ import annotations

import os
import platform
import runpy
import shutil
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .startup import lighten

# Software decoders, any of which will do: FFmpeg's own av1 only drives a GPU.
DECODERS = {
    "h264": ("h264",),
    "hevc": ("hevc",),
    "vp8": ("vp8", "libvpx"),
    "vp9": ("vp9", "libvpx-vp9"),
    "av1": ("libdav1d", "libaom-av1"),
    "mpeg4": ("mpeg4",),
    "mpeg2video": ("mpeg2video",),
    "theora": ("theora",),
    "prores": ("prores",),
    "gif": ("gif",),
}


def environment() -> dict[str, Any]:
    """``versions``, ``devices``, ``codecs``, ``extras`` and ``model`` of this installation."""
    return {
        "versions": _versions(),
        "devices": _devices(),
        "codecs": {codec: any(map(_decodes, names)) for codec, names in DECODERS.items()},
        "extras": {
            "captioning scores (pycocoevalcap)": find_spec("pycocoevalcap") is not None,
            "METEOR (java)": shutil.which("java") is not None,
            "tensorboard": find_spec("tensorboard") is not None,
            "peft": find_spec("peft") is not None,
        },
        "model": model_report(),
    }


def _versions() -> dict[str, str]:
    import av

    from .. import __version__

    found = {"videoexpert": __version__, "python": platform.python_version()}
    for package in ("torch", "transformers", "safetensors"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return {**found, "av": av.__version__, "FFmpeg": str(av.ffmpeg_version_info)}


def _devices() -> dict[str, str]:
    found = {"cpu": f"{_cores()} cores"}
    if not _may_have_others():
        return found
    lighten(None)
    import torch

    for i in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(i)
        found[f"cuda:{i}"] = f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple GPU"
    return found


def _cores() -> int:
    """Those that this process may use."""
    ours = getattr(os, "sched_getaffinity", None)
    return len(ours(0)) if ours is not None else os.cpu_count() or 1


def _may_have_others() -> bool:
    """False where torch is a build for the CPU, as its version file says: importing it would tell no more."""
    place = find_spec("torch")
    if place is None:
        return False
    file = Path(place.origin or "").with_name("version.py")
    if platform.system() == "Darwin" or not file.is_file():
        return True
    built = runpy.run_path(str(file))
    return any(built.get(kind) is not None for kind in ("cuda", "hip", "xpu"))


def _decodes(name: str) -> bool:
    import av

    try:
        return bool(av.Codec(name, "r").is_decoder)
    except ValueError:  # UnknownCodecError is one
        return False


def model_report() -> dict[str, Any]:
    """The model in the package; ``problem`` None when its config can be read and its weights are whole."""
    from .. import assets, hub

    folder = assets.SHIPPED_MODEL
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) if folder.is_dir() else 0
    found: dict[str, Any] = {"path": str(folder), "megabytes": round(size / 1e6, 2)}
    try:
        config = hub.read_config(hub.files(hub.shipped()))
    except CheckpointError as error:
        return {**found, "frames": None, "frame_times": None, "trained_seconds": None, "problem": str(error)}
    known = {"frames": config.get("num_frames"), "frame_times": config.get("frame_times")}
    return {**found, **known, "trained_seconds": config.get("trained_seconds"), "problem": None}


def _looked_at(
    seconds: float, start: float | None, end: float | None, trained: float | None, frames: int
) -> dict[str, float]:
    """The windows in which the shipped model would look at a video, and its frames in all."""
    from ..backends.windowing import AUTO, window_of
    from ..video.stream import window_clips

    first, last = start or 0.0, seconds if end is None else min(end, seconds)
    windows = window_of(AUTO, None, trained, last - first)
    if windows is None:
        return {"windows": 1, "window": round(last - first, 6), "overlap": 0.0, "frames": frames}
    window, overlap = windows
    clips = window_clips(first, last, window, overlap)
    return {"windows": len(clips), "window": window, "overlap": overlap, "frames": frames * len(clips)}


def video_report(
    path: str,
    model: dict[str, Any],
    frames: int | None,
    start: float | None,
    end: float | None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """What ``path`` holds, ``looked_at``, the windows and frames of the shipped model, and ``times`` of one window.

    Without a model 100 frames at the centres of their bins. ``progress`` is called with the pictures decoded and
    their number. Raises VideoError, and InputError for a part outside the video.
    """
    from ..video.probe import probe

    info = probe(path, progress)
    count = frames or model["frames"] or 100
    times = info.frame_times(
        count,
        start_s=start,
        end_s=end,
        sampling="linspace" if model["frame_times"] == "end" else "centre",
    )
    return {
        "video": info.path,
        "container": info.container,
        "streams": list(info.streams),
        "codec": info.codec,
        "pixel_format": info.pixel_format,
        "dynamic_range": info.dynamic_range,
        "width": info.width,
        "height": info.height,
        "rotation": info.rotation_deg,
        "sample_aspect_ratio": round(info.sample_aspect_ratio, 6),
        "duration": round(info.duration_s, 6),
        "declared_duration": info.declared_duration_s,
        "pictures": info.frame_count,
        "header_pictures": info.header_frames,
        "average_fps": round(info.average_fps, 6),
        "variable_frame_rate": info.variable_frame_rate,
        "start_offset": round(info.start_offset_s, 6),
        "first_picture": round(float(info.picture_times_s[0]), 6),
        "holes": [[round(edge, 6) for edge in hole] for hole in info.holes],
        "audio": info.has_audio,
        "problems": list(info.problems),
        "looked_at": _looked_at(info.duration_s, start, end, model["trained_seconds"], count),
        "times": [round(float(t), 6) for t in times],
    }
