"""What a run says while it trains: one line a report, with loss, held-out score and the time that is left."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from transformers import TrainerCallback

REDRAWN_S = 0.5  # a terminal's line is drawn anew no more often


class Telling(TrainerCallback):
    """Replaces the Trainer's bar and its raw dictionaries. ``log`` gets whole lines.

    On a terminal the line under way is drawn in place on stderr between them.
    """

    def __init__(self, log: Callable[[str], None], metric: str) -> None:
        self.log, self.metric = log, metric
        self._began, self._first, self._drawn = 0.0, 0, 0.0
        self._loss: float | None = None
        self._live = sys.stderr.isatty()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._began, self._first = time.monotonic(), state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        now = time.monotonic()
        if self._live and state.is_world_process_zero and now - self._drawn >= REDRAWN_S:
            self._drawn = now
            print(f"\r\x1b[K{self._line(state)}", end="", file=sys.stderr, flush=True)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        found = logs or {}
        if "loss" in found:
            self._loss = float(found["loss"])
            if not self._checked_now(args, state):  # else the check's line follows
                self._tell(state, self._line(state))

    def on_evaluate(self, args: Any, state: Any, control: Any, metrics: Any = None, **_: Any) -> None:
        value = (metrics or {}).get(f"eval_{self.metric}")
        if value is None:
            return
        best = state.best_metric
        better = max if self.metric != "loss" else min
        mark = " (best so far)" if best is None or better(value, best) == value else f", best {best:.4g}"
        self._tell(state, f"{self._line(state)}, held-out {self.metric} {value:.4g}{mark}")

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if state.best_global_step:
            stopped = "" if state.global_step >= state.max_steps else ", no better since: stopped early"
            self._tell(
                state,
                f"kept the checkpoint of step {state.best_global_step} of {state.max_steps}: "
                f"held-out {self.metric} {state.best_metric:.4g}{stopped}",
            )
        else:
            self._tell(state, f"kept the last step, {state.global_step}: nothing was held out to choose by")

    def _checked_now(self, args: Any, state: Any) -> bool:
        return args.eval_strategy != "no" and state.global_step % max(int(args.eval_steps or 1), 1) == 0

    def _line(self, state: Any) -> str:
        loss = "" if self._loss is None else f", loss {self._loss:.4g}"
        return f"step {state.global_step} of {state.max_steps}{loss}, {self._left(state)} left"

    def _left(self, state: Any) -> str:
        done = state.global_step - self._first
        if done <= 0:
            return "?"
        seconds = (time.monotonic() - self._began) / done * (state.max_steps - state.global_step)
        minutes, rest = divmod(round(seconds), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

    def _tell(self, state: Any, line: str) -> None:
        if state.is_world_process_zero:
            if self._live:
                print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self.log(line)


__all__ = ["Telling"]
