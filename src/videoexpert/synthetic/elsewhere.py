"""Videos of no world: dead leaves, coloured noise, gradients, stripes and plain figures, still, panned or cut.

Their statistics are those of photographs more than those of any one data set. Familiarity (vision/familiarity.py) asks
whether a video looks more like what a model was trained on than like these. Deterministic by seed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

Picture = NDArray[np.float64]  # (side, side, 3) in [0, 1]


def elsewhere(seed: int, frames: int, size: int) -> torch.Tensor:
    """(frames, 3, size, size) uint8 of one video: one to six scenes, each with its own movement."""
    rng = np.random.default_rng((1987, seed))
    cuts = int(rng.choice([0, 0, 0, 1, 2, 5]))
    places = np.sort(rng.integers(1, max(2, frames), cuts))
    noise, bar = rng.choice([0, 1, 3, 6]), int(rng.choice([0, 0, 0, 0.12, 0.2]) * size)
    upright = rng.random() < 0.3
    made = []
    for part in np.split(np.arange(frames), places):
        made += _shots(rng, len(part), size)
    pictures = np.stack(made)
    if bar and upright:
        pictures[:, :, :bar] = pictures[:, :, -bar:] = 0
    elif bar:
        pictures[:, :bar] = pictures[:, -bar:] = 0
    grained = pictures * 255 + noise * rng.standard_normal(pictures.shape)
    return torch.from_numpy(grained.clip(0, 255).astype(np.uint8)).permute(0, 3, 1, 2).contiguous()


def _shots(rng: np.random.Generator, count: int, size: int) -> list[Picture]:
    """Pictures of one scene: a window that pans over it, and in half of them a smaller scene that moves in front."""
    if rng.random() < 0.2:
        return _figures(rng, count, size)
    wide, front = scene(rng, size * 3 // 2), scene(rng, size // 2)[:, : size // 3]
    with_front = rng.random() < 0.5
    pan = _walk(rng, count, size // 2, [0, 0, 0.3, 1, 3])
    path = _walk(rng, count, size - size // 2, [0, 0.2, 1, 2])
    flicker = rng.choice([0, 0, 0.05])
    made = []
    for (y, x), (v, u) in zip(pan, path, strict=True):
        shot = wide[y : y + size, x : x + size].copy()
        if with_front:
            shot[v : v + front.shape[0], u : u + front.shape[1]] = front
        made.append(shot * (1 + flicker * rng.standard_normal()))
    return made


def _walk(rng: np.random.Generator, count: int, room: int, speeds: list[float]) -> list[tuple[int, int]]:
    """Places (row, column) from 0 to ``room`` on a straight way that the edges reflect."""
    place, way = rng.uniform(0, 1, 2), rng.normal(0, 0.4, 2) * rng.choice(speeds)
    t = np.linspace(0, 1, max(count, 1))[:count, None]
    folded = np.abs((place + way * t + 1) % 2 - 1)
    return [(int(y), int(x)) for y, x in (folded * room).round()]


def scene(rng: np.random.Generator, side: int) -> Picture:
    """One still picture of a kind drawn by lot, with contrast and brightness drawn by lot; some are grey."""
    kinds: list[Callable[[], Picture]] = [
        partial(_leaves, rng, side), partial(_textured_leaves, rng, side), partial(_noise, rng, side),
        partial(_gradient, rng, side), partial(_plain, rng, side), partial(_stripes, rng, side),
    ]  # fmt: skip
    picture = kinds[int(rng.choice(len(kinds), p=[0.3, 0.4, 0.12, 0.08, 0.04, 0.06]))]()
    middle = picture.mean()
    picture = (picture - middle) * rng.uniform(0.4, 1.4) + middle + rng.uniform(-0.25, 0.25)
    if rng.random() < 0.12:
        picture = np.repeat(picture.mean(-1, keepdims=True), 3, -1)
    return picture.clip(0, 1)


def _leaves(rng: np.random.Generator, side: int) -> Picture:
    """Overlapping ellipses and boxes whose radii follow a power law: the edges and scales of photographs."""
    count = int(rng.integers(4, 160))
    picture = np.broadcast_to(rng.uniform(0, 1, 3), (side, side, 3)).copy()
    y, x = np.mgrid[0:side, 0:side].astype(np.float64)
    colours, mixed = _palette(rng, count), int(rng.integers(0, 3))
    radii = np.clip(0.03 * (1 - rng.uniform(0, 1, count)) ** (-1 / 1.2), 0.02, 0.7) * side
    for i in np.argsort(-radii + 0.3 * radii * rng.standard_normal(count)):
        row, column = rng.uniform(-0.1, 1.1, 2) * side
        angle, flat = rng.uniform(0, np.pi), rng.uniform(0.25, 1)
        u = (x - column) * np.cos(angle) + (y - row) * np.sin(angle)
        v = ((y - row) * np.cos(angle) - (x - column) * np.sin(angle)) / flat
        box = mixed == 1 or (mixed == 2 and rng.random() < 0.5)
        distance = (np.maximum(np.abs(u), np.abs(v)) if box else np.hypot(u, v)) - radii[i]
        cover = np.clip(0.5 - distance, 0, 1)[..., None]
        tilt = rng.uniform(-0.25, 0.25, 2)
        shade = 1 + (tilt[0] * u + tilt[1] * v)[..., None] / radii[i]
        picture = picture * (1 - cover) + cover * colours[i] * shade
    return picture


def _textured_leaves(rng: np.random.Generator, side: int) -> Picture:
    return _leaves(rng, side) + rng.uniform(0.02, 0.2) * _coloured_noise(rng, side, rng.uniform(0.5, 1.6))


def _noise(rng: np.random.Generator, side: int) -> Picture:
    grain = _coloured_noise(rng, side, rng.uniform(0.7, 1.8))
    return 0.5 + rng.uniform(0.06, 0.26) * grain + rng.uniform(-0.25, 0.25, 3)


def _gradient(rng: np.random.Generator, side: int) -> Picture:
    return rng.uniform(0, 1, 3) + _ramp(rng, side)[..., None] * rng.uniform(-1, 1, 3)


def _plain(rng: np.random.Generator, side: int) -> Picture:
    return np.broadcast_to(rng.uniform(0, 1, 3) * rng.choice([0, 1, 1]), (side, side, 3)).copy()


def _stripes(rng: np.random.Generator, side: int) -> Picture:
    wave = np.sin(2 * np.pi * rng.uniform(2, 16) * _ramp(rng, side))
    wave = 0.5 + 0.5 * (np.sign(wave) if rng.random() < 0.5 else wave)
    first, last = _palette(rng, 2)
    return first + (last - first) * wave[..., None]


def _figures(rng: np.random.Generator, count: int, size: int) -> list[Picture]:
    """Plain animation: one to four discs or boxes that cross a flat ground, as slides and test cards have them."""
    number = int(rng.integers(1, 5))
    ground = rng.uniform(0, 1, 3) * rng.choice([0, 0.3, 1]) if rng.random() < 0.7 else np.ones(3)
    y, x = np.mgrid[0:size, 0:size].astype(np.float64)
    paths = [_walk(rng, count, size, [0.3, 1, 3]) for _ in range(number)]
    colours, radii = rng.choice([0.05, 0.5, 0.95], (number, 3)), rng.uniform(0.02, 0.3, number) * size
    boxes = rng.random(number) < 0.5
    made = []
    for t in range(count):
        shot = np.broadcast_to(ground, (size, size, 3)).copy()
        for path, colour, radius, box in zip(paths, colours, radii, boxes, strict=True):
            dy, dx = y - path[t][0], x - path[t][1]
            distance = np.maximum(np.abs(dx), np.abs(dy)) if box else np.hypot(dx, dy)
            cover = np.clip(0.5 + radius - distance, 0, 1)[..., None]
            shot = shot * (1 - cover) + cover * colour
        made.append(shot)
    return made


def _ramp(rng: np.random.Generator, side: int) -> NDArray[np.float64]:
    y, x = np.mgrid[0:side, 0:side] / side
    angle = rng.uniform(0, 2 * np.pi)
    return np.asarray(np.cos(angle) * x + np.sin(angle) * y)


def _coloured_noise(rng: np.random.Generator, side: int, power: float) -> Picture:
    """Noise whose amplitude falls with the ``power`` of frequency, its channels more or less alike; unit variance."""
    rows, columns = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None]
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = 1 / side
    fields = [
        np.fft.irfft2(np.fft.rfft2(rng.standard_normal((side, side))) / frequency**power, (side, side))
        for _ in range(4)
    ]
    fields = [field / (field.std() + 1e-9) for field in fields]
    alike = rng.uniform(0, 1)
    mixed = np.stack([alike * fields[3] + (1 - alike) * field for field in fields[:3]], -1)
    return np.asarray(mixed / (mixed.std() + 1e-9))


def _palette(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """(count, 3) colours that share a hue, from nearly grey to vivid."""
    vivid = rng.beta(1.5, 3)
    shared = 0.25 * vivid * (rng.uniform(0, 1, 3) - 0.5)
    colours = rng.beta(1.2, 1.2, (count, 1)) + vivid * rng.uniform(-0.6, 0.6, (count, 3)) + shared
    return np.asarray(colours.clip(0, 1))
