"""One run on ``transformers.Trainer``: loss parts apart, adapter-only checkpoints whole or not at all, exact resume.

RUN/recipe.yaml          the resolved recipe
RUN/checkpoint-STEP/     trained parameters, optimiser, schedule, random states; the latest few and the best
RUN/logs/                TensorBoard
RUN/model/               the finished model, best or last; opens with ``videoexpert.load``
"""

from __future__ import annotations

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

from .. import files
from ..checkpoints import folder as checkpoint
from ..errors import CheckpointError, DependencyError, InputError
from ..grounding.head import HeadOutput
from ..language.sequence import TokenSequence
from ..model import VideoExpertModel
from ..recipes import Recipe, TrainingRecipe
from ..runtime import clean_start
from ..types import Stretch
from ..windows import iou
from .mixture import MicroBatches
from .sharded import check_plugin, gathered_state, gathered_weights, load_state, spread

PARTS = ("text", "indicator", "l1", "giou", "alignment")  # losses, logged unweighted
WEIGHTS, OPTIMIZER, SCHEDULER = "model.safetensors", "optimizer.pt", "scheduler.pt"
UNFINISHED = ".part"  # checkpoints are written here and then moved


class VideoExpertTrainer(Trainer):
    """The Trainer with our losses, our validation and our checkpoints. The data decide the order by themselves."""

    def __init__(
        self,
        model: VideoExpertModel,
        tokenizer: Any,
        train: MicroBatches,
        valid: MicroBatches | None,
        **options: Any,
    ):
        self.bare, self.tokenizer, self.valid = model, tokenizer, valid
        self.trained = frozenset(model.trained_names())  # before a wrapper renames anything
        self._sums: dict[str, Tensor] = {}
        self._folder = ""  # where a checkpoint is being written
        super().__init__(model=model, train_dataset=train, eval_dataset=valid, data_collator=_only, **options)
        if self.is_fsdp_enabled:
            check_plugin(self.accelerator.state.fsdp_plugin)

    # ------------------------------------------------------------------ losses

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The mean over the micro-batch; its parts are summed up for the next line of the log."""
        outputs = model(**inputs)
        loss = outputs["loss"]
        for part in PARTS:
            value = outputs.get(f"{part}_loss")
            if value is not None:
                seen = torch.stack([value.detach().float(), torch.ones_like(value, dtype=torch.float32)])
                self._sums[part] = self._sums.get(part, 0) + seen
        if outputs.get("indicator_loss") is None and self.bare.head is not None:
            # no <LOC> here: the head still gets a gradient, of zero, or other processes would wait for it
            loss = loss + 0.0 * sum(p.sum() for p in self.bare.head.parameters() if p.requires_grad)
        return (loss, outputs) if return_outputs else loss

    def _prepare_input(self, data: Any) -> Any:
        """The Trainer's move to the device, which passes over objects of ours."""
        if isinstance(data, TokenSequence):
            return data.to(self.args.device)
        return super()._prepare_input(data)

    def autocast_smart_context_manager(self, cache_enabled: bool | None = True) -> Any:
        """Autocast under FSDP too, where the Trainer trusts FSDP's own casts instead."""
        if self.is_fsdp_enabled:
            return self.accelerator.autocast()
        return super().autocast_smart_context_manager(cache_enabled)

    def log(self, logs: dict[str, float], *rest: Any, **more: Any) -> None:
        """A line of the training log gets the mean of every part since the line before."""
        if "loss" in logs:
            none = torch.zeros(2, device=self.args.device)
            sums = torch.stack([self._sums.get(part, none) for part in PARTS])
            sums = self.accelerator.reduce(sums, "sum")
            logs |= {f"loss_{part}": float(s / n) for part, (s, n) in zip(PARTS, sums, strict=True) if n > 0}
            self._sums = {}
        super().log(logs, *rest, **more)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the Trainer's estimate walks over all parameters at each micro-batch."""
        return 0

    def get_train_dataloader(self) -> Any:
        """The Trainer's, whose workers start clean."""
        loader = super().get_train_dataloader()
        if self.args.dataloader_num_workers:
            loader.multiprocessing_context = clean_start(__name__)
        return loader

    def _get_train_sampler(self, *_: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)  # type: ignore[arg-type]

    # ------------------------------------------------------------------ validation

    @torch.no_grad()
    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Losses, and mIoU and R1@0.5 (percent) of the best moment at every ``<LOC>``, the text being given.

        Each process takes its share of the micro-batches.
        """
        model, world = self.model_wrapped, self.args.world_size
        model.eval()
        names = ("loss", *PARTS, "mIoU", "R1@0.5")
        sums = torch.zeros(len(names), 2, device=self.args.device)
        assert self.valid is not None
        share = range(self.args.process_index, len(self.valid), world)
        # FSDP gathers weights together: each process runs as many forwards as the others
        rounds = -(-len(self.valid) // world)
        for turn in range(rounds):
            index = share[min(turn, len(share) - 1)] if share else 0
            inputs = self._prepare_inputs(self.valid[index])
            with self.compute_loss_context_manager():
                outputs = model(**inputs)
            if turn >= len(share):
                continue
            found = {"loss": outputs["loss"], **{part: outputs.get(f"{part}_loss") for part in PARTS}}
            overlaps = torch.tensor(self._overlaps(index, outputs), device=self.args.device)
            for row, name in enumerate(names):
                if found.get(name) is not None:
                    sums[row] += torch.stack([found[name].float(), torch.ones_like(found[name]).float()])
            hits = (overlaps >= 0.5).float()
            sums[-2] += torch.tensor([float(overlaps.sum()), len(overlaps)], device=self.args.device)
            sums[-1] += torch.tensor([float(hits.sum()), len(overlaps)], device=self.args.device)
        sums = self.accelerator.reduce(sums, "sum")
        scale = {"mIoU": 100.0, "R1@0.5": 100.0}
        metrics = {
            f"eval_{name}": scale.get(name, 1.0) * float(s / n)
            for name, (s, n) in zip(names, sums, strict=True)
            if n > 0
        }
        model.train()
        if self.args.metric_for_best_model not in metrics:
            raise InputError(
                f"the validation set gives no {self.args.metric_for_best_model}, because it asks for no moment; "
                "set training.metric to loss."
            )
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    def _overlaps(self, index: int, outputs: Any) -> list[float]:
        """Best IoU of the first moment of each ``<LOC>`` with its windows; absent events have none."""
        assert self.valid is not None
        _, rows = self.valid.rows(index)
        asked = [(e.duration_s, windows) for row in rows for e in row for windows in e.windows]
        if not asked:
            return []
        head = HeadOutput(outputs["indicator_logits"], outputs["boundary_logits"])
        clips = [Stretch(0.0, duration_s) for duration_s, _ in asked]
        told = self.bare.moments(head, clips, top_k=1)
        return [
            max(iou((best.start, best.end), window) for window in windows)
            for (best,), (_, windows) in zip(told, asked, strict=True)
            if windows
        ]

    # ------------------------------------------------------------------ checkpoints

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Only what was trained; all processes take part."""
        folder = Path(output_dir or str(self.args.output_dir))
        tensors = self.tensors(self.trained)
        if self.args.should_save:
            _write_trained(self.bare, self.tokenizer, tensors, folder)
        self.accelerator.wait_for_everyone()  # the others write their random states beside it

    def tensors(self, names: frozenset[str] | None = None) -> dict[str, Tensor]:
        """Weights of these ``names``, or all; where they are spread over processes, whole in the first alone."""
        return gathered_weights(self.bare, names, self.args.should_save)

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if not self.is_fsdp_enabled:
            return super()._save_optimizer_and_scheduler(output_dir)
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        # accelerate would write the frozen base models beside it, at every checkpoint
        packed = gathered_state(self.optimizer, self.args.should_save)
        if self.args.should_save:
            torch.save(packed, Path(output_dir) / OPTIMIZER)
            torch.save(self.lr_scheduler.state_dict(), Path(output_dir) / SCHEDULER)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        if not self.is_fsdp_enabled or checkpoint is None:
            return super()._load_optimizer_and_scheduler(checkpoint)
        assert self.optimizer is not None
        assert self.lr_scheduler is not None
        folder = Path(checkpoint)
        load_state(self.optimizer, torch.load(folder / OPTIMIZER, map_location="cpu", weights_only=True))
        self.lr_scheduler.load_state_dict(torch.load(folder / SCHEDULER, weights_only=True))

    def _get_output_dir(self, trial: Any) -> str:
        return self._folder or str(self.args.output_dir)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        """As the Trainer does, but elsewhere; then the finished folder is moved to its place."""
        run = Path(str(self.args.output_dir))
        name = f"checkpoint-{self.state.global_step}"
        if self.args.should_save:
            shutil.rmtree(run / UNFINISHED, ignore_errors=True)
            (run / UNFINISHED).mkdir()
        self.accelerator.wait_for_everyone()
        self._folder = str(run / UNFINISHED)
        try:
            with files.writing(run / name):
                super()._save_checkpoint(model, trial)
        finally:
            self._folder = ""
        self.accelerator.wait_for_everyone()
        if self.state.best_global_step:
            self.state.best_model_checkpoint = str(run / f"checkpoint-{self.state.best_global_step}")
        if self.args.should_save:
            self.state.save_to_json(str(run / UNFINISHED / name / "trainer_state.json"))
            files.publish(run / UNFINISHED / name, run / name)
            self.rotate(run)
            shutil.rmtree(run / UNFINISHED, ignore_errors=True)
        self.accelerator.wait_for_everyone()

    def rotate(self, run: Path) -> None:
        """Keep the latest few and the best."""
        best = self.state.best_global_step
        steps = [step for step in checkpoint_steps(run) if step != best]
        for step in steps[: -(self.args.save_total_limit or 1)]:
            _discard(run / f"checkpoint-{step}")

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        read_trained(self.bare, Path(resume_from_checkpoint))

    def _load_best_model(self) -> None:
        best = f"checkpoint-{self.state.best_global_step}"
        read_trained(self.bare, Path(str(self.args.output_dir)) / best)


def arguments(recipe: Recipe, out: Path, steps: int, accumulation: int) -> TrainingArguments:
    """The Trainer's own options of a recipe."""
    training = recipe.training
    validated = bool(recipe.validation)
    bare = not (torch.cuda.is_available() or torch.backends.mps.is_available())
    made = TrainingArguments(
        output_dir=str(out),
        seed=recipe.seed,
        max_steps=steps,
        per_device_train_batch_size=1,  # an item of the data is a whole micro-batch
        gradient_accumulation_steps=accumulation,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        lr_scheduler_type="cosine",
        warmup_steps=round(training.warm_up * steps),
        bf16=training.precision == "bf16",
        logging_steps=training.log_every,
        logging_nan_inf_filter=False,  # a loss that is not a number must be seen
        save_steps=training.save_every,
        save_total_limit=training.keep,
        eval_strategy="steps" if validated else "no",
        eval_steps=training.save_every,
        load_best_model_at_end=validated,
        metric_for_best_model=f"eval_{training.metric}" if validated else None,
        greater_is_better=training.metric != "loss",
        restore_callback_states_from_checkpoint=validated,
        use_cpu=bare,  # said, or several processes would each train on their own
        dataloader_pin_memory=not bare,
        dataloader_num_workers=training.workers,
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        disable_tqdm=True,  # progress.py reports instead
        report_to=_reporters(training),
    )
    made.mixed_precision = "bf16" if made.bf16 else "no"  # the recipe decides, not accelerate's config file
    made._n_gpu = min(made.n_gpu, 1)  # one process, one device: more devices take torchrun, not DataParallel
    return made


def _reporters(training: TrainingRecipe) -> list[str]:
    """TensorBoard where it is installed; W&B where asked for."""
    found = ["tensorboard"] if importlib.util.find_spec("tensorboard") else []
    if training.wandb:
        if importlib.util.find_spec("wandb") is None:
            raise DependencyError(
                "training.wandb needs the package wandb; pip install wandb, or leave it out."
            )
        found.append("wandb")
    return found


def callbacks(training: TrainingRecipe) -> list[Any]:
    """Early stopping where the recipe has patience."""
    return [EarlyStoppingCallback(training.patience)] if training.patience else []


def set_trained(model: VideoExpertModel, which: str) -> list[str]:
    """Freeze all but what the recipe trains, in float32; returns its names. "adapter" leaves experts and head."""
    names = model.trained_names()
    if which == "adapter":
        names = [name for name in names if name.startswith("adapter.")]
    wanted = set(names)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in wanted)
        if name in wanted:  # a half-precision base does not make half-precision optimiser steps
            parameter.data = parameter.data.float()
    return names


def enable_gradient_checkpointing(model: VideoExpertModel) -> None:
    """Recompute each block of the language model in the backward pass."""
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)()


def checkpoint_steps(run: Path) -> list[int]:
    """Steps of the finished checkpoints of a run, ascending."""
    found = [re.fullmatch(r"checkpoint-(\d+)", folder.name) for folder in run.glob("checkpoint-*")]
    return sorted(int(match[1]) for match in found if match)


def clean(run: Path) -> None:
    """Remove what a killed process left half-written."""
    for stray in run.iterdir() if run.is_dir() else ():
        if stray.name == UNFINISHED or files.is_unfinished(stray.name):
            shutil.rmtree(stray) if stray.is_dir() else stray.unlink()


def read_trained(model: VideoExpertModel, folder: Path) -> None:
    """Trained parameters of a checkpoint into the model. Raises CheckpointError where they do not fit."""
    stored, state = load_file(folder / WEIGHTS), model.state_dict()
    expected = set(model.trained_names())
    wrong = sorted(
        name
        for name in expected | set(stored)
        if name not in stored or name not in expected or stored[name].shape != state[name].shape
    )
    if wrong:
        raise CheckpointError(
            f"{folder} does not fit the recipe's model ({len(wrong)} tensors, e.g. {wrong[0]}); "
            "resume with the recipe the run was begun with."
        )
    with torch.no_grad():
        for name, tensor in stored.items():
            state[name].copy_(spread(tensor, state[name]))


def _write_trained(model: VideoExpertModel, tokenizer: Any, tensors: dict[str, Tensor], folder: Path) -> None:
    if model.config.vision_name and model.config.language_name:
        checkpoint.save(model, tokenizer, folder, adapter_only=True, tensors=tensors)
        return
    # a model that names no bases: the checkpoint serves to resume only
    files.make_folder(folder)
    save_file({k: v.detach().cpu().contiguous() for k, v in tensors.items()}, folder / WEIGHTS)


def _discard(folder: Path) -> None:
    """Delete a checkpoint so that no half of it can be taken for a whole one."""
    doomed = folder.parent / UNFINISHED / f"old-{folder.name}"
    files.make_folder(doomed.parent)
    folder.rename(doomed)
    shutil.rmtree(doomed)


def _only(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    (item,) = items
    return item


__all__ = [
    "VideoExpertTrainer",
    "arguments",
    "callbacks",
    "checkpoint_steps",
    "clean",
    "read_trained",
    "set_trained",
]
