"""What S-tokens cost when a model answers: the measure of the paper's Table VIII, on the device at hand.

    python benchmarks/spatial_tokens.py [--size vicuna-7b] [--tokens 128] [--rounds 5] [--save FILE]

For U groups of W S-tokens behind N = 100 T-tokens: a video is opened (its prefix computed) and an answer of fixed
length generated, with the spatial expert folded into the base as in use. Random weights: the speed depends on
shapes alone. Videos are not encoded here, and the paper does not say what its numbers hold nor how long its answers
were. So only ratios to the first row are compared; medians of ratios within a round. `answer alone` leaves out the
prefix, which a video needs once for all questions.

Without a GPU the shape is `tiny`; `small` is the largest that makes sense there. Memory of the device is measured
on GPUs; the keys and values that a video's tokens occupy, everywhere. JSON is written where --save says.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import time
from pathlib import Path
from typing import Any

import torch

from shapes import (
    SIZES,
    build,
    forget_peak,
    peak_memory,
    pick_size,
    prefix_ids,
    print_table,
    synchronise,
    video,
    words,
)
from videoexpert.engine.decode import decode
from videoexpert.language.passes import Prefix
from videoexpert.language.sequence import Segment
from videoexpert.model import VideoExpertModel
from videoexpert.runtime import hardware, pick_device
from videoexpert.types import VisualTokens

NO_END = -1  # an id that no token has
QUESTION = 40  # tokens with the template around them
# Table VIII: (U, W) -> generated tokens a second, GB of memory
PAPER = {
    (0, 0): (31.17, 16.79),
    (4, 64): (30.61, 16.79),
    (4, 128): (29.42, 16.82),
    (8, 64): (29.17, 16.82),
    (8, 128): (28.39, 16.96),
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=("auto", *SIZES), default="auto")
    parser.add_argument("--tokens", type=int, default=128, help="length of the answer")
    parser.add_argument("--rounds", type=int, default=5, help="medians are shown")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--save", type=Path, default=None, help="also write the table as JSON here")
    args = parser.parse_args(argv)
    report = measure(args)
    for name, value in report.items():
        if name != "rows":
            print(f"{name:<16}{value}")
    print_table(report["rows"])
    if args.save:
        args.save.parent.mkdir(parents=True, exist_ok=True)
        args.save.write_text(json.dumps(report, indent=1) + "\n")
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Everything found; ``rows`` has a dict for each row of Table VIII."""
    device = pick_device(args.device)
    size = pick_size(args.size, device)
    model = build(size, device, torch.bfloat16 if device.type == "cuda" else torch.float32).eval().fold()
    inputs = {shape: video(model, shape[0] * shape[1]) for shape in PAPER}
    times: dict[tuple[int, int], list[tuple[float, float]]] = {shape: [] for shape in PAPER}
    memory: dict[tuple[int, int], float] = {}
    for number in range(args.rounds + 1):
        for shape, tokens in inputs.items():
            forget_peak(device)
            seconds = answer_seconds(model, tokens, args.tokens)
            memory[shape] = peak_memory(device)
            if number:  # the first round only warms up
                times[shape].append(seconds)
    first = next(iter(PAPER))
    rows = []
    for shape, (paper_speed, paper_memory) in PAPER.items():
        whole = [sum(base) / sum(own) for base, own in zip(times[first], times[shape], strict=True)]
        answer = [base[1] / own[1] for base, own in zip(times[first], times[shape], strict=True)]
        rows.append(
            {
                "tokens": f"{model.config.num_frames} + {shape[0]} x {shape[1]}",
                "tokens/s": args.tokens / statistics.median(map(sum, times[shape])),
                "of row 1": statistics.median(whole),
                "paper tokens/s": paper_speed,
                "paper of row 1": paper_speed / PAPER[first][0],
                "to open, s": statistics.median(opened for opened, _ in times[shape]),
                "answer alone, of row 1": statistics.median(answer),
                "keys and values MiB": cache_bytes(open_video(model, inputs[shape])) / 2**20,
                "peak GiB": memory[shape] if device.type == "cuda" else None,
                "paper GB": paper_memory,
            }
        )
    return {
        **hardware(device),
        "shape": f"{size}, {model.language.dtype}, spatial expert folded",
        "answer": f"{args.tokens} tokens; tokens/s with the time to open the video",
        "rows": rows,
    }


def open_video(model: VideoExpertModel, tokens: VisualTokens) -> Prefix:
    return model.open_prefix(tokens, prefix_ids(model))


def answer_seconds(model: VideoExpertModel, tokens: VisualTokens, length: int) -> tuple[float, float]:
    """Seconds to open a video, and to generate ``length`` tokens on it."""
    question = Segment(tuple(words(model, random.Random(1), QUESTION)))
    synchronise(model.device)
    began = time.perf_counter()
    prefix = open_video(model, tokens)
    synchronise(model.device)
    opened = time.perf_counter()
    (made,) = decode(model, [prefix], [1], [question], eos_token_id=NO_END, max_new_tokens=length)
    synchronise(model.device)
    done = time.perf_counter()
    if len(made) != length:
        raise RuntimeError(f"the model generated {len(made)} tokens, expected {length}")
    return opened - began, done - opened


def cache_bytes(prefix: Prefix) -> int:
    """Bytes of the keys and values of a prefix."""
    return sum(part.numel() * part.element_size() for part in (*prefix.keys, *prefix.values))


if __name__ == "__main__":
    raise SystemExit(main())
