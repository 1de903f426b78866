"""The shipped model from scratch: tower, small language model, then the paper's parts; see recipes/shipped.yaml."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPModel, LlamaConfig

from .. import files, locks, pretrained
from ..checkpoints import folder as checkpoint
from ..config import VideoExpertConfig
from ..grounding.calibration import fit
from ..language import prompt
from ..language.prompter import Prompter
from ..language.vocabulary import add_loc_token
from ..model import VideoExpertModel
from ..recipes import ShippedRecipe, claim
from ..synthetic.language import ABSENT_QUERIES
from ..synthetic.samples import false_queries, true_queries
from ..training.familiarity import VIDEOS
from ..types import Stretch, VisualTokens
from ..video.sampling import bin_centres
from ..vision.encoder import VisionEncoder
from ..windows import iou
from .base import STATE_DIMS, StateSource, VideoSource, quick_scores, train_base
from .familiar import learn_world
from .rendered import RenderedSource, RenderRecipe, build
from .text import train_text
from .tokenizer import train_tokenizer
from .towers import train_tower

Log = Callable[[str], None]
READ_BY = ("R1@0.5", "R1@0.7", "mIoU")  # whose sum decides how moments are read


def train_shipped(recipe: ShippedRecipe, out: Path, log: Log = print) -> Path:
    """Run (or resume) every stage in ``out``; the finished model folder is ``out/model``, its CLIP ``out/clip``.

    Raises InputError for an ``out`` that another recipe began, or in which another process trains.
    """
    files.make_folder(out)
    with locks.held(out):
        claim(recipe, out)
        return _train(recipe, out, log)


def _train(recipe: ShippedRecipe, out: Path, log: Log) -> Path:
    tokenizer = world_tokenizer(out / "tokenizer")
    tower = out / "tower" / "vision"
    if not tower.exists():
        log("stage 1 of 6: vision tower")
        train_tower(recipe.tower, out / "tower", log=log)
    vision = checkpoint.load_vision(tower)
    config = make_config(recipe.model, recipe.language, tokenizer, vision)
    prompter = Prompter(config, tokenizer)

    log("stage 2 of 6: small language model, perfect vision")
    torch.manual_seed(recipe.seed)
    model = VideoExpertModel(config, vision=vision)
    sizes = (config.num_frames, (config.groups, config.tokens_per_group), config.vision_width)
    levels = tuple(recipe.levels)
    states = StateSource(1_000_000, levels, *sizes, seed=1)
    check = _checker(prompter, StateSource(60, levels, *sizes, seed=2))
    for number, stage in enumerate(recipe.warm_start, start=1):
        train_base(model, prompter, states, stage, out / f"warm_start_{number}.pt", log=log, check=check)

    log("stage 3 of 6: render and encode")
    source = build(tower, config, _render(recipe, recipe.videos, 1), out / "tokens", log=log)
    held = build(tower, config, _render(recipe, recipe.calibration_videos, 2), out / "held", log=log)

    log("stage 4 of 6: joint training on pixels")
    swap_adapter(model, source)
    check = _checker(prompter, held)
    train_base(model, prompter, source, recipe.joint, out / "joint.pt", log=log, check=check)

    log("stage 5 of 6: experts, adapter and head on the frozen language model")
    train_base(model, prompter, source, recipe.experts, out / "experts.pt", log=log, check=check)
    calibrate(model, prompter, held, log)
    model.familiarity = learn_world(
        tower,
        vision,
        config,
        out / "familiar",
        seed=recipe.seed,
        videos=min(VIDEOS, 2 * recipe.calibration_videos),
        log=log,
    )
    checkpoint.save(model.half(), tokenizer, out / "model")
    log(f"saved {out / 'model'}")

    if not (out / "clip").exists():
        log("stage 6 of 6: text tower, on the finished vision tower")
        words = world_tokenizer(out / "tokenizer")  # without <LOC>
        clip, _ = pretrained.model_of(CLIPModel, tower, "two-tower model")
        train_text(clip.eval(), recipe.text, words, out / "clip", log=log)
    return out / "model"


def make_config(
    fields: Mapping[str, Any], language_fields: Mapping[str, Any], tokenizer: Any, vision: VisionEncoder
) -> VideoExpertConfig:
    """The config of a model on a small Llama; the disputed fields are the paper's. Adds ``<LOC>`` to the tokenizer."""
    loc = add_loc_token(tokenizer, "<LOC>")
    language = LlamaConfig(
        vocab_size=loc,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        tie_word_embeddings=False,
        **language_fields,
    )
    return VideoExpertConfig.from_preset(
        "paper",
        vision_config=vision.to_config(),
        language_config=language.to_dict(),
        loc_token_id=loc,
        **fields,
    )


def world_tokenizer(folder: Path) -> Any:
    """One tokeniser for the text tower and the language model: the world's words and every prompt template."""
    if not folder.exists():
        templates = [
            t.format(query="", letters="")
            for f in fields(prompt.Phrasings)
            for t in getattr(prompt._PAPER, f.name)
        ]
        train_tokenizer((*templates, "USER: ASSISTANT: During. Question: Options:"), 900).save_pretrained(
            folder
        )
    return pretrained.tokenizer_of(folder)


def _render(recipe: ShippedRecipe, count: int, seed: int) -> RenderRecipe:
    return RenderRecipe(
        count=count, levels=tuple(recipe.levels), seed=1000 * recipe.seed + seed, size=recipe.render_size
    )


def _checker(prompter: Prompter, held: VideoSource) -> Callable[[VideoExpertModel], str]:
    return lambda model: " ".join(f"{k} {v:.3f}" for k, v in quick_scores(model, prompter, held).items())


@torch.no_grad()
def swap_adapter(model: VideoExpertModel, source: RenderedSource, videos: int = 200) -> None:
    """From state vectors to class tokens: compose the adapter with the linear map that best reads the state.

    The language model then sees at once nearly what it was warm-started on.
    """
    from .base import state_vectors

    tokens, states = [], []
    for index in range(min(videos, len(source))):
        script, shown = source[index]
        tokens.append(shown.temporal)
        states.append(state_vectors(script, bin_centres(len(shown.temporal), 0.0, script.duration)))
    x = torch.cat(tokens)
    x1 = torch.cat([x, torch.ones(len(x), 1)], dim=1)
    ridge = 1e-3 * len(x) * torch.eye(x1.shape[1]) * x1.var()
    solution = torch.linalg.solve(x1.T @ x1 + ridge, x1.T @ torch.cat(states))  # (C + 1, STATE_DIMS)
    readout, offset = solution[:-1].T, solution[-1]
    linear, motion = model.adapter.linear, model.adapter.motion
    old = linear.weight[:, :STATE_DIMS].clone()
    linear.bias.add_(old @ offset)
    linear.weight.copy_(old @ readout)
    if motion is not None:
        parts = motion.weight.unflatten(1, (len(model.adapter.offsets), -1))[..., :STATE_DIMS]
        motion.weight.copy_((parts @ readout).flatten(1))


@torch.no_grad()
def calibrate(model: VideoExpertModel, prompter: Prompter, held: VideoSource, log: Log = print) -> None:
    """Set the reading of moments and both calibrations in the config, from held-out videos.

    Times written as text have no scores to calibrate.
    """
    config = model.config
    if model.head is None:
        return
    scores = quick_scores(model, prompter, held, videos=len(held))
    config.moment_from = max(("offsets", "run"), key=lambda way: sum(scores[f"{way}/{m}"] for m in READ_BY))
    peaks: list[Tensor] = []
    right, present = [], []
    for index in range(len(held)):
        script, tokens = held[index]
        asked: list[tuple[str, tuple[Any, ...]]] = [*true_queries(script, random.Random(index))]
        absent = false_queries(script, random.Random(f"{index}-absent"), ABSENT_QUERIES)
        asked.extend((query, ()) for query in absent)
        head = model.locate(_prefix(model, prompter, tokens), [prompter.grounding(q) for q, _ in asked])
        told = model.moments(head, [Stretch(0.0, script.duration)] * len(asked), top_k=1)
        peaks.extend(head.indicator_logits.amax(-1))
        for (best,), (_, windows) in zip(told, asked, strict=True):
            right.append(any(iou((best.start, best.end), w) >= 0.5 for w in windows))
            present.append(bool(windows))
    logits = torch.stack(peaks)
    moment, presence = fit(logits, _flags(right)), fit(logits, _flags(present))
    config.score_temperature, config.score_bias = moment.temperature, moment.bias
    config.presence_temperature, config.presence_bias = presence.temperature, presence.bias
    config.absent_below = 0.5  # more likely absent than present
    log(
        json.dumps(
            {
                "calibration": {
                    k: getattr(config, k)
                    for k in (
                        "moment_from",
                        "score_temperature",
                        "score_bias",
                        "presence_temperature",
                        "presence_bias",
                        "absent_below",
                    )
                },
                "held_out": scores,
            }
        )
    )


def _prefix(model: VideoExpertModel, prompter: Prompter, tokens: VisualTokens) -> Any:
    return model.open_prefix(tokens, prompter.prefix_ids)


def _flags(values: list[bool]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)
