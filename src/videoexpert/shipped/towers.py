"""First stage of the shipped model: a small CLIPModel from scratch on frames of the synthetic world.

The contrastive score alone does not show whether a class token knows *where* things are, and no later stage can see
motion that the class tokens do not carry. Three losses train the tower: contrastive with what the frame shows, a linear
read-out of every thing's state from the class token, and a label for every patch. Probes gate what is built on it.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig, PreTrainedTokenizerFast

from .. import files
from ..errors import TrainingError
from ..runtime import clean_start
from ..synthetic.language import frame_caption
from ..synthetic.render import render
from ..synthetic.world import COLOURS, SHAPES, Script, sample_script, states_at
from ..vision.preprocess import Preprocessor
from .optimiser import build_optimiser, cosine_factor, log_interval, set_learning_rate

COLOUR_INDEX = {name: i for i, name in enumerate(COLOURS)}
SHAPE_INDEX = {name: i for i, name in enumerate(SHAPES)}
STATE_WIDTH = 4 + len(SHAPES)  # per colour: presence, x, y, size, shape logits
STATE_SCALE = torch.tensor([1.0, 1.0, 3.0])  # sizes span a third of what places span


@dataclass
class TowerRecipe:
    """Sizes and budget of the tower stage."""

    image_size: int = 64
    patch_size: int = 8
    width: int = 96
    layers: int = 4
    heads: int = 8
    text_width: int = 96
    text_layers: int = 2
    projection: int = 128
    level: int = 3
    steps: int = 1300
    scripts: int = 42  # per step
    frames: int = 6  # of each script
    learning_rate: float = 3e-3
    seed: int = 1
    at_most: dict[str, float] = field(
        default_factory=dict
    )  # probe -> what must be reached for the run to go on
    at_least: dict[str, float] = field(default_factory=dict)


@dataclass
class FrameBatch:
    """F frames with what is in them. Slots are colours (G of them), because colours in a video are distinct."""

    pixels: torch.Tensor  # (F, 3, S, S) uint8
    present: torch.Tensor  # (F, G) bool
    state: torch.Tensor  # (F, G, 3) x, y, size
    shape: torch.Tensor  # (F, G) index into SHAPES
    patches: torch.Tensor  # (F, P) colour index of the topmost thing over the patch's centre, G for none
    captions: list[str]


def build_clip(recipe: TowerRecipe, tokenizer: PreTrainedTokenizerFast) -> CLIPModel:
    """A CLIPModel of the recipe's size with random weights."""
    vision = CLIPVisionConfig(
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        image_size=recipe.image_size,
        patch_size=recipe.patch_size,
        projection_dim=recipe.projection,
    )
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=recipe.text_width,
        intermediate_size=3 * recipe.text_width,
        num_hidden_layers=recipe.text_layers,
        num_attention_heads=4,
        max_position_embeddings=64,
        projection_dim=recipe.projection,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=recipe.projection
    )
    model = CLIPModel(config)
    with torch.no_grad():  # places known from the start: learnt ones take thousands of frames to take shape
        table = model.vision_model.embeddings.position_embedding.weight
        table[1:] = place_table(recipe.image_size // recipe.patch_size, recipe.width)
    return model


def place_table(grid: int, width: int) -> torch.Tensor:
    """(grid*grid, width) sines and cosines of x and y at rising frequencies, as strong as the patch contents."""
    axis = (torch.arange(grid) + 0.5) / grid
    frequency = math.pi * 0.5 * 2 ** (torch.arange(width // 4) / (width // 4) * 3)
    waves = axis[:, None] * frequency
    one = torch.cat([waves.sin(), waves.cos()], dim=-1)  # (grid, width / 2)
    x, y = one[None, :, :].expand(grid, -1, -1), one[:, None, :].expand(-1, grid, -1)
    return 0.3 * torch.cat([x, y], dim=-1).flatten(0, 1)


def sample_frames(rng: random.Random, recipe: TowerRecipe, *, noise: torch.Generator | None) -> FrameBatch:
    """Frames of fresh scripts at random times, with the labels that the losses need."""
    pixels, captions, rows = [], [], []
    for _ in range(recipe.scripts):
        level = rng.randint(1, recipe.level)
        script = sample_script(rng, level)
        times = np.sort(np.array([rng.uniform(0, script.duration) for _ in range(recipe.frames)]))
        pixels.append(render(script, times, recipe.image_size))
        captions += [frame_caption(script, t) for t in times]
        rows.append(frame_labels(script, times, recipe.image_size // recipe.patch_size))
    image = torch.cat(pixels)
    if noise is not None:  # what a video codec leaves behind
        grain = torch.randn(image.shape, generator=noise) * 4.0
        image = (image.float() + grain).clamp_(0, 255).to(torch.uint8)
    present, state, shape, patches = (torch.cat(parts) for parts in zip(*rows, strict=True))
    return FrameBatch(image, present, state, shape, patches, captions)


def frame_labels(script: Script, times: np.ndarray, grid: int) -> tuple[torch.Tensor, ...]:
    """(present (K, G), state (K, G, 3), shape (K, G), patches (K, grid*grid)) of a script at K seconds."""
    slots = len(COLOURS)
    states = states_at(script, times)
    present = torch.zeros(len(times), slots, dtype=torch.bool)
    state = torch.zeros(len(times), slots, 3)
    shape = torch.zeros(len(times), slots, dtype=torch.long)
    patches = torch.full((len(times), grid, grid), slots)
    axis = (torch.arange(grid) + 0.5) / grid
    for i, thing in enumerate(script.objects):
        slot = COLOUR_INDEX[thing.colour]
        x, y, size = (torch.from_numpy(v[:, i]).float() for v in (states.x, states.y, states.size))
        seen = torch.from_numpy(states.alpha[:, i]) > 0.5
        present[:, slot], shape[:, slot] = seen, SHAPE_INDEX[thing.shape]
        state[:, slot] = torch.stack([x, y, size], dim=-1)
        inside = (axis[None, None, :] - x[:, None, None]) ** 2 + (axis[None, :, None] - y[:, None, None]) ** 2
        over = (inside < (size**2)[:, None, None]) & seen[:, None, None]
        patches[over] = slot
    return present, state, shape, patches.flatten(1)


class TowerTrainer(nn.Module):
    """The CLIPModel with the read-outs that only training and probes need."""

    def __init__(self, clip: CLIPModel, tokenizer: PreTrainedTokenizerFast, projection: int) -> None:
        super().__init__()
        self.clip, self.tokenizer = clip, tokenizer
        slots = len(COLOURS)
        self.state_readout = nn.Linear(projection, slots * STATE_WIDTH)
        self.patch_readout = nn.Linear(projection, slots + 1)
        self.patch_shape_readout = nn.Linear(projection, len(SHAPES))

    def tokens(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Class tokens (F, C) and patch tokens (F, P, C) after the final norm and the projection."""
        hidden = self.clip.vision_model(
            pixel_values=Preprocessor(pixels.shape[-1]).normalise(pixels)
        ).last_hidden_state
        projected = self.clip.visual_projection(self.clip.vision_model.post_layernorm(hidden))
        return projected[:, 0], projected[:, 1:]

    def text(self, captions: list[str]) -> torch.Tensor:
        batch = self.tokenizer(
            [c + self.tokenizer.eos_token for c in captions], return_tensors="pt", padding=True
        )
        out = self.clip.text_model(input_ids=batch.input_ids, attention_mask=batch.attention_mask)
        return self.clip.text_projection(out.pooler_output)

    def read_state(self, cls: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Presence logits (F, G), x-y-size (F, G, 3) and shape logits (F, G, shapes) from class tokens (F, C)."""
        read = self.state_readout(cls).unflatten(-1, (len(COLOURS), STATE_WIDTH))
        return read[..., 0], read[..., 1:4], read[..., 4:]

    def losses(self, batch: FrameBatch) -> dict[str, torch.Tensor]:
        """Weighted loss parts; their sum is minimised."""
        cls, patches = self.tokens(batch.pixels)
        presence, state, shape = self.read_state(cls)
        seen = batch.present
        parts = {
            "presence": F.binary_cross_entropy_with_logits(presence, seen.float()),
            "state": 20.0
            * F.smooth_l1_loss(state[seen] * STATE_SCALE, batch.state[seen] * STATE_SCALE, beta=0.05),
            "shape": 0.5 * F.cross_entropy(shape[seen], batch.shape[seen]),
            "patch": 0.5
            * F.cross_entropy(self.patch_readout(patches).flatten(0, 1), batch.patches.flatten()),
        }
        # a patch on a thing also tells its shape: that is what S-tokens can then carry
        frame, place = (batch.patches < len(COLOURS)).nonzero(as_tuple=True)
        shapes = batch.shape[frame, batch.patches[frame, place]]
        parts["patch_shape"] = 0.5 * F.cross_entropy(self.patch_shape_readout(patches[frame, place]), shapes)
        # every second frame only: neighbours of one script share their sentence too often
        image = F.normalize(cls[::2], dim=-1)
        text = F.normalize(self.text(batch.captions[::2]), dim=-1)
        logits = image @ text.T * self.clip.logit_scale.exp().clamp(max=50.0)
        same = torch.tensor([[a == b for b in batch.captions[::2]] for a in batch.captions[::2]]).float()
        target = same / same.sum(1, keepdim=True)
        parts["contrastive"] = 0.1 * (F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target))
        return parts


@torch.no_grad()
def probe(model: TowerTrainer, recipe: TowerRecipe, seed: int = 9_000_000) -> dict[str, float]:
    """Held-out read-outs: position error in pixels of 64, presence and shape accuracy, direction of motion."""
    model.eval()
    level_recipe = TowerRecipe(**{**asdict(recipe), "scripts": 100})
    batch = sample_frames(random.Random(seed), level_recipe, noise=torch.Generator().manual_seed(seed))
    presence, state, shape = model.read_state(model.tokens(batch.pixels)[0])
    seen = batch.present
    # two frames of one script: does the difference of read positions point the right way?
    right = []
    for a in range(0, len(seen), recipe.frames):
        both = seen[a] & seen[a + recipe.frames - 1]
        moved = (batch.state[a + recipe.frames - 1] - batch.state[a])[both][:, :2]
        read = (state[a + recipe.frames - 1] - state[a])[both][:, :2]
        far = moved.norm(dim=-1) > 0.05
        right += (F.cosine_similarity(moved[far], read[far], dim=-1) > 0.7).tolist()
    model.train()
    return {
        "position_px": float((state[seen][:, :2] - batch.state[seen][:, :2]).norm(dim=-1).mean() * 64),
        "size_px": float((state[seen][:, 2] - batch.state[seen][:, 2]).abs().mean() * 64),
        "presence": float(((presence > 0) == seen).float().mean()),
        "present_found": float((presence[seen] > 0).float().mean()),
        "shape": float((shape[seen].argmax(-1) == batch.shape[seen]).float().mean()),
        "direction": float(np.mean(right)) if right else float("nan"),
    }


def train_tower(
    recipe: TowerRecipe,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    log: Callable[[str], None] = print,
) -> CLIPModel:
    """Train (or resume) in ``folder``; returns the tower and leaves ``clip/`` and ``probe.json`` there.

    Raises TrainingError where the finished tower misses one of the recipe's probes: no later stage sees what the
    class tokens do not tell.
    """
    save_every = log_interval(recipe.steps)
    torch.manual_seed(recipe.seed)
    model = TowerTrainer(build_clip(recipe, tokenizer), tokenizer, recipe.projection)
    optimisers = build_optimiser(model, recipe.learning_rate)
    state_file, step = folder / "tower_state.pt", 0
    folder.mkdir(parents=True, exist_ok=True)
    if state_file.exists():
        saved = torch.load(state_file, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimiser, state in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        step = saved["step"]
    began, cpu = time.time(), time.process_time()
    for at, batch in _batches(recipe, step):
        set_learning_rate(optimisers, cosine_factor(at, recipe.steps, warm_up=0.03))
        parts = model.losses(batch)
        sum(parts.values(), torch.zeros(())).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad()
        if at % save_every == save_every - 1 or at == recipe.steps - 1:
            text = " ".join(f"{k} {float(v.detach()):.3f}" for k, v in parts.items())
            found = " ".join(f"{k} {v:.3f}" for k, v in probe(model, recipe).items())
            log(
                f"step {at + 1} {text} | {found} | {time.time() - began:.0f} s, cpu {time.process_time() - cpu:.0f}"
            )
            saved = {
                "model": model.state_dict(),
                "optimisers": [o.state_dict() for o in optimisers],
                "step": at + 1,
            }
            with files.whole_file(state_file) as part:
                torch.save(saved, part)
    probes = probe(model, recipe)
    files.write_json(folder / "probe.json", probes)
    check_probes(recipe, probes)
    model.clip.save_pretrained(folder / "clip")
    tokenizer.save_pretrained(folder / "clip")  # a text tower means nothing without the ids it was trained on
    return model.clip


def check_probes(recipe: TowerRecipe, found: dict[str, float]) -> None:
    """Raises TrainingError that names every probe which the recipe asks for and the tower misses."""
    missed = [f"{name} {found[name]:.3f}, asked {wanted:g} at most"
              for name, wanted in recipe.at_most.items() if not found[name] <= wanted]  # fmt: skip
    missed += [f"{name} {found[name]:.3f}, asked {wanted:g} at least"
               for name, wanted in recipe.at_least.items() if not found[name] >= wanted]  # fmt: skip
    if missed:
        raise TrainingError(
            f"the vision tower does not see enough ({'; '.join(missed)}); give it more tower.steps."
        )


class _Batches(Dataset[FrameBatch]):
    """Batch of each step by its number, so that a resumed run sees what an uninterrupted one would."""

    def __init__(self, recipe: TowerRecipe) -> None:
        self.recipe = recipe

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, step: int) -> FrameBatch:
        torch.set_num_threads(1)
        noise = torch.Generator().manual_seed(self.recipe.seed * 1_000_003 + step)
        return sample_frames(random.Random(f"{self.recipe.seed}-{step}"), self.recipe, noise=noise)


def _batches(recipe: TowerRecipe, first: int) -> Iterator[tuple[int, FrameBatch]]:
    """(step, batch) from ``first`` on, drawn in another process while the last one trains."""
    steps = range(first, recipe.steps)
    loader = DataLoader(
        _Batches(recipe),
        batch_size=None,
        sampler=steps,
        num_workers=1,
        multiprocessing_context=clean_start(__name__),
    )
    yield from zip(steps, loader, strict=True)
