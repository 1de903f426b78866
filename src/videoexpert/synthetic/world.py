"""Scripts of synthetic videos: what is in the picture, and what happens when.

A script is a few coloured shapes, each doing one thing at a time, over a textured background with grey clutter.
Positions and sizes are in units of the picture (0 left/top, 1 right/bottom), angles in radians, times in seconds.
Motion must be needed: most actions differ from another one only by the direction of change.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.90, 0.12, 0.12),
    "green": (0.10, 0.75, 0.20),
    "blue": (0.15, 0.30, 0.95),
    "yellow": (0.95, 0.88, 0.10),
    "purple": (0.65, 0.15, 0.80),
    "orange": (1.00, 0.52, 0.05),
    "cyan": (0.10, 0.85, 0.90),
    "white": (0.97, 0.97, 0.97),
}
SHAPES = ("circle", "square", "triangle", "cross", "ring")
MOVES = {"left": (-1.0, 0.0), "right": (1.0, 0.0), "up": (0.0, -1.0), "down": (0.0, 1.0)}
ACTIONS = (*MOVES, "grow", "shrink", "appear", "vanish", "turn", "recolour")


@dataclass(frozen=True)
class Level:
    """One notch of the difficulty dial."""

    colours: int
    shapes: int
    actions: int  # the first so many of ACTIONS
    objects: tuple[int, int]  # fewest, most
    events: tuple[int, int]
    clutter: int
    event_s: tuple[float, float]
    texture: float  # amplitude of the background noise


LEVELS: dict[int, Level] = {
    1: Level(4, 3, 4, (2, 2), (2, 3), 0, (2.5, 5.0), 0.05),
    2: Level(6, 3, 6, (2, 3), (3, 4), 2, (2.0, 5.0), 0.08),
    3: Level(6, 4, 8, (2, 3), (3, 5), 3, (1.5, 4.5), 0.10),
    4: Level(8, 5, 10, (3, 4), (4, 6), 5, (1.2, 4.0), 0.14),
}
SHIPPED_LEVEL = 3
FRAME_RATE = 10.0
DURATIONS_S = (12, 14, 16, 18, 20, 22, 24)  # even, so that QVHighlights' 2 s clips cover them exactly


@dataclass(frozen=True)
class SceneObject:
    """Initial state of one shape."""

    colour: str
    shape: str
    x: float
    y: float
    size: float  # radius
    angle: float
    visible: bool = True

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Event:
    """Object ``object`` does ``action`` from ``start`` to ``end`` (seconds).

    ``amount`` is the distance moved, the factor of growth or the angle turned; ``to_colour`` the new colour of a
    recolouring.
    """

    object: int
    action: str
    start: float
    end: float
    amount: float = 0.0
    to_colour: str = ""


@dataclass(frozen=True)
class Script:
    """Everything a video shows. ``background`` seeds the texture and the clutter."""

    id: str
    duration: float
    objects: tuple[SceneObject, ...]
    events: tuple[Event, ...]
    background: int
    level: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def sample_script(rng: random.Random, level: int, video_id: str = "") -> Script:
    """Draw one script; the same state of ``rng`` gives the same script."""
    spec = LEVELS[level]
    duration = float(rng.choice(DURATIONS_S))
    count = rng.randint(*spec.objects)
    colours = rng.sample(list(COLOURS)[: spec.colours], count)
    shapes = [rng.choice(SHAPES[: spec.shapes]) for _ in range(count)]
    objects = [
        SceneObject(colour, shape, x, y, size=round(rng.uniform(0.085, 0.14), 3), angle=0.0)
        for colour, shape, (x, y) in zip(colours, shapes, _places(rng, count), strict=True)
    ]
    spans = _timeline(rng, rng.randint(*spec.events), duration, spec.event_s, count)
    events: list[Event] = []
    state = [_Running(o) for o in objects]
    for index, start, end in sorted(spans, key=lambda span: span[1]):
        event = state[index].next_event(rng, index, start, end, spec, colours)
        if event is not None:
            events.append(event)
    objects = [
        SceneObject(**{**asdict(o), "visible": state[i].visible_at_first}) for i, o in enumerate(objects)
    ]
    return Script(video_id, duration, tuple(objects), tuple(events), rng.randrange(2**31), level)


def _places(rng: random.Random, count: int) -> list[tuple[float, float]]:
    """Starting places that do not hide one another: at least 0.24 apart where that can be had in a few draws."""
    places: list[tuple[float, float]] = []
    for _ in range(count):
        for _ in range(20):
            place = (round(rng.uniform(0.16, 0.84), 3), round(rng.uniform(0.16, 0.84), 3))
            if all((place[0] - x) ** 2 + (place[1] - y) ** 2 > 0.24**2 for x, y in places):
                break
        places.append(place)
    return places


def _timeline(
    rng: random.Random, count: int, duration: float, event_s: tuple[float, float], objects: int
) -> list[tuple[int, float, float]]:
    """(object, start, end) spans; spans of one object never touch, those of different objects may overlap."""
    spans: list[tuple[int, float, float]] = []
    for _ in range(count * 6):
        if len(spans) == count:
            break
        index = rng.randrange(objects)
        length = rng.uniform(*event_s)
        start = rng.uniform(0.3, max(0.4, duration - length - 0.3))
        span = (index, round(start, 1), round(min(start + length, duration), 1))
        if all(o != index or span[2] + 0.6 < s or span[1] > e + 0.6 for o, s, e in spans):
            spans.append(span)
    return spans


class _Running:
    """Walks one object through its events so that each stays possible (inside the picture, visible, in size)."""

    def __init__(self, first: SceneObject) -> None:
        self.x, self.y, self.size = first.x, first.y, first.size
        self.visible = True
        self.visible_at_first = True
        self.fresh = True
        self.colour = first.colour
        self.done: set[str] = set()

    def next_event(
        self, rng: random.Random, index: int, start: float, end: float, spec: Level, taken: list[str]
    ) -> Event | None:
        if not self.visible:  # only one thing can follow a vanishing
            self.visible = True
            return Event(index, "appear", start, min(end, round(start + 1.5, 1)))
        options = [a for a in ACTIONS[: spec.actions] if self._possible(a)]
        new = [a for a in options if a not in self.done]
        action = rng.choice(new if new and rng.random() < 0.6 else options)  # some events come twice
        self.done.add(action)
        first, self.fresh = self.fresh, False
        if action in MOVES:
            dx, dy = MOVES[action]
            room = (
                self.x - 0.12
                if dx < 0
                else 0.88 - self.x
                if dx
                else self.y - 0.12
                if dy < 0
                else 0.88 - self.y
            )
            amount = round(min(room, rng.uniform(0.25, 0.5)), 3)
            self.x += dx * amount
            self.y += dy * amount
            return Event(index, action, start, end, amount)
        if action in ("grow", "shrink"):
            amount = round(rng.uniform(1.6, 2.0), 3)
            self.size *= amount if action == "grow" else 1 / amount
            return Event(index, action, start, end, amount)
        if action == "vanish":
            self.visible = False
            return Event(index, action, start, min(end, round(start + 1.5, 1)))
        if action == "appear":
            self.visible_at_first = not first
            return Event(index, action, start, min(end, round(start + 1.5, 1)))
        if action == "turn":
            return Event(index, action, start, end, round(rng.uniform(2.5, 5.0), 3))
        free = [c for c in list(COLOURS)[: spec.colours] if c not in taken]
        if not free:
            return None
        fresh_colour = rng.choice(free)
        taken.append(fresh_colour)
        self.colour = fresh_colour
        return Event(index, "recolour", start, end, to_colour=fresh_colour)

    def _possible(self, action: str) -> bool:
        rooms = {
            "left": self.x - 0.12,
            "right": 0.88 - self.x,
            "up": self.y - 0.12,
            "down": 0.88 - self.y,
        }
        if action in rooms:
            return rooms[action] >= 0.22
        if action == "grow":
            return self.size < 0.125
        if action == "shrink":
            return self.size > 0.105
        if action == "appear":
            return self.fresh  # later only after a vanishing
        return True


@dataclass(frozen=True)
class States:
    """Objects of a script at K times. ``x, y, size, angle, alpha``: (K, O); ``rgb``: (K, O, 3)."""

    x: np.ndarray
    y: np.ndarray
    size: np.ndarray
    angle: np.ndarray
    alpha: np.ndarray
    rgb: np.ndarray


def states_at(script: Script, times_s: np.ndarray) -> States:
    """State of every object at the given seconds (K,); change is linear in time within an event."""
    count, objects = len(times_s), script.objects

    def constant(name: str) -> np.ndarray:
        return np.tile(np.array([getattr(o, name) for o in objects], dtype=np.float64), (count, 1))

    states = States(
        constant("x"),
        constant("y"),
        constant("size"),
        constant("angle"),
        constant("visible"),
        np.tile(np.array([COLOURS[o.colour] for o in objects]), (count, 1, 1)),
    )
    for event in sorted(script.events, key=lambda e: e.start):
        i = event.object
        done = np.clip((times_s - event.start) / max(event.end - event.start, 1e-6), 0.0, 1.0)
        if event.action in MOVES:
            dx, dy = MOVES[event.action]
            states.x[:, i] += dx * event.amount * done
            states.y[:, i] += dy * event.amount * done
        elif event.action == "grow":
            states.size[:, i] *= 1 + (event.amount - 1) * done
        elif event.action == "shrink":
            states.size[:, i] *= 1 + (1 / event.amount - 1) * done
        elif event.action == "appear":
            states.alpha[:, i] += done
        elif event.action == "vanish":
            states.alpha[:, i] -= done
        elif event.action == "turn":
            states.angle[:, i] += event.amount * done
        elif event.action == "recolour":
            target = np.array(COLOURS[event.to_colour])
            states.rgb[:, i] += (target - states.rgb[:, i]) * done[:, None]
    return states


def frame_times(duration_s: float, frame_rate: float = FRAME_RATE) -> np.ndarray:
    """Presentation times of the video's frames, seconds."""
    return np.arange(round(duration_s * frame_rate)) / frame_rate
