"""First stage of the shipped model: the vision tower of a small CLIPModel, from scratch on frames of the world.

A contrastive score does not show whether a class token knows *where* things are, and no later stage can see motion that
the class tokens do not carry. So the tower learns by a linear read-out of every thing's state from the class token, and
by labels for every patch: what is there, of which shape, with which detail. Probes gate what is built on it; the text
tower is fitted to it afterwards (text.py).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import Dataset
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig

from .. import files
from ..errors import TrainingError
from ..recipes import TowerRecipe
from ..synthetic.render import render
from ..synthetic.things import COLOURS, GLYPH_INDEX, GLYPHS, SHAPE_INDEX, SHAPES, SYMMETRY
from ..synthetic.world import Script, sample_script, states_at
from ..vision.preprocess import Preprocessor
from .optimiser import drawn_beside
from .stage import run_stage

STATE_WIDTH = 6 + len(SHAPES)  # per colour: presence, x, y, size, angle as a cosine and a sine, shape logits
STATE_SCALE = torch.tensor([1.0, 1.0, 3.0])  # sizes span a third of what places span
SHARPER = 4.0
LEFT_OUT = -100  # a label that no loss counts


@dataclass
class FrameBatch:
    """F frames with what is in them. Slots are the G colours as shown: those of a video are distinct."""

    pixels: torch.Tensor  # (F, 3, S, S) uint8
    present: torch.Tensor  # (F, G) bool
    state: torch.Tensor  # (F, G, 3) x, y, size
    angle: torch.Tensor  # (F, G, 2) cosine and sine of the angle, once round for each picture that repeats
    turns: torch.Tensor  # (F, G) bool: is there an angle to see?
    shape: torch.Tensor  # (F, G) index into SHAPES
    patches: torch.Tensor  # (F, P) colour index of the topmost thing over the patch's centre, G for none
    glyphs: (
        torch.Tensor
    )  # (F, P) detail of that thing, len(GLYPHS) where it has none, LEFT_OUT where nothing is


def build_clip(recipe: TowerRecipe) -> CLIPModel:
    """A CLIPModel with a vision tower of the recipe's size and random weights; its text tower is a placeholder."""
    vision = CLIPVisionConfig(
        hidden_size=recipe.width,
        intermediate_size=2 * recipe.width,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        image_size=recipe.image_size,
        patch_size=recipe.patch_size,
        projection_dim=recipe.projection,
    )
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
            "vocab_size": 3, "projection_dim": recipe.projection, "bos_token_id": 0, "eos_token_id": 1}  # fmt: skip
    model = CLIPModel(
        CLIPConfig(text_config=text, vision_config=vision.to_dict(), projection_dim=recipe.projection)
    )
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
    pixels, rows = [], []
    for _ in range(recipe.scripts):
        script = _turned(rng, sample_script(rng, rng.choice(recipe.levels)))
        times = np.sort(np.array([rng.uniform(0, script.duration) for _ in range(recipe.frames)]))
        pixels.append(render(script, times, recipe.image_size))
        rows.append(frame_labels(script, times, recipe.image_size // recipe.patch_size))
    image = torch.cat(pixels)
    if noise is not None:  # what a video codec leaves behind
        grain = torch.randn(image.shape, generator=noise) * 4.0
        image = (image.float() + grain).clamp_(0, 255).to(torch.uint8)
    return FrameBatch(image, *(torch.cat(parts) for parts in zip(*rows, strict=True)))


def _turned(rng: random.Random, script: Script) -> Script:
    """Every second script with its things at any angle: in a script as it is drawn few have turned."""
    if rng.random() < 0.5:
        return script
    return replace(script, objects=tuple(replace(o, angle=rng.uniform(0, 6.28)) for o in script.objects))


def frame_labels(script: Script, times: np.ndarray, grid: int) -> tuple[torch.Tensor, ...]:
    """The labels of FrameBatch, in its order from ``present`` on, of a script at K seconds; (K, grid*grid) patches."""
    slots, count = len(COLOURS), len(times)
    states = states_at(script, times)
    present, turns = (torch.zeros(count, slots, dtype=torch.bool) for _ in range(2))
    state, angle = torch.zeros(count, slots, 3), torch.zeros(count, slots, 2)
    shape = torch.zeros(count, slots, dtype=torch.long)
    patches = torch.full((count, grid, grid), slots)
    glyphs = torch.full((count, grid, grid), LEFT_OUT)
    axis = (torch.arange(grid) + 0.5) / grid
    rows = torch.arange(count)
    for i, thing in enumerate(script.objects):
        slot = torch.from_numpy(states.shown[:, i].argmax(-1))
        x, y, size, turn = (
            torch.from_numpy(v[:, i]).float() for v in (states.x, states.y, states.size, states.angle)
        )
        seen = torch.from_numpy(states.alpha[:, i]) > 0.5
        present[rows, slot], shape[rows, slot] = seen, SHAPE_INDEX[thing.shape]
        state[rows, slot] = torch.stack([x, y, size], dim=-1)
        if thing.shape in SYMMETRY:
            turn = turn * SYMMETRY[thing.shape]
            turns[rows, slot], angle[rows, slot] = seen, torch.stack([turn.cos(), turn.sin()], dim=-1)
        inside = (axis[None, None, :] - x[:, None, None]) ** 2 + (axis[None, :, None] - y[:, None, None]) ** 2
        over = (inside < (size**2)[:, None, None]) & seen[:, None, None]
        patches = torch.where(over, slot[:, None, None], patches)
        glyphs[over] = GLYPH_INDEX.get(thing.glyph, len(GLYPHS))
    return present, state, angle, turns, shape, patches.flatten(1), glyphs.flatten(1)


class TowerTrainer(nn.Module):
    """The CLIPModel with the read-outs that only training and probes need."""

    def __init__(self, clip: CLIPModel, projection: int) -> None:
        super().__init__()
        self.clip = clip
        slots = len(COLOURS)
        self.state_readout = nn.Linear(projection, slots * STATE_WIDTH)
        self.patch_readout = nn.Linear(projection, slots + 1)
        self.patch_shape_readout = nn.Linear(projection, len(SHAPES))
        self.patch_glyph_readout = nn.Linear(projection, len(GLYPHS) + 1)
        self.patch_angle_readout = nn.Linear(projection, 2)

    def tokens(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Class tokens (F, C) and patch tokens (F, P, C) after the final norm and the projection."""
        hidden = self.clip.vision_model(
            pixel_values=Preprocessor(pixels.shape[-1]).normalise(pixels)
        ).last_hidden_state
        projected = self.clip.visual_projection(self.clip.vision_model.post_layernorm(hidden))
        return projected[:, 0], projected[:, 1:]

    def read_state(self, cls: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Presence logits (F, G), x-y-size (F, G, 3), angle (F, G, 2) and shape logits (F, G, shapes) of (F, C)."""
        read = self.state_readout(cls).unflatten(-1, (len(COLOURS), STATE_WIDTH))
        return read[..., 0], read[..., 1:4], read[..., 4:6], read[..., 6:]

    def losses(self, batch: FrameBatch, sharper: float = 1.0) -> dict[str, torch.Tensor]:
        """Weighted loss parts, those of shapes, angles and details ``sharper`` times; their sum is minimised."""
        cls, patches = self.tokens(batch.pixels)
        presence, state, angle, shape = self.read_state(cls)
        seen = batch.present
        near = F.smooth_l1_loss
        parts = {
            "presence": F.binary_cross_entropy_with_logits(presence, seen.float()),
            "state": 20.0 * near(state[seen] * STATE_SCALE, batch.state[seen] * STATE_SCALE, beta=0.05),
            "angle": sharper * near(angle[batch.turns], batch.angle[batch.turns], beta=0.2),
            "shape": 0.5 * sharper * F.cross_entropy(shape[seen], batch.shape[seen]),
            "patch": 0.5
            * F.cross_entropy(self.patch_readout(patches).flatten(0, 1), batch.patches.flatten()),
        }
        # A patch on a thing also learns its shape, angle and detail: that is what S-tokens can then carry, and where
        # the class token takes it from.
        frame, place = (batch.patches < len(COLOURS)).nonzero(as_tuple=True)
        slot = batch.patches[frame, place]
        on, shapes, turns = patches[frame, place], batch.shape[frame, slot], batch.turns[frame, slot]
        angles = batch.angle[frame, slot][turns]
        parts["patch_angle"] = sharper * near(self.patch_angle_readout(on[turns]), angles, beta=0.2)
        parts["patch_shape"] = 0.5 * sharper * F.cross_entropy(self.patch_shape_readout(on), shapes)
        parts["glyph"] = (
            0.5 * sharper * F.cross_entropy(self.patch_glyph_readout(on), batch.glyphs[frame, place])
        )
        return parts


@torch.no_grad()
def probe(model: TowerTrainer, recipe: TowerRecipe, seed: int = 9_000_000) -> dict[str, float]:
    """Held-out read-outs: position error in pixels of 64, presence, shape and detail accuracy, direction of motion.

    angle: share of turned things read within an eighth of what looks like a whole turn.
    """
    model.eval()
    level_recipe = TowerRecipe(**{**asdict(recipe), "scripts": 100})
    batch = sample_frames(random.Random(seed), level_recipe, noise=torch.Generator().manual_seed(seed))
    cls, patches = model.tokens(batch.pixels)
    presence, state, angle, shape = model.read_state(cls)
    seen = batch.present
    off = F.cosine_similarity(angle[batch.turns], batch.angle[batch.turns], dim=-1)
    marked = (batch.glyphs >= 0) & (batch.glyphs < len(GLYPHS))
    glyph = model.patch_glyph_readout(patches[marked]).argmax(-1) == batch.glyphs[marked]
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
        "angle": float((off > math.cos(math.pi / 4)).float().mean()),
        "glyph": float(glyph.float().mean()),
        "direction": float(np.mean(right)) if right else float("nan"),
    }


def train_tower(
    recipe: TowerRecipe,
    folder: Path,
    *,
    log: Callable[[str], None] = print,
) -> CLIPModel:
    """Train (or resume) in ``folder``; returns the tower and leaves ``vision/`` and ``probe.json`` there.

    Raises TrainingError where the finished tower misses one of the recipe's probes: no later stage sees what the
    class tokens do not carry.
    """
    torch.manual_seed(recipe.seed)
    model = TowerTrainer(build_clip(recipe), recipe.projection)
    batches = _Batches(recipe)

    def losses(step: int, batch: FrameBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        found = model.losses(batch, SHARPER if step >= recipe.places_first > 0 else 1.0)
        return sum(found.values(), torch.zeros(())), found

    files.make_folder(folder)
    run_stage(
        {"model": model},
        recipe.steps,
        recipe.learning_rate,
        lambda steps: drawn_beside(batches, steps, __name__),
        losses,
        folder / "tower_state.pt",
        clipped=list(model.parameters()),
        check=lambda: " ".join(f"{k} {v:.3f}" for k, v in probe(model, recipe).items()),
        log=log,
    )
    probes = probe(model, recipe)
    files.write_json(folder / "probe.json", probes)
    check_probes(recipe, probes)
    model.clip.save_pretrained(folder / "vision")
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
