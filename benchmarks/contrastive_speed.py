"""How much of the slower of decoding and encoding a contrastive model keeps while it opens a video.

    python benchmarks/contrastive_speed.py [--size b32] [--seconds 20] [--rate 2] [--rounds 3] [--save FILE]

In one run, round by round: decoding alone (``stream_frames``, resized for the tower), encoding alone (the same
pictures from memory), and ``open`` of the backend, which overlaps them. Random weights in the published shape of CLIP
B/32: the speed depends on shapes alone. The video is 640 x 360 H.264 of moving noise. The claim is about the ratio; on
a CPU both stages share the cores, so that it shows how little the cheaper one takes away. Medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

CLAIM = 0.85
SHAPES: dict[str, dict[str, Any]] = {
    "b32": {
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "image_size": 224,
        "patch_size": 32,
    },
    "tiny": {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": 32,
        "patch_size": 8,
    },
}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=sorted(SHAPES), default="b32")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rate", type=float, default=2.0, help="frames a second that are looked at")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--save", type=Path, default=None)
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(args, Path(scratch))
    for name, value in report.items():
        print(f"{name:<44}{value if isinstance(value, str) else f'{value:10.4g}'}")
    if args.save:
        args.save.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


def measure(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """Seconds of each stage and of both, and what the claim is about."""
    from videoexpert.backends.contrastive import BATCH, Contrastive
    from videoexpert.runtime import hardware, pick_device
    from videoexpert.video.stream import stream_frames

    device = pick_device(args.device)
    tower = random_tower(args.size, device)
    batch = BATCH.get(device.type, BATCH["cuda"])
    backend = Contrastive(tower, rate=args.rate, batch_size=batch)
    path = noise_video(scratch / "noise.mp4", args.seconds)
    pictures = torch.stack([p for _, p in stream_frames(path, args.rate, resize=tower.resize)])
    tower.encode_images(pictures[:batch], batch)  # warm
    stages: dict[str, Callable[[], object]] = {
        "decoding alone, s": lambda: sum(1 for _ in stream_frames(path, args.rate, resize=tower.resize)),
        "encoding alone, s": lambda: tower.encode_images(pictures, batch),
        "both, s": lambda: backend.open(path),
    }
    took: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(args.rounds):
        for name, stage in stages.items():
            took[name].append(seconds(stage, device))
    rounds = list(zip(*took.values(), strict=True))
    return {
        "tower": f"CLIP {args.size}, random weights",
        **hardware(device),
        "frames": len(pictures),
        **{name: statistics.median(values) for name, values in took.items()},
        "as a fraction of the slower alone": statistics.median(max(d, e) / both for d, e, both in rounds),
        "claimed": CLAIM,
    }


def seconds(stage: Callable[[], object], device: torch.device) -> float:
    """Seconds on the clock until it is done, the device's queue included."""
    began = time.perf_counter()
    stage()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - began


def random_tower(size: str, device: torch.device) -> Any:
    """A CLIP of that shape with the tokenizer of the package's own."""
    from transformers import AutoTokenizer, CLIPConfig, CLIPModel

    from videoexpert.assets import SHIPPED_CLIP
    from videoexpert.vision.image_text import TransformersTower
    from videoexpert.vision.preprocess import Preprocessor

    shape = SHAPES[size]
    text = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(vision_config=shape, text_config=text, projection_dim=512))
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    tokenizer = AutoTokenizer.from_pretrained(SHIPPED_CLIP)
    return TransformersTower(
        model.to(device, dtype), tokenizer, Preprocessor(shape["image_size"]), name=f"random {size}"
    )


def noise_video(path: Path, length_s: float, rate: int = 25) -> Path:
    """Coarse noise that moves a little from picture to picture and is another every two seconds."""
    from videoexpert.video.write import write_video

    rng = np.random.default_rng(0)
    times = np.arange(round(length_s * rate)) / rate
    scenes = rng.integers(0, 255, (int(length_s / 2) + 1, 45, 80, 3), dtype=np.uint8)
    pictures = (
        np.roll(scenes[int(t / 2)].repeat(8, 0).repeat(8, 1), round(40 * t), axis=1).copy() for t in times
    )
    write_video(path, list(pictures), times.tolist(), duration_s=length_s)
    return path


if __name__ == "__main__":
    raise SystemExit(main())
