"""The text tower of the shipped CLIP: trained on a finished vision tower, which stays unchanged to the byte.

A text may say only part of what a frame shows, so a frame can have several right texts in a batch and a text several
right frames. What each says is known from the script, and all right pairs count.

A text ends with ``END``, which the tokenizer appends by itself and which has the highest id. transformers' CLIP finds
the end either as ``eos_token_id`` or, where that is 2, as the highest id: both are this token.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import processors
from torch import Tensor
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, PreTrainedTokenizerFast

from ..marks import marks_of, words_of
from ..recipes import TextRecipe
from ..synthetic.language import Seen, query_for, say_seen, seen_at
from ..synthetic.render import render
from ..synthetic.world import Script, sample_script
from ..vision.preprocess import Preprocessor
from .stage import run_stage

END = "<|endoftext|>"
MAX_TOKENS = 96


@dataclass(frozen=True)
class Gallery:
    """Frames as the vision tower gives them, with what is in each. ``image`` (F, C) has unit length."""

    image: Tensor
    script: tuple[int, ...]
    seen: tuple[tuple[Seen, ...], ...]


def end_token(tokenizer: PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """The tokenizer of a text tower: as ``tokenizer``, with every text ended by ``END``, the highest id."""
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        pad_token=tokenizer.pad_token,
        bos_token=tokenizer.bos_token,
        eos_token=END,
        model_max_length=MAX_TOKENS,
    )
    place = made.convert_tokens_to_ids(END)
    assert place == len(made) - 1, "the end of a text is the highest id"
    made.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, place)]
    )
    return made


def with_text(clip: CLIPModel, recipe: TextRecipe, tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """``clip`` with a new text tower of random weights; the vision tower and its projection are the old ones."""
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.width,
        intermediate_size=3 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        max_position_embeddings=MAX_TOKENS,
        projection_dim=clip.config.projection_dim,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = CLIPConfig(
        text_config=text.to_dict(),
        vision_config=clip.vision_model.config.to_dict(),
        projection_dim=clip.config.projection_dim,
    )
    made = CLIPModel(config)
    made.vision_model.load_state_dict(clip.vision_model.state_dict())
    made.visual_projection.load_state_dict(clip.visual_projection.state_dict())
    return made


@torch.no_grad()
def show(clip: CLIPModel, recipe: TextRecipe, seed: str, scripts: int | None = None) -> Gallery:
    """Frames of fresh scripts through the vision tower, with the noise that a codec leaves."""
    size = int(clip.vision_model.config.image_size)
    images, seen, owner = [], [], []
    for number in range(recipe.scripts if scripts is None else scripts):
        script, times = drawn(recipe, seed, number)
        pixels = render(script, times, size)
        grain = torch.randn(pixels.shape, generator=torch.Generator().manual_seed(number)) * 4.0
        pixels = (pixels.float() + grain).clamp_(0, 255).to(torch.uint8)
        images.append(clip.get_image_features(Preprocessor(size).normalise(pixels)).pooler_output)
        seen += [tuple(seen_at(script, t)) for t in times]
        owner += [number] * len(times)
    return Gallery(F.normalize(torch.cat(images), dim=-1), tuple(owner), tuple(seen))


def drawn(recipe: TextRecipe, seed: str, number: int) -> tuple[Script, np.ndarray]:
    """A script and the seconds of its frames; the same ``seed`` and ``number`` give the same."""
    rng = random.Random(f"text-{seed}-{number}")
    script = sample_script(rng, rng.choice(recipe.levels))
    return script, np.sort([rng.uniform(0, script.duration) for _ in range(recipe.frames)])


def sentence(seen: Sequence[Seen], rng: random.Random) -> tuple[str, tuple[Seen, ...]]:
    """A text about a frame, and what has to be in a frame for it to be true of it.

    All of the frame, some of it, one thing by name, or an event query, of which a frame can only show the thing.
    """
    if not seen:
        return "nothing", ()
    kind = rng.random()
    if kind < 0.4:
        return say_seen(seen), tuple(seen)
    if kind < 0.6:
        some = rng.sample(list(seen), rng.randint(1, len(seen)))
        return say_seen(some), tuple(some)
    thing = rng.choice(list(seen))
    known = (Seen(thing.thing, "", ""),)
    if kind < 0.8:
        return rng.choice(("{}", "a {}", "the {}")).format(thing.thing.name), known
    return query_for(thing.thing, rng.choice(list(thing.actions)), rng), known


def truth(said: Sequence[tuple[Seen, ...]], frames: Sequence[tuple[Seen, ...]]) -> Tensor:
    """(texts, frames) 1 where all that a text says is in the frame. "nothing" is true of empty frames only."""
    facts = [frozenset(f for s in seen for f in s.facts()) for seen in frames]
    wanted = [frozenset(s.fact() for s in one) for one in said]
    return torch.tensor([[float(w <= f if w else not f) for f in facts] for w in wanted])


def train_text(
    clip: CLIPModel,
    recipe: TextRecipe,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    log: Callable[[str], None] = print,
) -> CLIPModel:
    """Train (or resume) a text tower on the vision tower of ``clip``.

    Leaves the CLIPModel with its tokenizer in ``folder``.
    """
    ended = end_token(tokenizer)
    torch.manual_seed(recipe.seed)
    model = with_text(clip, recipe, ended)
    model.vision_model.requires_grad_(False)
    model.visual_projection.requires_grad_(False)
    shown = show(model, recipe, str(recipe.seed))

    def losses(step: int, _: int) -> tuple[Tensor, dict[str, Tensor]]:
        rng = random.Random(f"{recipe.seed}-text-{step}")
        loss = text_loss(model, ended, shown, rng, recipe.batch)
        return loss, {"loss": loss}

    state = folder.with_name(folder.name + "_state.pt")
    run_stage(
        {"model": model},
        recipe.steps,
        recipe.learning_rate,
        lambda steps: steps,
        losses,
        state,
        name="text step",
        log=log,
    )
    log(json.dumps({"text": recall(model.eval(), ended, recipe)}))
    part = folder.with_name(folder.name + ".part")
    model.save_pretrained(part)
    ended.save_pretrained(part)  # a text tower means nothing without the ids it was trained on
    part.rename(folder)
    return model


def text_loss(
    model: CLIPModel, tokenizer: PreTrainedTokenizerFast, shown: Gallery, rng: random.Random, batch: int
) -> Tensor:
    """Cross-entropy of texts over frames and of frames over texts, the right ones sharing the mass."""
    chosen = rng.sample(range(len(shown.seen)), min(batch, len(shown.seen)))
    texts, said = zip(*(sentence(shown.seen[i], rng) for i in chosen), strict=True)
    right = truth(said, [shown.seen[i] for i in chosen])
    logits = embed(model, tokenizer, texts) @ shown.image[chosen].T * model.logit_scale.exp().clamp(max=50.0)
    by_text = F.cross_entropy(logits, right / right.sum(1, keepdim=True))
    by_frame = F.cross_entropy(logits.T, right.T / right.T.sum(1, keepdim=True))
    return by_text + by_frame


def embed(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, texts: Sequence[str]) -> Tensor:
    """(len(texts), C) of unit length."""
    said = [words_of(text, marks_of(tokenizer)) for text in texts]
    ids = tokenizer(said, return_tensors="pt", padding=True, truncation=True)
    found = model.get_text_features(input_ids=ids.input_ids, attention_mask=ids.attention_mask)
    return F.normalize(found.pooler_output, dim=-1)


@torch.no_grad()
def recall(model: CLIPModel, tokenizer: PreTrainedTokenizerFast, recipe: TextRecipe) -> dict[str, float]:
    """Retrieval among held-out videos, each as good as its best frame.

    recall@10: a whole frame is described, and its video is among the first ten. precision@10: a thing is named, and
    so many of the first ten videos show it.
    """
    videos = recipe.probe
    shown = show(model, recipe, "held-out", scripts=videos)
    frames = shown.image.unflatten(0, (videos, recipe.frames))
    full = [shown.seen[v * recipe.frames] for v in range(videos)]
    described = embed(model, tokenizer, [say_seen(seen) if seen else "nothing" for seen in full])
    rank = best_videos(described, frames)
    asked = [v for v in range(videos) if full[v]]
    names = sorted({s.thing.name for seen in shown.seen for s in seen})
    top = best_videos(embed(model, tokenizer, [f"the {name}" for name in names]), frames)
    has = [
        {s.thing.name for f in range(recipe.frames) for s in shown.seen[v * recipe.frames + f]}
        for v in range(videos)
    ]
    hits = [[name in has[v] for v in row[:10]] for name, row in zip(names, top.tolist(), strict=True)]
    return {
        "recall@1": float(np.mean([rank[v, 0] == v for v in asked])),
        "recall@10": float(np.mean([v in rank[v, :10] for v in asked])),
        "precision@10 of names": float(np.mean(hits)),
        "videos": float(videos),
    }


def best_videos(texts: Tensor, frames: Tensor) -> Tensor:
    """(texts, videos) video numbers, best first; texts (Q, C), frames (V, F, C)."""
    scores = torch.einsum("qc,vfc->qvf", texts, frames).amax(-1)
    return scores.argsort(dim=1, descending=True)
