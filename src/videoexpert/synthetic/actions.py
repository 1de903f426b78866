"""What things do: one table, ACTIONS. A new action is one entry; scripts, pictures, sentences and labels follow."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .things import COLOUR_INDEX, SYMMETRY, Event, Running, States

Phrases = tuple[str, ...]
EDGE, ROOM = 0.12, 0.22  # of the picture: how near its border a move may end, and how much room it needs


@dataclass(frozen=True)
class Action:
    """One kind of event.

    verbs       how it is said; the first is how captions say it
    held_out    in words of ``verbs``, in orders that only the test split shows
    rich        more ways, from level 5 on
    other       as somebody else says it: no model and no tokeniser of this project has met these words
    possible    can it happen to this thing now?
    begin       the event with its amount, and the thing as it is afterwards
    show        changes states (K, O) of object i; ``done`` (K,) is the share of the event that has passed
    longest_s   events of this kind end after this time, in a video of 24 s
    """

    name: str
    verbs: Phrases
    held_out: Phrases
    rich: Phrases
    other: Phrases
    possible: Callable[[Running], bool]
    begin: Callable[[Running, random.Random, Event], Event]
    show: Callable[[States, int, Event, np.ndarray], None]
    longest_s: float = float("inf")


def _move(
    name: str, dx: float, dy: float, verbs: Phrases, held: Phrases, rich: Phrases, other: Phrases
) -> Action:
    def room(thing: Running) -> float:
        place = thing.x if dx else thing.y
        return place - EDGE if dx + dy < 0 else 1 - EDGE - place

    def begin(thing: Running, rng: random.Random, event: Event) -> Event:
        amount = round(min(room(thing), rng.uniform(0.25, 0.5)), 3)
        thing.x += dx * amount
        thing.y += dy * amount
        return replace(event, amount=amount)

    def show(states: States, i: int, event: Event, done: np.ndarray) -> None:
        states.x[:, i] += dx * event.amount * done
        states.y[:, i] += dy * event.amount * done

    return Action(name, verbs, held, rich, other, lambda thing: room(thing) >= ROOM, begin, show)


def _grow(thing: Running, rng: random.Random, event: Event) -> Event:
    amount = round(rng.uniform(1.6, 2.0), 3)
    thing.size *= amount
    return replace(event, amount=amount)


def _shrink(thing: Running, rng: random.Random, event: Event) -> Event:
    amount = round(rng.uniform(1.6, 2.0), 3)
    thing.size *= 1 / amount
    return replace(event, amount=amount)


def _show_size(states: States, i: int, event: Event, done: np.ndarray) -> None:
    factor = event.amount if event.action == "grow" else 1 / event.amount
    states.size[:, i] *= 1 + (factor - 1) * done


def _appear(thing: Running, rng: random.Random, event: Event) -> Event:
    thing.visible_at_first = thing.visible_at_first and not thing.fresh
    thing.visible = True
    return event


def _vanish(thing: Running, rng: random.Random, event: Event) -> Event:
    thing.visible = False
    return event


def _show_alpha(states: States, i: int, event: Event, done: np.ndarray) -> None:
    states.alpha[:, i] += done if event.action == "appear" else -done


def _turn(thing: Running, rng: random.Random, event: Event) -> Event:
    """At a speed that 64 frames show: a cross that turned by a quarter from frame to frame would stand still."""
    speed = rng.uniform(0.9, 1.8) / thing.pace
    return replace(event, amount=round(speed * (event.end - event.start), 3))


def _show_turn(states: States, i: int, event: Event, done: np.ndarray) -> None:
    states.angle[:, i] += event.amount * done


def _recolour(thing: Running, rng: random.Random, event: Event) -> Event:
    thing.colour = rng.choice(thing.free)
    thing.free.remove(thing.colour)
    return replace(event, to_colour=thing.colour)


def _show_colour(states: States, i: int, event: Event, done: np.ndarray) -> None:
    states.shown[:, i] *= (1 - done)[:, None]
    states.shown[:, i, COLOUR_INDEX[event.to_colour]] += done


ACTIONS: dict[str, Action] = {
    action.name: action
    for action in (
        _move(
            "left", -1, 0,
            ("moves left", "slides to the left", "goes left", "is moving to the left"),
            ("goes to the left", "is sliding left"),
            ("travels left", "moves towards the left"),
            ("drifts west", "heads west"),
        ),
        _move(
            "right", 1, 0,
            ("moves right", "slides to the right", "goes right", "is moving to the right"),
            ("goes to the right", "is sliding right"),
            ("travels right", "moves towards the right"),
            ("drifts east", "heads east"),
        ),
        _move(
            "up", 0, -1,
            ("moves up", "slides upwards", "goes up", "is moving upwards"),
            ("goes upwards", "is sliding up"),
            ("travels up", "moves towards the top"),
            ("climbs", "rises"),
        ),
        _move(
            "down", 0, 1,
            ("moves down", "slides downwards", "goes down", "is moving downwards"),
            ("goes downwards", "is sliding down"),
            ("travels down", "moves towards the bottom"),
            ("sinks", "drops"),
        ),
        Action(
            "grow",
            ("grows", "gets bigger", "becomes larger", "is growing"),
            ("becomes bigger", "is getting larger"),
            ("enlarges", "increases in size"),
            ("swells", "expands"),
            lambda thing: thing.size < 0.125, _grow, _show_size,
        ),
        Action(
            "shrink",
            ("shrinks", "gets smaller", "becomes tiny", "is shrinking"),
            ("becomes smaller", "is getting tiny"),
            ("diminishes", "decreases in size"),
            ("dwindles", "contracts"),
            lambda thing: thing.size > 0.105, _shrink, _show_size,
        ),
        Action(
            "appear",
            ("appears", "shows up", "comes into view", "is appearing"),
            ("comes up", "is coming into view"),
            ("enters", "arrives"),
            ("emerges", "pops out"),
            lambda thing: thing.fresh, _appear, _show_alpha, longest_s=1.5,  # later only after a vanishing
        ),
        Action(
            "vanish",
            ("vanishes", "fades away", "goes out of view", "is vanishing"),
            ("goes away", "is going out of view"),
            ("leaves", "departs"),
            ("dissolves", "disappears"),
            lambda thing: True, _vanish, _show_alpha, longest_s=1.5,
        ),
        Action(
            "turn",
            ("turns around", "spins", "rotates", "is spinning"),
            ("is turning around", "is rotating"),
            ("revolves", "goes round"),
            ("whirls", "twists"),
            lambda thing: thing.shape in SYMMETRY, _turn, _show_turn,  # of a circle nobody sees it
        ),
        Action(
            "recolour",
            ("changes colour", "gets a new colour", "becomes another colour", "is changing colour"),
            ("becomes a new colour", "gets another colour"),
            ("alters its colour", "takes another colour"),
            ("switches hue", "is repainted"),
            lambda thing: bool(thing.free), _recolour, _show_colour,
        ),
    )
}  # fmt: skip
ACTION_INDEX = {name: i for i, name in enumerate(ACTIONS)}
