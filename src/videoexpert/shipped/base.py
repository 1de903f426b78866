"""Second stage of the shipped model: a small language model from scratch, our stand-in for a pretrained one.

Everything but the vision encoder trains jointly on all tasks, with a read-out that only training has: at every T
state, which thing does what now; at every ``<LOC>``, which thing and what it does. The grounding loss alone first
learns where anything happens at all, and then does not look at the query for thousands of steps. It reads the head's
projections, which is where the two have to meet; of a model that writes times as text it reads the states, and what is
asked at the end of the question.
Afterwards the language model is frozen and only the paper's parts train.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..annotations.samples import Sample, without_choices
from ..errors import InputError
from ..language.prompter import Prompter
from ..language.sequence import IGNORED
from ..model import VideoExpertModel
from ..recipes import BaseRecipe
from ..synthetic.actions import ACTION_INDEX, ACTIONS
from ..synthetic.language import meaning
from ..synthetic.samples import TRUE_OR_NOT, YES_NO, content_samples, samples_of
from ..synthetic.things import COLOUR_INDEX, COLOURS, GLYPH_INDEX, SHAPE_INDEX, SHAPES, SYMMETRY, States
from ..synthetic.world import Script, sample_script, states_at
from ..training.batches import collate, make_example
from ..types import Stretch, TokenRole, VisualTokens
from ..video.sampling import bin_centres
from ..windows import iou
from .optimiser import drawn_beside
from .stage import run_stage

# A thing in the state vector: presence, x, y, size, cosine and sine of its angle, shape.
SLOT_WIDTH = 6 + len(SHAPES)
STATE_DIMS = len(COLOURS) * SLOT_WIDTH

OPEN_SHARE = 0.2  # of the questions are asked without their choices, so that open ones are answered too
CONTENT = ("content",)  # tasks of a stage that teaches what happens and never when
NOTHING_ASKED = torch.full((len(COLOURS) * len(ACTIONS),), -1.0)  # a label that is left out


class VideoSource(Protocol):
    """Scripts with their visual tokens."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int) -> tuple[Script, VisualTokens]: ...


class StateSource:
    """Perfect vision, for a warm start that costs no rendering: state vectors in place of class tokens."""

    def __init__(
        self,
        count: int,
        levels: tuple[int, ...],
        num_frames: int,
        spatial: tuple[int, int],
        width: int,
        seed: int,
    ) -> None:
        self.count, self.levels, self.num_frames = count, levels, num_frames
        self.groups, self.per_group = spatial
        self.width, self.seed = width, seed

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[Script, VisualTokens]:
        drawn = random.Random(f"{self.seed}-script-{index}")
        script = sample_script(drawn, drawn.choice(self.levels), f"v{index}")
        rng = torch.Generator().manual_seed(self.seed * 1_000_003 + index)
        times = bin_centres(self.num_frames, 0.0, script.duration)
        temporal = torch.zeros(self.num_frames, self.width)
        temporal[:, :STATE_DIMS] = state_vectors(script, times)
        spatial = torch.zeros(self.groups, self.per_group, self.width)
        idr = np.linspace(0, self.num_frames - 1, self.groups).round().astype(int)
        for i, thing in enumerate(script.objects):
            spatial[:, i, :STATE_DIMS] = state_vectors(script, times[idr], only=i)
            if thing.glyph:  # only patches show a detail
                spatial[:, i, STATE_DIMS + GLYPH_INDEX[thing.glyph]] = 1.0
        for tokens in (temporal, spatial):
            tokens += 0.02 * torch.randn(tokens.shape, generator=rng)
        return script, VisualTokens(temporal, spatial.flatten(0, 1), script.duration)


def state_vectors(script: Script, times_s: np.ndarray, only: int | None = None) -> Tensor:
    """(K, STATE_DIMS): per colour that is shown presence, x, y, size (centred), angle and shape; zeros for none."""
    states: States = states_at(script, times_s)
    rows = torch.zeros(len(times_s), len(COLOURS), SLOT_WIDTH)
    for i, thing in enumerate(script.objects):
        if only is not None and i != only:
            continue
        slot = torch.zeros(len(times_s), SLOT_WIDTH)
        slot[:, 0] = 1.0
        slot[:, 1] = torch.from_numpy(states.x[:, i]) * 4 - 2
        slot[:, 2] = torch.from_numpy(states.y[:, i]) * 4 - 2
        slot[:, 3] = torch.from_numpy(states.size[:, i]) * 16 - 2
        if thing.shape in SYMMETRY:
            angle = torch.from_numpy(states.angle[:, i]) * SYMMETRY[thing.shape]
            slot[:, 4], slot[:, 5] = angle.cos(), angle.sin()
        slot[:, 6 + SHAPE_INDEX[thing.shape]] = 1.0
        share = torch.from_numpy(states.alpha[:, i, None] * states.shown[:, i]).float()  # of each colour
        rows += share[:, :, None] * slot[:, None, :]
    return rows.flatten(1)


def dense_labels(script: Script, num_frames: int) -> Tensor:
    """(N, colours * actions): what each thing does at each frame."""
    times = bin_centres(num_frames, 0.0, script.duration)
    labels = torch.zeros(num_frames, len(COLOURS), len(ACTIONS))
    for event in script.events:
        active = torch.from_numpy((times >= event.start) & (times <= event.end)).float()
        colour = COLOUR_INDEX[script.doer(event).colour]
        labels[:, colour, ACTION_INDEX[event.action]] += active
    return labels.flatten(1).clamp_(max=1)


def asked_labels(script: Script, sample: Sample) -> list[Tensor]:
    """For each ``<LOC>`` of a sample (colours * actions,): the thing and the action of its query."""
    by_window = {(e.start, e.end): (script.doer(e).colour, e.action) for e in script.events}
    found: list[tuple[str, str] | None]
    if sample.task == "qa":  # content; one place a question
        said = (sample.query or "").removeprefix(TRUE_OR_NOT)
        found = [meaning(said) if sample.choices == YES_NO else None]
    elif sample.task == "caption":
        found = [by_window[w] for w in sample.windows]
    else:
        found = [by_window[sample.windows[0]] if sample.windows else meaning(sample.query or "")]
    return [one_label(pair) for pair in found]


def one_label(pair: tuple[str, str] | None) -> Tensor:
    """(colours * actions,) one at the thing and action; a label that is left out where no single one is meant."""
    if pair is None:
        return NOTHING_ASKED
    label = torch.zeros(len(COLOURS), len(ACTIONS))
    label[COLOUR_INDEX[pair[0]], ACTION_INDEX[pair[1]]] = 1.0
    return label.flatten()


class BaseBatches(Dataset[dict[str, Any]]):
    """The batch of each step by its number, so that a resumed run sees what an uninterrupted one would."""

    def __init__(self, source: VideoSource, prompter: Prompter, recipe: BaseRecipe) -> None:
        self.source, self.prompter, self.recipe = source, prompter, recipe

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> dict[str, Any]:
        torch.set_num_threads(1)
        rng = random.Random(f"{self.recipe.seed}-batch-{step}")
        per_epoch = len(self.source) // self.recipe.videos
        epoch, place = divmod(step, per_epoch)
        order = np.random.default_rng((self.recipe.seed, epoch)).permutation(len(self.source))
        videos, examples, dense, asked = [], [], [], []
        frames = rng.choice(self.recipe.frames) if self.recipe.frames else None
        for index in order[place * self.recipe.videos : (place + 1) * self.recipe.videos]:
            script, tokens = self.source[int(index)]
            tokens = tokens if frames is None else fewer_frames(tokens, frames, rng)
            samples = self._chosen(self._samples(script, rng), rng)
            videos.append(tokens)
            examples.append(
                [make_example(self.prompter, s, rng if rng.random() < 0.7 else None) for s in samples]
            )
            dense.append(dense_labels(script, len(tokens.temporal)))
            for sample in samples:
                labels = asked_labels(script, sample)
                # without a head one place a question; captions ask for no single event
                if not self.prompter.has_head and len(labels) != 1:
                    labels = [NOTHING_ASKED]
                asked += labels if self.recipe.tasks != CONTENT or self.recipe.read_questions else []
        batch = collate(videos, examples, self.prompter.prefix_ids, self.prompter.config)
        none = torch.zeros(0, len(COLOURS) * len(ACTIONS))
        batch["dense"], batch["asked"] = torch.stack(dense), torch.stack(asked) if asked else none
        return batch

    def _chosen(self, samples: list[Sample], rng: random.Random) -> list[Sample]:
        """As many as the stage asks of a video, by lot; captions, one sample of many, are taken more often."""
        if len(samples) <= self.recipe.questions:
            return samples
        chosen = rng.sample(samples, self.recipe.questions)
        captions = [s for s in samples if s.task == "caption" and s not in chosen]
        if captions and rng.random() < self.recipe.captions:
            chosen[0] = captions[0]
        return chosen

    def _samples(self, script: Script, rng: random.Random) -> list[Sample]:
        if self.recipe.tasks == CONTENT:
            return content_samples(script, rng)
        wanted = [s for s in samples_of(script, rng) if s.task in self.recipe.tasks]
        return [without_choices(s) if s.choices and rng.random() < OPEN_SHARE else s for s in wanted]


def fewer_frames(tokens: VisualTokens, frames: int, rng: random.Random) -> VisualTokens:
    """A video as if fewer frames had been taken: of each run of them one, the earlier or the later middle one by lot.

    Raises InputError if the number of available frames is not a multiple of ``frames``.
    """
    step, rest = divmod(len(tokens.temporal), frames)
    if rest or not step:
        raise InputError(
            f"a stage's frames are {frames}, expected a number that divides {len(tokens.temporal)}."
        )
    if step == 1:
        return tokens
    first = rng.choice(((step - 1) // 2, step // 2))
    return replace(tokens, temporal=tokens.temporal[first::step])


class ReadOut(nn.Module):
    """Linear read-out (colours * actions) of the head's projections, or of the states if there is no head."""

    def __init__(self, model: VideoExpertModel) -> None:
        super().__init__()
        language_width = int(model.language.get_input_embeddings().weight.shape[1])
        width = language_width if model.head is None else model.config.head_width
        self.linear = nn.Linear(width, len(COLOURS) * len(ACTIONS))

    def losses(
        self, model: VideoExpertModel, states: Tensor, batch: dict[str, Any], dense: Tensor, asked: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What happens at each frame, dense (B, N, K), and what is asked, asked (Q, K), rows of -1 left out."""
        if model.head is not None and len(batch["sequence"].loc_positions):
            frames, locs = model.projected(states, batch["sequence"].roles, batch["sequence"].loc_positions)
        else:  # what is asked is read at the end of the question
            places = question_ends(batch["sequence"].labels)
            frames = states[batch["sequence"].roles == TokenRole.TEMPORAL].unflatten(0, dense.shape[:2])
            locs = states[places[:, 0], places[:, 1]]
            if model.head is not None:
                frames, locs = model.head.project(frames.float()), model.head.project(locs.float())
        happens = F.binary_cross_entropy_with_logits(self.linear(frames), dense, pos_weight=torch.tensor(4.0))
        if not len(asked):
            return happens, happens * 0.0
        known = asked[:, 0] >= 0
        return happens, F.binary_cross_entropy_with_logits(
            self.linear(locs[known]), asked[known], pos_weight=torch.tensor(4.0)
        )


def question_ends(labels: Tensor) -> Tensor:
    """(B, L) labels -> (Q, 2) row and position of the state that predicts the first token of each answer."""
    supervised = labels != IGNORED
    first = supervised[:, 1:] & ~supervised[:, :-1]
    return first.nonzero()


def train_base(
    model: VideoExpertModel,
    prompter: Prompter,
    source: VideoSource,
    recipe: BaseRecipe,
    state_file: Path,
    *,
    log: Callable[[str], None] = print,
    check: Callable[[VideoExpertModel], str] | None = None,
) -> VideoExpertModel:
    """Train (or resume) one stage; what moves is the recipe's choice, the vision tower never."""
    torch.manual_seed(recipe.seed)
    # One read-out for both kinds of state: what is asked and what happens are then said in the same directions,
    # and their sum, which is all the head sees, is largest where they agree.
    readout = ReadOut(model)
    choose_trained(model, recipe)
    batches = BaseBatches(source, prompter, recipe)

    def losses(step: int, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        dense, asked = batch.pop("dense"), batch.pop("asked")
        out = model(**batch, return_states=True)
        dense_loss, asked_loss = readout.losses(model, out.states, batch, dense, asked)
        loss = out.loss + recipe.dense_weight * (dense_loss + asked_loss)
        return loss, {**logged(out), "now": dense_loss, "asked": asked_loss}

    run_stage(
        {"model": model, "readout": readout},
        recipe.steps,
        recipe.learning_rate,
        lambda steps: drawn_beside(batches, steps, __name__),
        losses,
        state_file,
        clipped=[p for p in model.parameters() if p.requires_grad],
        check=(lambda: check(model)) if check else None,
        log=log,
    )
    return model.eval()


def choose_trained(model: VideoExpertModel, recipe: BaseRecipe) -> None:
    """What moves in a stage: the paper's parts, the language model, or both; see the recipe's switches."""
    own = set(model.trained_names())
    for name, parameter in model.named_parameters():
        lora = name.endswith((".lora_A", ".lora_B"))
        base = name.startswith("language.") and name not in own
        part = name in own and (recipe.train_experts or not (recipe.train_language and lora))
        parameter.requires_grad_(part or (base and recipe.train_language))


def logged(out: Any) -> dict[str, Tensor]:
    """The model's losses by their names in the log; without a ``<LOC>`` (a content stage) some are not there."""
    parts = {
        "text": out.text_loss,
        "ind": out.indicator_loss,
        "l1": out.l1_loss,
        "giou": out.giou_loss,
        "align": out.alignment_loss,
    }
    return {name: value for name, value in parts.items() if value is not None}


@torch.no_grad()
def quick_scores(
    model: VideoExpertModel, prompter: Prompter, source: VideoSource, videos: int = 60
) -> dict[str, float]:
    """Grounding of true queries: R1@0.5, R1@0.7 and mIoU (fractions) by both ways of reading a moment."""
    from ..synthetic.samples import true_queries

    model.eval()
    found: dict[str, list[float]] = {"offsets": [], "run": []}
    for index in range(min(videos, len(source))):
        script, tokens = source[index]
        queries = list(true_queries(script, random.Random(index)))
        prefix = model.open_prefix(tokens, prompter.prefix_ids)
        head = model.locate(prefix, [prompter.grounding(query) for query, _ in queries])
        clips = [Stretch(0.0, script.duration)] * len(queries)
        for way, ious_found in found.items():
            told = model.moments(head, clips, moment_from=way, top_k=1)
            for (best,), (_, windows) in zip(told, queries, strict=True):
                ious_found.append(max(iou((best.start, best.end), w) for w in windows))
    scores = {}
    for way, values in found.items():
        ious = np.array(values)
        scores[f"{way}/R1@0.5"] = float((ious >= 0.5).mean())
        scores[f"{way}/R1@0.7"] = float((ious >= 0.7).mean())
        scores[f"{way}/mIoU"] = float(ious.mean())
    return scores
