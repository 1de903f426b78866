"""A training process for tests: RECIPE OUT [step | write], where it kills itself as ``kill -9`` would."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from training.conftest import tokens
from videoexpert.training.recipe import load_recipe
from videoexpert.training.run import train
from videoexpert.training.trainer import VideoExpertTrainer


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(recipe: str, out: str, place: str = "") -> None:
    if place == "step":  # between the two micro-batches of a step, after the first checkpoint
        compute, calls = VideoExpertTrainer.compute_loss, []

        def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return die() if len(calls) == 6 else compute(self, *args, **kwargs)

        VideoExpertTrainer.compute_loss = counted  # type: ignore[method-assign]
    if place == "write":  # weights are written, optimiser and random states are not
        VideoExpertTrainer._save_optimizer_and_scheduler = die  # type: ignore[method-assign]
    train(load_recipe(recipe), Path(out), stores={"memory": tokens(5)})


if __name__ == "__main__":
    main(*sys.argv[1:])
