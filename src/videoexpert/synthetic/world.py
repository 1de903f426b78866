"""Scripts of synthetic videos: what is in the picture, and what happens when.

A script is a few coloured shapes, each doing one thing at a time, over a textured background with grey clutter.
Motion must be needed: most actions differ from another one only by the direction of change.
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from .actions import ACTIONS
from .things import COLOUR_INDEX, COLOURS, GLYPH_ROOM, GLYPHS, SHAPES, Event, Running, SceneObject, States


@dataclass(frozen=True)
class Level:
    """One notch of the difficulty dial.

    again       how often a thing does something that it did before, where it can
    details     share of the things with room for a detail that carry one
    told        captions and queries name the details
    relations   queries and questions about the order and the number of events, and more ways to say things
    wild        videos of 6 to 120 s at several frame rates, moving backgrounds, noise, letterboxes, compression
    """

    colours: int
    shapes: int
    actions: int  # the first so many of ACTIONS
    objects: tuple[int, int]  # fewest, most
    events: tuple[int, int]
    clutter: int
    event_s: tuple[float, float]
    texture: float  # amplitude of the background noise
    again: float = 0.0
    details: float = 0.0
    told: bool = False
    relations: bool = False
    wild: bool = False


LEVELS: dict[int, Level] = {
    1: Level(4, 3, 4, (2, 2), (2, 3), 0, (2.5, 5.0), 0.05),
    2: Level(6, 3, 6, (2, 3), (3, 4), 2, (2.0, 5.0), 0.08),
    3: Level(6, 4, 8, (2, 3), (3, 5), 3, (1.5, 4.5), 0.10),
    4: Level(8, 5, 10, (3, 4), (4, 6), 5, (1.2, 4.0), 0.14),
    5: Level(
        8, 5, 10, (2, 4), (5, 8), 5, (1.2, 4.0), 0.14, again=0.6, details=0.5, relations=True, wild=True
    ),
    6: Level(6, 3, 6, (2, 3), (3, 4), 2, (2.0, 5.0), 0.08, details=1.0, told=True),  # not harder: for details
}
SHIPPED_LEVEL = 4
FRAME_RATE = 10.0
DURATIONS_S = (12, 14, 16, 18, 20, 22, 24)  # even, so that QVHighlights' 2 s clips cover them exactly
WILD_DURATIONS_S = (6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 30, 40, 60, 90, 120)
WILD_FRAME_RATES = (8.0, 10.0, 12.0, 15.0, 25.0)
SHORTEST_S = 0.7  # of an event in a wild video


@dataclass(frozen=True)
class Script:
    """Everything a video shows. ``background`` seeds the texture and the clutter.

    bars        black above and below the picture, each this share of its height; what it shows is as much smaller
    drift       how far the background moves, right and down, in pictures a second
    noise       of every pixel, standard deviation in grey levels
    crf         of the H.264 file
    """

    id: str
    duration: float
    objects: tuple[SceneObject, ...]
    events: tuple[Event, ...]
    background: int
    level: int
    frame_rate: float = FRAME_RATE
    bars: float = 0.0
    drift: tuple[float, float] = (0.0, 0.0)
    noise: float = 0.0
    crf: int = 18

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def thing_at(self, index: int, time_s: float) -> SceneObject:
        """An object as it is called at a time: by the colour it has then, the old one while it changes."""
        thing = self.objects[index]
        for event in sorted(self.events, key=lambda e: e.start):
            if event.object == index and event.to_colour and event.end <= time_s:
                thing = replace(thing, colour=event.to_colour)
        return thing

    def doer(self, event: Event) -> SceneObject:
        """The object of an event as it is called when the event begins."""
        return self.thing_at(event.object, event.start)


def sample_script(rng: random.Random, level: int, video_id: str = "") -> Script:
    """Draw one script; the same state of ``rng`` gives the same script."""
    spec = LEVELS[level]
    duration = float(rng.choice(WILD_DURATIONS_S if spec.wild else DURATIONS_S))
    count = rng.randint(*spec.objects)
    colours = rng.sample(list(COLOURS)[: spec.colours], count)
    shapes = [rng.choice(SHAPES[: spec.shapes]) for _ in range(count)]
    objects = [
        SceneObject(colour, shape, x, y, size=round(rng.uniform(0.085, 0.14), 3), angle=0.0)
        for colour, shape, (x, y) in zip(colours, shapes, _places(rng, count), strict=True)
    ]
    if spec.details:
        objects = [_detailed(rng, thing, spec.details) for thing in objects]
    events, running = _events(rng, spec, duration, objects)
    objects = [replace(o, visible=r.visible_at_first) for o, r in zip(objects, running, strict=True)]
    script = Script(video_id, duration, tuple(objects), tuple(events), rng.randrange(2**31), level)
    return _wild(rng, script) if spec.wild else script


def _detailed(rng: random.Random, thing: SceneObject, share: float) -> SceneObject:
    """The thing with a detail on it, and large enough for it, where its shape has room and the lot falls so."""
    if thing.shape not in GLYPH_ROOM or rng.random() >= share:
        return thing
    return replace(thing, glyph=rng.choice(list(GLYPHS)), size=round(rng.uniform(0.11, 0.15), 3))


def _events(
    rng: random.Random, spec: Level, duration: float, objects: list[SceneObject]
) -> tuple[list[Event], list[Running]]:
    """All events, and each object as they leave it."""
    pace = max(1.0, duration / DURATIONS_S[-1]) if spec.wild else 1.0
    lengths, most = spec.event_s, spec.events
    if (
        spec.wild
    ):  # a share of the video, so that 64 frames show short events of short videos and none is missed
        lengths = (max(SHORTEST_S, 0.05 * duration), max(2.0, 0.17 * duration))
        most = spec.events if duration >= DURATIONS_S[0] else (spec.events[0] - 2, spec.events[0])
    free = [c for c in list(COLOURS)[: spec.colours] if c not in {o.colour for o in objects}]
    running = [Running(o.shape, o.x, o.y, o.size, o.colour, free, pace) for o in objects]
    spans = _timeline(rng, rng.randint(*most), duration, lengths, len(objects))
    events: list[Event] = []
    for index, start, end in sorted(spans, key=lambda span: span[1]):
        thing = running[index]
        action = ACTIONS["appear"] if not thing.visible else _choose(rng, thing, spec)
        if action is not None:
            longest = round(start + action.longest_s * pace, 1)
            events.append(action.begin(thing, rng, Event(index, action.name, start, min(end, longest))))
            thing.fresh = False
    return events, running


def _choose(rng: random.Random, thing: Running, spec: Level) -> Any:
    """What a visible thing does next, of what is possible for it."""
    options = [name for name, action in list(ACTIONS.items())[: spec.actions] if action.possible(thing)]
    old = [name for name in options if name in thing.done]
    if spec.again and old and rng.random() < spec.again:
        return ACTIONS[rng.choice(old)]
    new = [name for name in options if name not in thing.done]
    chosen = rng.choice(new if new and rng.random() < 0.6 else options)
    thing.done.add(chosen)
    return ACTIONS[chosen]


def _wild(rng: random.Random, script: Script) -> Script:
    """How the video was taken and stored: half of them as the other levels have it, in each respect."""

    def often() -> bool:
        return rng.random() < 0.5

    return replace(
        script,
        frame_rate=rng.choice(WILD_FRAME_RATES),
        bars=round(rng.uniform(0.06, 0.13), 3) if often() else 0.0,
        drift=(round(rng.uniform(-0.1, 0.1), 3), round(rng.uniform(-0.1, 0.1), 3)) if often() else (0.0, 0.0),
        noise=round(rng.uniform(2.0, 10.0), 1) if often() else 0.0,
        crf=rng.choice((18, 23, 28, 33)),
    )


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


def states_at(script: Script, times_s: np.ndarray) -> States:
    """State of every object at the given seconds (K,); change is linear in time within an event."""
    count, objects = len(times_s), script.objects

    def constant(name: str) -> np.ndarray:
        return np.tile(np.array([getattr(o, name) for o in objects], dtype=np.float64), (count, 1))

    shown = np.zeros((count, len(objects), len(COLOURS)))
    for i, thing in enumerate(objects):
        shown[:, i, COLOUR_INDEX[thing.colour]] = 1.0
    x, y, size, angle, alpha = (constant(name) for name in ("x", "y", "size", "angle", "visible"))
    states = States(x, y, size, angle, alpha, shown)
    for event in sorted(script.events, key=lambda e: e.start):
        done = np.clip((times_s - event.start) / max(event.end - event.start, 1e-6), 0.0, 1.0)
        ACTIONS[event.action].show(states, event.object, event, done)
    if script.bars:
        scale = 1 - 2 * script.bars
        for places in (states.x, states.y):
            places[:] = 0.5 + (places - 0.5) * scale
        states.size[:] *= scale
    return states


def frame_times(duration_s: float, frame_rate: float = FRAME_RATE) -> np.ndarray:
    """Presentation times of the video's frames, seconds."""
    return np.arange(round(duration_s * frame_rate)) / frame_rate
