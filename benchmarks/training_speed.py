"""How fast training goes: samples a second packed and unpacked, and how long a step waits for its data.

    python benchmarks/training_speed.py [--videos 24] [--steps 12] [--rounds 5] [--save FILE]

The shipped model trains its experts, `<LOC>` rows, adapter and head on a small synthetic world made here, by
the lines that `videoexpert train` runs. Packed, the samples of one video share one visual prefix; unpacked,
each has its own. Both see the same samples in the same order, and both run with 0 and 1 processes that
prepare batches (`training.workers`), one after the other in every round. What counts are the ratios within a
round; medians are shown. A step waits from asking for its micro-batches until they are on the device. A
process that prepares batches needs a core of its own: on a busy machine its share says little.

Writes benchmarks/results/training_speed.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
WORKERS = (0, 1)
WARM_UP = 2  # steps that are not counted: memory grows, workers start
SOURCES = {  # benchmark -> annotations in the world
    "charades-sta": "charades-sta",
    "qvhighlights": "qvhighlights/highlight_train_release.jsonl",
    "youcook2": "youcook2/youcookii_annotations_trainval.json",
    "nextqa": "nextqa/train.csv",
}
SPLITS = {"charades-sta": "train", "youcook2": "training"}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=24, help="videos to generate")
    parser.add_argument("--steps", type=int, default=12, help="steps that count, in each run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--micro-batch", type=int, default=16)
    parser.add_argument("--questions", type=int, default=4, help="of one video, drawn together")
    parser.add_argument("--save", type=Path, default=ROOT / "benchmarks" / "results" / "training_speed.json")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(args, Path(scratch))
    for name, value in report.items():
        print(f"{name:<66}{value if isinstance(value, str) else f'{value:12.4g}'}")
    args.save.parent.mkdir(parents=True, exist_ok=True)
    args.save.write_text(json.dumps(report, indent=1) + "\n")
    print(f"written to {args.save}")
    return 0


def measure(args: argparse.Namespace, scratch: Path) -> dict[str, Any]:
    """The table, as name -> value."""
    import torch

    write_world(scratch, args.videos)
    load = os.getloadavg()[0]
    rate: dict[tuple[bool, int], list[float]] = {}
    waiting: dict[tuple[bool, int], list[float]] = {}
    for number in range(args.rounds):
        for workers in WORKERS:
            for packed in (True, False) if number % 2 else (False, True):
                found = run(args, scratch, packed, workers, scratch / f"run-{number}-{packed}-{workers}")
                rate.setdefault((packed, workers), []).append(found[0])
                waiting.setdefault((packed, workers), []).append(found[1])
    on_gpu = torch.cuda.is_available()
    report: dict[str, Any] = {
        "hardware": torch.cuda.get_device_name() if on_gpu else f"{os.cpu_count()} CPU cores",
        "platform": f"{platform.machine()}, torch {torch.__version__}, {torch.get_num_threads()} torch threads",
        "load average at start (ours aside)": load,
        "samples a step, a micro-batch, of one video at once": (
            f"{args.batch_size}, {args.micro_batch}, up to {args.questions}"
        ),
        "steps a run, rounds": f"{args.steps}, {args.rounds}",
    }
    for workers in WORKERS:
        label = f"{workers} worker{'' if workers == 1 else 's'}"
        with_one, with_many = rate[True, workers], rate[False, workers]
        ratios = [a / b for a, b in zip(with_one, with_many, strict=True)]
        report |= {
            f"packed, {label}, samples/s": statistics.median(with_one),
            f"unpacked, {label}, samples/s": statistics.median(with_many),
            f"packed over unpacked, {label}": statistics.median(ratios),
            f"packed, {label}, share of a step spent waiting for data": statistics.median(
                waiting[True, workers]
            ),
            f"unpacked, {label}, share of a step spent waiting for data": statistics.median(
                waiting[False, workers]
            ),
        }
    return report


def write_world(scratch: Path, videos: int) -> None:
    """Videos with annotations, and the feature store of the shipped encoder."""
    from videoexpert.features.clips import clips_of
    from videoexpert.features.encode import encode_to_store, load_encoder
    from videoexpert.synthetic.write import WorldRecipe, write_world

    write_world(WorldRecipe(videos=videos, seed=11, test_share=0.0), scratch / "world")
    encode_to_store(clips_of(scratch / "world" / "videos"), load_encoder(None), scratch / "features")


def run(
    args: argparse.Namespace, scratch: Path, packed: bool, workers: int, out: Path
) -> tuple[float, float]:
    """(samples a second, share of the time that steps waited for data) of one run."""
    import torch
    from transformers import PrinterCallback

    from videoexpert.assets import SHIPPED_MODEL
    from videoexpert.recipes import from_mapping
    from videoexpert.training.run import make_trainer

    sources = [
        {
            "benchmark": name,
            "annotations": str(scratch / "world" / place),
            "features": str(scratch / "features"),
            "split": SPLITS.get(name),
        }
        for name, place in SOURCES.items()
    ]
    steps = WARM_UP + args.steps
    recipe = from_mapping(
        {
            "kind": "train",
            "model": {"start": str(SHIPPED_MODEL)},
            "data": sources,
            "training": {
                "steps": steps,
                "batch_size": args.batch_size,
                "micro_batch": args.micro_batch,
                "questions_per_video": args.questions,
                "packed": packed,
                "workers": workers,
                "precision": "bf16" if torch.cuda.is_available() else "float32",
                "log_every": steps,
                "save_every": steps,
            },
        },
        "this benchmark",
    )
    trainer = make_trainer(recipe, out, log=lambda _: None)
    trainer.remove_callback(PrinterCallback)
    clock = Clock(trainer)
    trainer.train()
    seconds, waited = clock.after(WARM_UP)
    return args.steps * args.batch_size / seconds, waited / seconds


class Clock:
    """When each step of a trainer ended, and how long it had waited for its micro-batches before."""

    def __init__(self, trainer: Any) -> None:
        from transformers import TrainerCallback

        self.ends: list[float] = []
        self.waits: list[float] = []
        fetch, clock = trainer.get_batch_samples, self

        def timed(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            found = fetch(*arguments, **options)
            clock.waits.append(time.perf_counter() - began)
            return found

        class Ends(TrainerCallback):
            def on_step_end(self, *_: Any, **__: Any) -> None:
                synchronise()
                clock.ends.append(time.perf_counter())

        trainer.get_batch_samples = timed
        trainer.add_callback(Ends())

    def after(self, steps: int) -> tuple[float, float]:
        """Seconds from the end of that step to the end of the last, and how many of them were waited."""
        return self.ends[-1] - self.ends[steps - 1], sum(self.waits[steps : len(self.ends)])


def synchronise() -> None:
    """Wait until the device has done what it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    raise SystemExit(main())
