"""A training process for tests: RECIPE OUT [step | write | fsdp].

step, write: it kills itself there as ``kill -9`` would. fsdp: the model is spread over processes, on the CPU.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import DistributedType
from torch.distributed.tensor import DTensor

from training_world import tokens
from videoexpert.recipes import load_recipe
from videoexpert.training import run
from videoexpert.training.trainer import VideoExpertTrainer


def die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def allow_fsdp_on_the_cpu() -> None:
    """accelerate looks at its FSDP settings only beside accelerators; all that is behind that runs on CPUs too.

    Of ``DistributedType`` only this one look is made to see an accelerator; backend (gloo) and device stay.
    """
    begin, finish = AcceleratorState.__init__, run.finish

    def looked(self: Any, *args: Any, **kwargs: Any) -> None:
        if PartialState._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
        begin(self, *args, **kwargs)

    def counted(trainer: VideoExpertTrainer, out: Path, *more: Any) -> Path:
        state = trainer.bare.state_dict().values()
        own = sum((t.to_local() if isinstance(t, DTensor) else t).numel() for t in state)
        (out / f"own-{trainer.args.process_index}").write_text(f"{own} of {sum(t.numel() for t in state)}")
        return finish(trainer, out, *more)

    AcceleratorState.__init__ = looked  # type: ignore[method-assign]
    run.finish = counted


def main(recipe: str, out: str, place: str = "") -> None:
    if place == "step":  # between the two micro-batches of a step, after the first checkpoint
        compute, calls = VideoExpertTrainer.compute_loss, []

        def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
            calls.append(1)
            return die() if len(calls) == 6 else compute(self, *args, **kwargs)

        VideoExpertTrainer.compute_loss = counted  # type: ignore[method-assign]
    if place == "write":  # weights are written, optimiser and random states are not
        VideoExpertTrainer._save_optimizer_and_scheduler = die  # type: ignore[method-assign]
    if place == "fsdp":
        allow_fsdp_on_the_cpu()
    run.train(load_recipe(recipe), Path(out), stores={"memory": tokens(5)})


if __name__ == "__main__":
    main(*sys.argv[1:])
