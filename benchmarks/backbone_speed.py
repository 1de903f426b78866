"""Training speed of a Vicuna-7B-shaped model on the device at hand: tokens a second, and the share of its peak.

    python benchmarks/backbone_speed.py [--size vicuna-7b] [--micro-batches 1 4 8] [--steps 5] [--save FILE]

Random weights of that shape, everything else as recipes/pretrain.yaml: experts of rank 32 + 32 on all linear
layers, gradient checkpointing, bfloat16, N = 100 T-tokens and M = 256 S-tokens a video, up to four samples of
one video packed behind one prefix. A step is forward, backward, clipping and AdamW; no data are read.

`share of peak` counts what training the experts needs: the products of the frozen weights forward and for the
gradient of their inputs (4 FLOP a weight and token), those of the experts with their own gradients (6), attention
between the pairs of positions that see each other, and the output layer where text is supervised. `with recomputing`
adds the second forward of gradient checkpointing. The peak is the maker's for dense bfloat16: H100 and H200
989 TFLOP/s, A100 312; on other devices the share is left out. Padding counts as no token.

A micro-batch that does not fit is reported as such. Without a GPU the shape is `tiny`, which shows that the
script runs and nothing of the speed of a real model. JSON is written where --save says.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from shapes import (
    SIZES,
    autocast,
    build,
    examples,
    forget_peak,
    peak_flops,
    peak_memory,
    pick_size,
    prefix_ids,
    pretraining,
    print_table,
    synchronise,
    video,
)
from videoexpert.language.sequence import IGNORED
from videoexpert.model import VideoExpertModel
from videoexpert.runtime import hardware, pick_device
from videoexpert.training.batches import collate
from videoexpert.training.trainer import enable_gradient_checkpointing, set_trained

WARM_UP = 2  # steps that are not counted


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=("auto", *SIZES), default="auto")
    parser.add_argument("--micro-batches", type=int, nargs="+", default=[1, 4, 8], help="samples")
    parser.add_argument("--steps", type=int, default=5, help="medians are shown")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--unpacked", action="store_true", help="each sample behind a prefix of its own")
    parser.add_argument("--save", type=Path, default=None, help="also write the table as JSON here")
    args = parser.parse_args(argv)
    report = measure(args)
    rows = report["rows"]
    for name, value in report.items():
        if name != "rows":
            print(f"{name:<28}{value}")
    print_table(rows)
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything found; ``rows`` has a dict for each micro-batch size."""
    device = pick_device(args.device)
    size, recipe = pick_size(args.size, device), pretraining()
    model = build(size, device, torch.bfloat16)
    set_trained(model, recipe.model.train)
    if recipe.training.gradient_checkpointing:
        enable_gradient_checkpointing(model)
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=recipe.training.learning_rate, fused=device.type == "cuda")
    peak = peak_flops(device)
    per_video = 1 if args.unpacked or not recipe.training.packed else recipe.training.questions_per_video
    rows = []
    for count in args.micro_batches:
        forget_peak(device)
        row = {"micro-batch": count, **attempt(model, optimizer, batch(model, count, per_video), args.steps)}
        row["share of peak"] = row["with recomputing"] = None
        if peak and row["seconds a step"]:
            needed, executed = row["needed TFLOP"], row["executed TFLOP"]
            row["share of peak"] = needed * 1e12 / row["seconds a step"] / peak
            row["with recomputing"] = executed * 1e12 / row["seconds a step"] / peak
        rows.append(row)
    return {
        **hardware(device),
        "shape": f"{size}: {sum(p.numel() for p in model.language.parameters()):,} weights with experts",
        "trained": f"{sum(p.numel() for p in trained):,} weights, float32; the others bfloat16",
        "tokens a video": f"{model.config.num_frames} T, {model.config.num_spatial_tokens} S",
        "samples of one video packed": f"up to {per_video}",
        "peak": f"{peak / 1e12:g} TFLOP/s (maker's, dense bfloat16)" if peak else "not known for this device",
        "peak memory": "of the device" if device.type == "cuda" else "of the process, over all it did",
        "rows": rows,
    }


def batch(model: VideoExpertModel, count: int, per_video: int) -> dict[str, Any]:
    """The tensors of ``forward`` for ``count`` samples, ``per_video`` behind one prefix, on the model's device."""
    made = list(examples(model, count))
    rows = [made[i : i + per_video] for i in range(0, count, per_video)]
    tensors = collate([video(model) for _ in rows], rows, prefix_ids(model), model.config)
    return {name: tensor.to(model.device) for name, tensor in tensors.items()}


def attempt(
    model: VideoExpertModel, optimizer: torch.optim.Optimizer, tensors: dict[str, Any], steps: int
) -> dict[str, Any]:
    """Time of a step and what follows from it; None for all of it where the device's memory does not do."""
    positions = int((tensors["sequence"].segments >= 0).sum())
    needed, with_again = work(model, tensors)
    seconds: float | None = None
    with suppress(torch.OutOfMemoryError):
        seconds = statistics.median(time_steps(model, optimizer, tensors, steps))
    if seconds is None:  # by now nothing holds the tensors of the failed step
        optimizer.zero_grad(set_to_none=True)
        forget_peak(model.device)
    return {
        "tokens": positions,
        "positions": tensors["sequence"].segments.numel(),
        "seconds a step": seconds,
        "tokens/s": positions / seconds if seconds else None,
        "peak GiB": peak_memory(model.device) if seconds else "out of memory",
        "needed TFLOP": needed / 1e12,
        "executed TFLOP": (with_again if pretraining().training.gradient_checkpointing else needed) / 1e12,
    }


def time_steps(
    model: VideoExpertModel, optimizer: torch.optim.Optimizer, tensors: dict[str, Any], steps: int
) -> list[float]:
    """Seconds of each step after the first few."""
    found = []
    for _ in range(WARM_UP + steps):
        synchronise(model.device)
        began = time.perf_counter()
        with autocast(model.device):
            loss = model(**tensors)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for g in optimizer.param_groups for p in g["params"]], 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        synchronise(model.device)
        found.append(time.perf_counter() - began)
    return found[WARM_UP:]


def work(model: VideoExpertModel, tensors: dict[str, Any]) -> tuple[float, float]:
    """FLOP of one step that training needs, and that are executed where gradient checkpointing runs blocks again.

    A product of a (k, n) weight and a token is 2 k n FLOP. Adapter and head, a thousandth of it, are left out.
    """
    layers = model.language.base_model.layers
    linear = [p for name, p in layers.named_parameters() if name.endswith(".base.weight")]
    experts = [p for name, p in layers.named_parameters() if name.endswith((".lora_A", ".lora_B"))]
    tokens = int((tensors["sequence"].segments >= 0).sum())
    forward = 2 * tokens * sum(p.numel() for p in linear)
    own = 2 * tokens * sum(p.numel() for p in experts)
    width = model.language.config.hidden_size
    attention = 4 * len(layers) * width * pairs(tensors["sequence"].segments)
    supervised = int((tensors["sequence"].labels != IGNORED).sum())
    output = 2 * supervised * model.language.get_output_embeddings().weight.numel()
    needed = 2 * forward + 3 * own + 3 * attention + 2 * output
    return float(needed), float(needed + forward + own + attention)


def pairs(segments: torch.Tensor) -> int:
    """How many (position, position it sees) there are in (B, L) segments: its own past and the prefix."""
    found = 0
    for row in segments.tolist():
        counts = [row.count(number) for number in range(max(row) + 1)]
        found += sum(n * (n + 1) // 2 for n in counts) + counts[0] * sum(counts[1:])
    return found


if __name__ == "__main__":
    raise SystemExit(main())
