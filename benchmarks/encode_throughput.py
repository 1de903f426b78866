"""What the feature store costs: bytes a video, and how much of the slower stage's speed encoding keeps.

    python benchmarks/encode_throughput.py [--model MODEL] [--videos FOLDER] [--device cuda] [--rounds 3]

In one run, round by round: decoding alone (the same threads, nothing encoded), encoding alone (frames in
memory), and ``videoexpert encode`` itself, which overlaps them. The claim is about the ratio of the last to
the slower of the first two. Where both use the same CPU cores they can only take turns, and no overlap
reaches more than the slower one's share of their sum, which the table shows too. So on CPUs everything is
measured twice: with all cores for both, and with a core for each (one thread to decode, one to encode), as a
GPU would have it.

Without --model the shipped one is used, or where the package carries none a small random encoder. Writes
benchmarks/results/encode_throughput.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
FRAME_BYTES = 2  # half precision


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default=None)
    parser.add_argument("--videos", type=Path, default=None, help="instead of generated videos")
    parser.add_argument(
        "--count", type=int, default=32, help="videos to generate; of a few, filling the line shows"
    )
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a generated video")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--workers", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=3, help="medians are shown")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(args, Path(scratch))
    for name, value in report.items():
        print(f"{name:<58}{value if isinstance(value, str) else f'{value:12.4g}'}")
    target = ROOT / "benchmarks" / "results" / "encode_throughput.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {target.relative_to(ROOT)}")
    return 0


def measure(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The table, as name -> value."""
    import torch

    from videoexpert.features.clips import clips_of
    from videoexpert.features.encode import default_workers
    from videoexpert.features.store import FeatureStore

    encoder, name = encoder_of(args.model, args.device)
    clips = clips_of(args.videos or generated(scratch / "videos", args.count, args.seconds))
    workers, config = args.workers or default_workers(), encoder.config
    device = encoder.vision.device
    on_gpu = device.type == "cuda"
    report: dict[str, Any] = {
        "encoder": name,
        "hardware": torch.cuda.get_device_name(device) if on_gpu else f"{os.cpu_count()} CPU cores",
        "platform": f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} torch threads",
        "load average at start (ours aside)": os.getloadavg()[0],
        "videos, frames each, decoding threads": f"{len(clips)}, {config.num_frames}, {workers}",
    }
    report |= compare(args, clips, encoder, workers, scratch / "shared", "")
    if not on_gpu and hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        with own_cores(encoder) as confined:
            report |= compare(args, clips, confined, 1, scratch / "own", ", a core each")
    stored = FeatureStore.open(scratch / "shared" / "0", encoder.id).bytes / len(clips)
    per_frame = config.num_frames * (1 + encoder.vision.num_patches) * config.vision_width * FRAME_BYTES
    return report | {
        "store, bytes a video": stored,
        "per-frame features of the same encoder, bytes a video": per_frame,
        "per-frame features over store": per_frame / stored,
        "store over its numbers alone": stored
        / (config.num_visual_tokens * config.vision_width * FRAME_BYTES),
        "paper's size: per-frame over token bytes, by arithmetic": 100 * 257 / 356,
    }


def compare(
    args: argparse.Namespace, clips: Any, encoder: Any, workers: int, stores: Path, label: str
) -> dict[str, Any]:
    """Each stage alone and both together, round by round; names end in ``label``."""
    from videoexpert.features.encode import encode_to_store, videos_a_pass

    each = videos_a_pass(encoder.config, args.batch_size)
    frames = [encoder.read(clip) for clip in clips]
    encoder.encode(frames[:1], args.batch_size)  # whatever runs slower the first time
    folders = iter(stores / str(i) for i in range(args.rounds))

    def encode() -> None:
        for first in range(0, len(frames), each):
            encoder.encode(frames[first : first + each], args.batch_size)

    works: dict[str, Callable[[], object]] = {
        "decode": lambda: read_all(clips, encoder, workers),
        "encode": encode,
        "both": lambda: encode_to_store(
            clips, encoder, next(folders), batch_size=args.batch_size, workers=workers
        ),
    }
    seconds: dict[str, list[float]] = {work: [] for work in works}
    cpu: dict[str, list[float]] = {work: [] for work in works}
    for _ in range(args.rounds):
        for work, call in works.items():
            before = time.process_time()
            seconds[work].append(timed(call))
            cpu[work].append(time.process_time() - before)
    rounds = list(zip(*seconds.values(), strict=True))
    rate = {work: len(clips) / statistics.median(times) for work, times in seconds.items()}
    return {
        f"decoding alone, videos/s{label}": rate["decode"],
        f"encoding alone, videos/s{label}": rate["encode"],
        f"both, into a store, videos/s{label}": rate["both"],
        f"both, as a fraction of the slower alone{label}": statistics.median(
            max(d, e) / b for d, e, b in rounds
        ),
        f"the slower's share of the sum of both{label}": statistics.median(
            max(d, e) / (d + e) for d, e, _ in rounds
        ),
        f"both, against one after the other{label}": statistics.median((d + e) / b for d, e, b in rounds),
        f"CPU seconds of both, over those of each alone{label}": statistics.median(
            b / (d + e) for d, e, b in zip(*cpu.values(), strict=True)
        ),
    }


@contextmanager
def own_cores(encoder: Any) -> Iterator[Any]:
    """The encoder with one core for this thread, which encodes, and another for every thread that decodes.

    FFmpeg's threads stay on the core of the thread that opened the video.
    """
    import torch

    class Confined(type(encoder)):  # type: ignore[misc]
        def read(self, clip: Any) -> Any:
            os.sched_setaffinity(0, {decoding})
            return super().read(clip)

        def encode(self, videos: Any, batch_size: int) -> Any:
            os.sched_setaffinity(0, {encoding})
            return super().encode(videos, batch_size)

    cores, threads = os.sched_getaffinity(0), torch.get_num_threads()
    decoding, encoding = sorted(cores)[:2]
    torch.set_num_threads(1)
    try:
        yield Confined(encoder.config, encoder.vision)
    finally:
        torch.set_num_threads(threads)
        os.sched_setaffinity(0, cores)


def read_all(clips: Any, encoder: Any, workers: int) -> None:
    """Decode as ``encode`` does, with the same threads and the same bound, and drop the frames."""
    from videoexpert.features.encode import _read_ahead

    for _, result in _read_ahead(clips, encoder, workers):
        if isinstance(result, str):
            raise SystemExit(result)


def encoder_of(model: str | None, device: str) -> tuple[Any, str]:
    """The model's encoder, the shipped one's, or a random one; and what to call it."""
    import torch
    from transformers import CLIPVisionConfig

    from videoexpert.assets import SHIPPED_MODEL
    from videoexpert.config import VideoExpertConfig
    from videoexpert.features.encode import TokenEncoder, load_encoder
    from videoexpert.runtime import pick_device
    from videoexpert.vision.encoder import VisionEncoder

    if model is not None or SHIPPED_MODEL.is_dir():
        return load_encoder(model, device=device), model or "shipped"
    torch.manual_seed(0)
    tower = CLIPVisionConfig(
        hidden_size=192,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=3,
        image_size=112,
        patch_size=14,
        projection_dim=192,
    ).to_dict()
    config = VideoExpertConfig.from_preset("paper", vision_config=tower, groups=4, tokens_per_group=32)
    encoder = TokenEncoder(config, VisionEncoder.from_config(tower))
    return encoder.to(pick_device(device)), "random CLIP, 6 layers of 192, 112 pixels"


def generated(folder: Path, count: int, seconds: float) -> Path:
    """Videos of 320 x 240 pixels, 25 a second: drifting noise, another in each."""
    import numpy as np

    from videoexpert.video.write import write_video

    folder.mkdir()
    times = (np.arange(round(seconds * 25)) / 25).tolist()
    for number in range(count):
        scene = np.random.default_rng(number).integers(0, 255, (30, 40, 3), dtype=np.uint8)
        scene = scene.repeat(8, 0).repeat(8, 1)
        pictures = (np.roll(scene, 2 * i, axis=1) for i in range(len(times)))
        write_video(folder / f"{number:03d}.mp4", pictures, times, duration_s=seconds)
    return folder


def timed(work: Callable[[], object]) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    raise SystemExit(main())
