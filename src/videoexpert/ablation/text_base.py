"""A base language model that has read and never seen: trained as a language model on text about scripts.

Each text describes what happens in a made-up video, in order, and then asks and answers questions about it, so that the
model learns to look up what precedes the question. There is no frame, no visual token, no time, no ``<LOC>``.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..language.prompter import Prompter
from ..language.sequence import IGNORED
from ..recipes import TextBaseRecipe
from ..shipped.stage import run_stage
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

    def losses(step: int, _: int) -> tuple[Tensor, dict[str, Tensor]]:
        ids, labels = text_batch(prompter, level, recipe, step)
        logits = language(input_ids=ids).logits[:, :-1].flatten(0, 1)
        loss = F.cross_entropy(logits.float(), labels[:, 1:].flatten(), ignore_index=IGNORED)
        return loss, {"loss": loss}

    run_stage(
        {"language": language},
        recipe.steps,
        recipe.learning_rate,
        lambda steps: steps,
        losses,
        state_file,
        clipped=list(own.values()),
        name="text base step",
        log=log,
    )
    language.eval()


__all__ = ["text_batch", "text_ids", "train_text_base"]
