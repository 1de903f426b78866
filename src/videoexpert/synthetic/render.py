"""Scripts to pixels. Shapes are signed distance functions, so edges are smooth at any size."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from .things import GLYPH_ROOM, GLYPHS, States
from .world import LEVELS, Script, states_at

INK = 0.06  # grey of a detail


def render(script: Script, times_s: np.ndarray, size: int) -> torch.Tensor:
    """(K, 3, size, size) uint8 pictures of the script at the given seconds (K,). Deterministic."""
    states = states_at(script, times_s)
    canvas = backgrounds(script, times_s, size)
    draw_clutter(canvas, script, times_s)
    for index, thing in enumerate(script.objects):
        draw(canvas, thing.shape, states, index, thing.glyph)
    if script.bars:
        rows = round(script.bars * size)
        canvas[:, :, :rows] = 0.0
        canvas[:, :, size - rows :] = 0.0
    levels = canvas * 255.0
    if script.noise:
        levels += script.noise * grain(script, times_s, size)
    return (levels + 0.5).clamp_(0, 255).to(torch.uint8)


def backgrounds(script: Script, times_s: np.ndarray, size: int) -> torch.Tensor:
    """(K, 3, size, size): one picture, or where it drifts a window of one twice as wide, back and forth."""
    if script.drift == (0.0, 0.0):
        return background(script, size)[None].repeat(len(times_s), 1, 1, 1)
    wide = background(script, 2 * size)
    frames = torch.empty(len(times_s), 3, size, size)
    for k, time in enumerate(times_s):
        x, y = (round(size * _to_and_fro(speed * float(time))) for speed in script.drift)
        frames[k] = wide[:, y : y + size, x : x + size]
    return frames


def _to_and_fro(way: float) -> float:
    """A way walked from the middle of 0 to 1, turning round at both ends."""
    return abs((way + 1.5) % 2.0 - 1.0)


def grain(script: Script, times_s: np.ndarray, size: int) -> torch.Tensor:
    """(K, 3, size, size) noise of unit strength; a frame's depends on the script and its time alone."""
    made = torch.empty(len(times_s), 3, size, size)
    for k, time in enumerate(times_s):
        made[k].normal_(
            generator=torch.Generator().manual_seed(script.background + round(1000 * float(time)))
        )
    return made


def background(script: Script, size: int) -> torch.Tensor:
    """(3, size, size) floats in 0-1: a dull colour, soft noise and a fine grain, all from the script's seed."""
    spec = LEVELS[script.level]
    rng = torch.Generator().manual_seed(script.background)
    base = (
        0.22 + 0.25 * torch.rand(3, 1, 1, generator=rng).mean() + 0.06 * torch.randn(3, 1, 1, generator=rng)
    )
    coarse = spec.texture * torch.randn(1, 1, 8, 8, generator=rng)
    fine = 0.35 * spec.texture * torch.randn(1, 1, 64, 64, generator=rng)
    texture = F.interpolate(coarse, (size, size), mode="bilinear", align_corners=False)[0]
    texture = texture + F.interpolate(fine, (size, size), mode="bilinear", align_corners=False)[0]
    return (base + texture).clamp(0.03, 0.7)


def draw_clutter(canvas: torch.Tensor, script: Script, times_s: np.ndarray) -> None:
    """Small grey blobs that drift to and fro: something moves that no query is about."""
    rng = np.random.default_rng(script.background)
    count = LEVELS[script.level].clutter
    shape = (1, count)
    x0, y0 = rng.uniform(0.05, 0.95, shape), rng.uniform(0.05, 0.95, shape)
    phase, speed, reach = (
        rng.uniform(0, 6.3, shape),
        rng.uniform(0.2, 0.7, shape),
        rng.uniform(0.02, 0.10, shape),
    )
    size, grey = rng.uniform(0.02, 0.045, shape), rng.uniform(0.15, 0.75, shape)
    swing = reach * np.sin(times_s[:, None] * speed + phase)
    ones = np.ones_like(swing)
    greys = np.repeat((grey * ones)[..., None], 3, axis=-1)
    states = States(x0 + swing, y0 + 0.5 * swing, size * ones, 0 * ones, ones, greys)
    for index in range(count):
        draw(canvas, "circle", states, index, colours=greys)


def draw(
    canvas: torch.Tensor,
    shape: str,
    states: States,
    index: int,
    glyph: str = "",
    colours: np.ndarray | None = None,
) -> None:
    """Paint one object over canvas (K, 3, S, S), in place; ``colours`` (K, O, 3) in place of those of the states."""
    side = canvas.shape[-1]
    across, down = _extent(states.x, states.size, index, side), _extent(states.y, states.size, index, side)
    axis = (torch.arange(side, dtype=torch.float32) + 0.5) / side

    def column(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(values[:, index])).float()[:, None, None]

    dx = axis[None, None, across] - column(states.x)
    dy = axis[None, down, None] - column(states.y)
    if states.angle[:, index].any():
        cos, sin = column(np.cos(states.angle)), column(np.sin(states.angle))
        dx, dy = dx * cos + dy * sin, dy * cos - dx * sin
    size = column(states.size)
    distance = _signed_distance(shape, dx / size, dy / size) * size * side  # in pixels
    cover = (0.5 - distance).clamp_(0, 1) * column(states.alpha)
    rgb = states.rgb if colours is None else colours
    colour = torch.from_numpy(rgb[:, index]).float()[:, :, None, None]
    part = canvas[:, :, down, across]
    part += cover[:, None] * (colour - part)
    if glyph:
        ink = _glyph(glyph, dx / size / GLYPH_ROOM[shape], dy / size / GLYPH_ROOM[shape])
        part += (ink * column(states.alpha))[:, None] * (INK - part)


def _glyph(glyph: str, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """(K, H, W) how much of each pixel a detail covers; ``u``, ``v`` go from -1 to 1 over it."""
    rows = [[float(cell == "#") for cell in row] for row in GLYPHS[glyph]]
    picture = torch.tensor(rows)[None, None].expand(len(u), 1, 5, 5)
    u, v = torch.broadcast_tensors(u, v)
    places = torch.stack([u, v], dim=-1)
    return F.grid_sample(picture, places, mode="bilinear", padding_mode="zeros", align_corners=False)[:, 0]


def _extent(places: np.ndarray, sizes: np.ndarray, index: int, side: int) -> slice:
    """Pixels that the object can touch at any of the times: the rest of the picture need not be computed."""
    reach = 1.5 * sizes[:, index]  # corners of a square are at 1.25
    first, last = (places[:, index] - reach).min() * side, (places[:, index] + reach).max() * side
    return slice(min(max(int(first) - 1, 0), side), min(max(int(last) + 2, 0), side))


def _signed_distance(shape: str, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """Distance to the outline in units of the size, negative inside; ``v`` points down."""
    if shape == "circle":
        return (u * u + v * v).sqrt() - 1
    if shape == "ring":
        return ((u * u + v * v).sqrt() - 0.75).abs() - 0.28
    a, b = u.abs(), v.abs()
    if shape == "square":
        return torch.maximum(a, b) - 0.88
    if shape == "cross":
        return torch.minimum(torch.maximum(a - 1, b - 0.34), torch.maximum(a - 0.34, b - 1))
    if shape == "triangle":
        return torch.maximum(v - 0.62, 0.866 * a - 0.5 * v - 0.62)
    raise ValueError(f"unknown shape {shape!r}")
