"""A base language model that has read and never seen: trained as a language model on text about scripts.

Each text tells what happens in a made-up video, in order, and then asks and answers questions about it, so that the
model learns to look up in what stands before the question. There is no frame, no visual token, no time, no ``<LOC>``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .. import files
from ..language.prompter import Prompter
from ..language.sequence import IGNORED
from ..recipes import TextBaseRecipe
from ..shipped.optimiser import build_optimiser, cosine_factor, log_interval, set_learning_rate
from ..synthetic.language import caption_of
from ..synthetic.samples import content_samples
from ..synthetic.world import Script, sample_script
from ..training.batches import make_example

NEW = (".lora_A", ".lora_B", ".loc_row")  # of ours, in the language model: they are the variants' to train


def text_ids(prompter: Prompter, script: Script, rng: random.Random, questions: int) -> list[int]:
    """A story and questions with their answers, in the words and the form that the model is asked in later."""
    events = sorted(script.events, key=lambda e: e.start)
    story = ". ".join(caption_of(script, event) for event in events)
    ids = [*prompter.prefix_ids, *prompter.tokenizer(f" {story}.", add_special_tokens=False).input_ids]
    samples = content_samples(script, rng)
    for sample in rng.sample(samples, min(questions, len(samples))):
        ids += make_example(prompter, sample, rng).segment.ids
    return ids


def text_batch(prompter: Prompter, level: int, recipe: TextBaseRecipe, step: int) -> tuple[Tensor, Tensor]:
    """Ids (B, L), padded with 0, and labels (B, L): every word of a text but its padding."""
    rng = random.Random(f"text-base-{recipe.seed}-{step}")
    rows = [
        text_ids(prompter, sample_script(rng, level, "told"), rng, recipe.questions)
        for _ in range(recipe.texts)
    ]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
    labels = torch.tensor([row + [IGNORED] * (longest - len(row)) for row in rows])
    return ids, labels


def train_text_base(
    language: nn.Module,
    prompter: Prompter,
    level: int,
    recipe: TextBaseRecipe,
    state_file: Path,
    *,
    log: Callable[[str], None] = print,
) -> None:
    """Train (or resume) ``language`` on next words alone; every parameter of it, and nothing else, moves."""
    own = {name: p for name, p in language.named_parameters() if not name.endswith(NEW)}
    for name, parameter in language.named_parameters():
        parameter.requires_grad_(name in own)
    optimisers = build_optimiser(language, recipe.learning_rate)
    first = _resume(language, optimisers, state_file)
    every = log_interval(recipe.steps)
    language.train()
    for step in range(first, recipe.steps):
        set_learning_rate(optimisers, cosine_factor(step, recipe.steps, warm_up=0.03))
        ids, labels = text_batch(prompter, level, recipe, step)
        logits = language(input_ids=ids).logits[:, :-1].flatten(0, 1)
        loss = F.cross_entropy(logits.float(), labels[:, 1:].flatten(), ignore_index=IGNORED)
        loss.backward()
        nn.utils.clip_grad_norm_(own.values(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        if (step + 1) % every == 0 or step == recipe.steps - 1:
            log(f"text base step {step + 1} loss {float(loss.detach()):.3f}")
            saved = {
                "language": language.state_dict(),
                "optimisers": [o.state_dict() for o in optimisers],
                "step": step + 1,
            }
            with files.whole_file(state_file) as part:
                torch.save(saved, part)
    language.eval()


def _resume(language: nn.Module, optimisers: list[Any], state_file: Path) -> int:
    if not state_file.exists():
        return 0
    saved = torch.load(state_file, weights_only=True)
    language.load_state_dict(saved["language"])
    for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
        optimiser.load_state_dict(state)
    return int(saved["step"])


__all__ = ["text_batch", "text_ids", "train_text_base"]
