"""Sentences of the synthetic world: queries, captions, questions, and what a single frame shows.

Every action has several phrasings. Those under ``HELD_OUT`` use known words in orders that training never shows;
they appear in the held-out split only.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .world import ACTIONS, COLOURS, LEVELS, SHAPES, Event, SceneObject, Script, states_at

VERBS: dict[str, tuple[str, ...]] = {
    "left": ("moves left", "slides to the left", "goes left", "is moving to the left"),
    "right": ("moves right", "slides to the right", "goes right", "is moving to the right"),
    "up": ("moves up", "slides upwards", "goes up", "is moving upwards"),
    "down": ("moves down", "slides downwards", "goes down", "is moving downwards"),
    "grow": ("grows", "gets bigger", "becomes larger", "is growing"),
    "shrink": ("shrinks", "gets smaller", "becomes tiny", "is shrinking"),
    "appear": ("appears", "shows up", "comes into view", "is appearing"),
    "vanish": ("vanishes", "fades away", "goes out of view", "is vanishing"),
    "turn": ("turns around", "spins", "rotates", "is spinning"),
    "recolour": ("changes colour", "gets a new colour", "becomes another colour", "is changing colour"),
}
HELD_OUT_VERBS: dict[str, tuple[str, ...]] = {
    "left": ("goes to the left", "is sliding left"),
    "right": ("goes to the right", "is sliding right"),
    "up": ("goes upwards", "is sliding up"),
    "down": ("goes downwards", "is sliding down"),
    "grow": ("becomes bigger", "is getting larger"),
    "shrink": ("becomes smaller", "is getting tiny"),
    "appear": ("comes up", "is coming into view"),
    "vanish": ("goes away", "is going out of view"),
    "turn": ("is turning around", "is rotating"),
    "recolour": ("becomes a new colour", "gets another colour"),
}
# As somebody else says it: no model and no tokeniser of this project has met these words.
OTHER_VERBS: dict[str, tuple[str, ...]] = {
    "left": ("drifts west", "heads west"),
    "right": ("drifts east", "heads east"),
    "up": ("climbs", "rises"),
    "down": ("sinks", "drops"),
    "grow": ("swells", "expands"),
    "shrink": ("dwindles", "contracts"),
    "appear": ("emerges", "pops out"),
    "vanish": ("dissolves", "disappears"),
    "turn": ("whirls", "twists"),
    "recolour": ("switches hue", "is repainted"),
}
SENTENCES = (
    "the {thing} {verb}",
    "a {thing} {verb}",
    "{thing} {verb}",
    "the {shape} that is {colour} {verb}",
)
HELD_OUT_SENTENCES = ("a {shape} that is {colour} {verb}", "{thing} that {verb}")
NUM_CHOICES = 5
ABSENT_QUERIES = 2  # false sentences that are asked of each video


@dataclass(frozen=True)
class Wording:
    """How actions are said: in ``verbs``, and in the test split half of the time in ``held_out``."""

    verbs: dict[str, tuple[str, ...]]
    held_out: dict[str, tuple[str, ...]]


PLAIN = Wording(VERBS, HELD_OUT_VERBS)
WORDINGS = {"plain": PLAIN, "other": Wording(OTHER_VERBS, OTHER_VERBS)}


@dataclass(frozen=True)
class Question:
    """A multiple-choice question; ``windows`` prove the answer. ``type`` is NExT-QA's code."""

    question: str
    choices: tuple[str, ...]
    answer: int
    type: str
    windows: tuple[tuple[float, float], ...]


def query_for(
    thing: SceneObject, action: str, rng: random.Random, *, held_out: bool = False, wording: Wording = PLAIN
) -> str:
    """One phrasing of "thing does action"; with ``held_out`` one that training never uses."""
    sentences: tuple[str, ...] = SENTENCES
    verbs = wording.verbs[action]
    if held_out and rng.random() < 0.5:
        verbs = wording.held_out[action]
    elif held_out:
        sentences = HELD_OUT_SENTENCES
    return rng.choice(sentences).format(
        thing=thing.name, colour=thing.colour, shape=thing.shape, verb=rng.choice(verbs)
    )


def meaning(query: str) -> tuple[str, str] | None:
    """(colour, action) that a query of this world asks for; None where it names no colour or no action."""
    colour = next((c for c in COLOURS if c in query.split()), None)
    phrases = [(v, a) for table in (VERBS, HELD_OUT_VERBS) for a, verbs in table.items() for v in verbs]
    action = next((a for v, a in sorted(phrases, key=lambda p: -len(p[0])) if query.endswith(v)), None)
    return (colour, action) if colour and action else None


def caption_of(script: Script, event: Event, wording: Wording = PLAIN) -> str:
    """The canonical sentence of an event."""
    return f"the {script.objects[event.object].name} {wording.verbs[event.action][0]}"


def windows_of(script: Script, thing: int, action: str) -> tuple[tuple[float, float], ...]:
    """All times at which the object does the action, seconds, ascending."""
    found = [(e.start, e.end) for e in script.events if e.object == thing and e.action == action]
    return tuple(sorted(found))


def absent_query(
    script: Script, rng: random.Random, *, held_out: bool = False, wording: Wording = PLAIN
) -> str | None:
    """A sentence that is false of this video: mostly a thing that is there doing what it never does."""
    spec = LEVELS[script.level]
    for _ in range(20):
        if rng.random() < 0.6:
            index = rng.randrange(len(script.objects))
            action = rng.choice(ACTIONS[: spec.actions])
            if not windows_of(script, index, action):
                return query_for(script.objects[index], action, rng, held_out=held_out, wording=wording)
        else:
            colour = rng.choice(list(COLOURS)[: spec.colours])
            shape = rng.choice(SHAPES[: spec.shapes])
            if all(o.colour != colour for o in script.objects):
                ghost = SceneObject(colour, shape, 0, 0, 1, 0)
                action = rng.choice(ACTIONS[: spec.actions])
                return query_for(ghost, action, rng, held_out=held_out, wording=wording)
    return None


def questions_of(script: Script, rng: random.Random, wording: Wording = PLAIN) -> list[Question]:
    """Questions with one right answer of NUM_CHOICES, where the script allows them."""
    spec = LEVELS[script.level]
    said = {action: verbs[0] for action, verbs in wording.verbs.items()}
    found: list[Question] = []
    by_object: dict[int, list[Event]] = {}
    for event in sorted(script.events, key=lambda e: e.start):
        by_object.setdefault(event.object, []).append(event)
    verbs = [said[a] for a in ACTIONS[: spec.actions]]
    for index, events in by_object.items():
        thing = script.objects[index]
        if len(events) == 1:
            event = events[0]
            found.append(
                _question(f"what does the {thing.name} do", said[event.action], verbs, "TC", event, rng)
            )
        for before, after in pairwise(events):
            if sum(e.action == before.action for e in events) == 1:
                text = f"what does the {thing.name} do after it {said[before.action]}"
                found.append(_question(text, said[after.action], verbs, "TN", after, rng))
    for event in script.events:
        if len({e.object for e in script.events if e.action == event.action}) == 1:
            if sum(e.action == event.action for e in script.events) > 1:
                continue
            names = [o.name for o in script.objects]
            names += [f"{c} {s}" for c in list(COLOURS)[: spec.colours] for s in SHAPES[: spec.shapes]]
            right = script.objects[event.object].name
            near = [n for n in names[: len(script.objects)] if n != right]
            text = f"which thing {said[event.action]}"
            found.append(_question(text, right, near + rng.sample(names, len(names)), "TP", event, rng))
    return found


def _question(
    text: str, right: str, pool: list[str], kind: str, event: Event, rng: random.Random
) -> Question:
    wrong = [option for option in dict.fromkeys(pool) if option != right]
    if kind != "TP":  # for "which thing", things of the same video come first: the hard wrong options
        rng.shuffle(wrong)
    options = [right, *wrong[: NUM_CHOICES - 1]]
    while len(options) < NUM_CHOICES:
        options.append(("stands still", "does nothing", "waits")[len(options) % 3])
    rng.shuffle(options)
    return Question(text, tuple(options), options.index(right), kind, ((event.start, event.end),))


def frame_caption(script: Script, time_s: float) -> str:
    """What one frame shows: things with coarse size and place. For the contrastive stage."""
    states = states_at(script, np.array([time_s]))
    parts = []
    for i, thing in enumerate(script.objects):
        if states.alpha[0, i] < 0.5:
            continue
        x, y, size = states.x[0, i], states.y[0, i], states.size[0, i]
        across = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
        height = "top" if y < 0.4 else "bottom" if y > 0.6 else "middle"
        big = "big " if size > 0.15 else "small " if size < 0.08 else ""
        parts.append(f"a {big}{thing.name} {height} {across}")
    return ", ".join(parts) if parts else "nothing"


def corpus() -> list[str]:
    """Every sentence pattern of the world with every word: what the tokeniser is trained on."""
    things = [SceneObject(c, s, 0, 0, 1, 0) for c in COLOURS for s in SHAPES]
    lines = [
        s.format(thing=t.name, colour=t.colour, shape=t.shape, verb=v)
        for t in things
        for a in ACTIONS
        for v in (*VERBS[a], *HELD_OUT_VERBS[a])
        for s in (*SENTENCES, *HELD_OUT_SENTENCES)
    ]
    lines += ["what does the", "do after it", "which thing", "stands still does nothing waits", "nothing"]
    lines += [f"a big {t.name} top left, a small {t.name} bottom right middle" for t in things]
    return lines
