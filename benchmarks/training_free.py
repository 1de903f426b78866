"""tag, tfvtg and watershed where the truth is known: planted features, and things that come and go before a CLIP.

    python benchmarks/training_free.py [--worlds 100] [--videos 40] [--save FILE]

Planted: scenes of unit features, one of which comes closer to the query; noise on every frame and a drift over time,
both relative to the step in the query's direction. Shipped CLIP: a coloured shape appears and vanishes in front of
others, and its name is asked, as is that of a shape that is not there. Beside them a random window and the middle half.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from videoexpert.windows import iou

STEP, WIDTH = 0.1, 64  # cosine by which the event stands out; feature width
CASES = ((0.0, 0.0), (0.3, 0.0), (0.6, 0.0), (1.0, 0.0), (0.3, 0.3), (0.6, 0.6))  # (noise, drift)
Window = tuple[float, float]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--worlds", type=int, default=100, help="of each noise and drift")
    parser.add_argument("--videos", type=int, default=40, help="before the shipped CLIP; 0 for none")
    parser.add_argument("--save", type=Path, default=None)
    args = parser.parse_args(argv)
    rows = [
        {"features": "planted", "noise": noise, "drift": drift, **table(planted(args.worlds, noise, drift))}
        for noise, drift in CASES
    ]
    if args.videos:
        rows += shipped(args.videos)
    show(rows)
    if args.save:
        args.save.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def planted(worlds: int, noise: float, drift: float) -> dict[str, list[float]]:
    """IoU of the best window with the truth, by method and baseline."""
    from videoexpert.backends.training_free.methods import METHODS

    found: dict[str, list[float]] = {}
    for seed in range(worlds):
        rng = np.random.default_rng((4, seed))
        features, curve, truth = world(rng, noise, drift)
        best = {name: method(features, curve, len(curve) / 2).windows[0] for name, method in METHODS.items()}
        _add(found, best, truth, float(len(curve)), rng)
    return found


def world(rng: np.random.Generator, noise: float, drift: float) -> tuple[np.ndarray, np.ndarray, Window]:
    """Unit features (K, C) of 40 to 160 frames, their curve (K,), and the event's window."""
    count, scenes = int(rng.integers(40, 160)), int(rng.integers(3, 8))
    edges = np.r_[0, _cuts(rng, count, scenes), count]
    query = _unit(rng.standard_normal(WIDTH))
    base = rng.standard_normal((scenes, WIDTH))
    base = _unit(base - np.outer(base @ query, query))
    event = int(rng.integers(scenes))
    level = 0.2 + 0.2 * STEP * rng.standard_normal(scenes).clip(-1.5, 1.5)
    level[event] = 0.2 + STEP
    base = base * np.sqrt(1 - level[:, None] ** 2) + level[:, None] * query
    rows = np.repeat(base, np.diff(edges), axis=0)
    rows = rows + noise / np.sqrt(WIDTH) * rng.standard_normal(rows.shape)
    walk = np.cumsum(rng.standard_normal(rows.shape), axis=0) / np.sqrt(count * WIDTH)
    features = _unit(rows + drift * walk)
    return features, features @ query, (float(edges[event]), float(edges[event + 1]))


def _cuts(rng: np.random.Generator, count: int, scenes: int) -> np.ndarray:
    """Where scenes change; none is shorter than four frames."""
    while True:
        cuts = np.sort(rng.choice(np.arange(4, count - 4), scenes - 1, replace=False))
        if np.diff(np.r_[0, cuts, count]).min() >= 4:
            return cuts


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


def _add(
    found: dict[str, list[float]],
    best: dict[str, Any],
    truth: Window,
    length: float,
    rng: np.random.Generator,
) -> None:
    guess = np.sort(rng.uniform(0, length, 2))
    for name, window in (*best.items(), ("random", guess), ("middle half", (length / 4, 3 * length / 4))):
        found.setdefault(name, []).append(iou((float(window[0]), float(window[1])), truth))


def shipped(videos: int) -> list[dict[str, Any]]:
    """Moments of a thing that appears and vanishes, and whether one that is not there scores less."""
    import torch

    from videoexpert.backends.contrastive import load
    from videoexpert.backends.training_free.methods import METHODS
    from videoexpert.backends.training_free.tracks import track
    from videoexpert.grounding.calibration import auc

    backend = load("", device=torch.device("cpu"))
    found: dict[str, list[float]] = {}
    presence: list[float] = []
    for seed in range(videos):
        frames, stretch, asked, missing, truth = appearing(seed, backend.rate, backend.tower.resize)
        seen = track(frames, backend.tower, backend.rate, stretch, 16)
        best = {}
        for name in METHODS:
            backend.method = name
            there, gone = backend.open_track(seen).ground([asked, missing], 1)
            best[name] = (there[0].start, there[0].end)
        presence += [there.presence, gone.presence]
        _add(found, best, truth, stretch.duration_s, np.random.default_rng((5, seed)))
    area = float(auc(torch.tensor(presence), torch.tensor([1.0, 0.0] * videos)))
    absence = {
        "presence AUC": round(100 * area, 1),
        "present said absent": round(100 * float(np.mean(np.array(presence[::2]) < 0.5)), 1),
        "absent said absent": round(100 * float(np.mean(np.array(presence[1::2]) < 0.5)), 1),
    }
    return [{"features": "shipped CLIP", **table(found), **absence}]


def appearing(
    seed: int, rate: float, resize: Callable[[np.ndarray], Any]
) -> tuple[Iterator[tuple[float, Any]], Any, str, str, Window]:
    """Frames, their stretch, the name of what comes and goes, one that is not there, and when it is to be seen."""
    from videoexpert.synthetic.render import render
    from videoexpert.synthetic.things import COLOURS, SHAPES, Event, SceneObject
    from videoexpert.synthetic.world import Script
    from videoexpert.types import Stretch

    rng = random.Random(f"appearing-{seed}")
    duration = float(rng.choice((16, 20, 24, 30)))
    colours = rng.sample(list(COLOURS)[:6], 4)
    start = round(rng.uniform(1.0, 0.7 * duration), 1)
    end = round(min(duration - 1.0, start + rng.uniform(2.0, 0.5 * duration)), 1)
    places = rng.sample([(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)], 3)
    things = tuple(
        SceneObject(colour, rng.choice(SHAPES[:4]), x, y, size=0.12, angle=0.0, visible=i > 0)
        for i, (colour, (x, y)) in enumerate(zip(colours, places, strict=False))
    )
    events = (Event(0, "appear", start, start + 0.4), Event(0, "vanish", end, end + 0.4))
    script = Script(f"a{seed}", duration, things, events, rng.randrange(2**31), 3)
    count = round(duration * rate)
    times = (np.arange(count) + 0.5) / rate
    pictures = render(script, times, 128).permute(0, 2, 3, 1).numpy()
    frames = ((float(t), resize(picture)) for t, picture in zip(times, pictures, strict=True))
    missing = f"a {colours[3]} {rng.choice(SHAPES[:4])}"
    return frames, Stretch(0.0, duration), f"a {things[0].name}", missing, (start + 0.2, end + 0.2)


def table(found: dict[str, list[float]]) -> dict[str, Any]:
    """mIoU and R1@0.5 of each, percent."""
    return {
        name: {
            "mIoU": round(100 * float(np.mean(values)), 1),
            "R1@0.5": round(100 * float(np.mean(np.array(values) >= 0.5)), 1),
        }
        for name, values in found.items()
    }


def show(rows: Sequence[dict[str, Any]]) -> None:
    """One line a case: mIoU / R1@0.5."""
    names = [name for name, value in rows[0].items() if isinstance(value, dict)]
    print(f"{'':<32}" + "".join(f"{name:>15}" for name in names))
    for row in rows:
        case = row["features"]
        if "noise" in row:
            case += f", noise {row['noise']:g}, drift {row['drift']:g}"
        cells = "".join(f"{row[n]['mIoU']:>8.1f} /{row[n]['R1@0.5']:>5.0f}" for n in names)
        print(f"{case:<32}{cells}")
        for name in ("presence AUC", "present said absent", "absent said absent"):
            if name in row:
                print(f"   {name} {row[name]}")


if __name__ == "__main__":
    raise SystemExit(main())
