"""Sentences of the synthetic world: queries and captions, and what a single frame shows.

Every action has several phrasings. Held-out ones use known words in orders that training never shows; they appear in
the test split only. Things are called by the colour that they have when an event begins.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .actions import ACTIONS, Phrases
from .things import COLOURS, GLYPHS, SHAPES, Event, SceneObject
from .world import LEVELS, Script, states_at

SENTENCES = (
    "the {thing} {verb}",
    "{a} {thing} {verb}",
    "{thing} {verb}",
    "the {shape} that is {colour} {verb}",
)
HELD_OUT_SENTENCES = ("a {shape} that is {colour} {verb}", "{thing} that {verb}")
RICH_SENTENCES = ("there is {a} {thing} that {verb}", "one {thing} {verb}", "now the {thing} {verb}")
NUM_CHOICES = 5
ABSENT_QUERIES = 2  # false sentences that are asked of each video
ORDER = {  # how two events, or one event among its like, are related in time
    "after": ("{y} after {x}", "after {x}, {y}"),
    "before": ("{y} before {x}", "before {x}, {y}"),
    "while": ("{y} while {x}", "while {x}, {y}"),
    "first": ("{y} for the first time",),
    "second": ("{y} for the second time",),
}
_ORDER_WORDS = frozenset(("after", "before", "while", "first", "second"))


@dataclass(frozen=True)
class Wording:
    """How things are said: in ``verbs``, and in the test split half of the time in what is held out."""

    verbs: dict[str, Phrases]
    held_out: dict[str, Phrases]
    sentences: Phrases = SENTENCES
    held_out_sentences: Phrases = HELD_OUT_SENTENCES


PLAIN = Wording({n: a.verbs for n, a in ACTIONS.items()}, {n: a.held_out for n, a in ACTIONS.items()})
RICH = Wording(
    {n: a.verbs + a.rich for n, a in ACTIONS.items()}, PLAIN.held_out, (*SENTENCES, *RICH_SENTENCES)
)
OTHER = Wording({n: a.other for n, a in ACTIONS.items()}, {n: a.other for n, a in ACTIONS.items()})
WORDINGS = {"plain": PLAIN, "other": OTHER}


def phrases_of(script: Script, wording: Wording) -> Wording:
    """The wording of a video: levels with relations say plain things in more ways."""
    return RICH if wording is PLAIN and LEVELS[script.level].relations else wording


def article(noun: str) -> str:
    return "an" if noun[0] in "aeiou" else "a"


def detail(thing: SceneObject) -> str:
    """``a letter A``, ``dots``."""
    return thing.glyph if thing.glyph.endswith("s") else f"a {thing.glyph}"


def full_name(thing: SceneObject) -> str:
    """With its detail, if it has one: ``red circle with a letter A``."""
    return f"{thing.name} with {detail(thing)}" if thing.glyph else thing.name


def query_for(
    thing: SceneObject, action: str, rng: random.Random, *, held_out: bool = False, wording: Wording = PLAIN
) -> str:
    """One phrasing of "thing does action"; with ``held_out`` one that training never uses."""
    sentences = wording.sentences
    verbs = wording.verbs[action]
    if held_out and rng.random() < 0.5:
        verbs = wording.held_out[action]
    elif held_out:
        sentences = wording.held_out_sentences
    return rng.choice(sentences).format(
        a=article(thing.name),
        thing=thing.name,
        colour=thing.colour,
        shape=thing.shape,
        verb=rng.choice(verbs),
    )


def query_of(
    script: Script, thing: SceneObject, action: str, rng: random.Random, held_out: bool, wording: Wording
) -> str:
    """A query about a thing of the script: by its detail, where details are named."""
    if LEVELS[script.level].told and thing.glyph:
        names = [(o.shape, o.glyph) for o in script.objects]
        alone = names.count((thing.shape, thing.glyph)) == 1
        name = f"{thing.shape} with {detail(thing)}" if alone else full_name(thing)
        verbs = wording.held_out[action] if held_out and rng.random() < 0.5 else wording.verbs[action]
        return f"the {name} {rng.choice(verbs)}"
    return query_for(thing, action, rng, held_out=held_out, wording=wording)


def meaning(query: str) -> tuple[str, str] | None:
    """(colour, action) that a query of this world asks for; None where it names no single event by its colour."""
    words = query.replace(",", " ").split()
    if _ORDER_WORDS & set(words):
        return None
    colour = next((c for c in COLOURS if c in words), None)
    phrases = [
        (v, n) for n, a in ACTIONS.items() for v in (*a.verbs, *a.held_out, *a.rich) if query.endswith(v)
    ]
    action = max(phrases, key=lambda p: len(p[0]), default=("", None))[1]
    return (colour, action) if colour and action else None


def caption_of(script: Script, event: Event, wording: Wording = PLAIN) -> str:
    """The canonical sentence of an event."""
    thing = script.doer(event)
    name = full_name(thing) if LEVELS[script.level].told else thing.name
    return f"the {name} {wording.verbs[event.action][0]}"


def windows_of(script: Script, name: str, action: str) -> tuple[tuple[float, float], ...]:
    """All times at which a thing of that name does the action, seconds, ascending."""
    found = [(e.start, e.end) for e in script.events if e.action == action and script.doer(e).name == name]
    return tuple(sorted(found))


def doings(script: Script) -> list[tuple[SceneObject, str]]:
    """Each thing, as it is called then, with what it does, once, in order of time."""
    found: dict[tuple[str, str], tuple[SceneObject, str]] = {}
    for event in sorted(script.events, key=lambda e: e.start):
        thing = script.doer(event)
        found.setdefault((thing.name, event.action), (thing, event.action))
    return list(found.values())


def absent_query(
    script: Script, rng: random.Random, *, held_out: bool = False, wording: Wording = PLAIN
) -> str | None:
    """A sentence that is false of this video: mostly a thing that is there doing what it never does."""
    spec = LEVELS[script.level]
    wording = phrases_of(script, wording)
    names = list(ACTIONS)[: spec.actions]
    for _ in range(20):
        if rng.random() < 0.6:
            index = rng.randrange(len(script.objects))
            action = rng.choice(names)
            if all(e.object != index or e.action != action for e in script.events):
                return query_of(script, script.objects[index], action, rng, held_out, wording)
        else:
            colour = rng.choice(list(COLOURS)[: spec.colours])
            shape = rng.choice(SHAPES[: spec.shapes])
            if all(o.colour != colour for o in script.objects) and all(
                e.to_colour != colour for e in script.events
            ):
                ghost = SceneObject(colour, shape, 0, 0, 1, 0)
                action = rng.choice(names)
                return query_for(ghost, action, rng, held_out=held_out, wording=wording)
    return None


@dataclass(frozen=True)
class Seen:
    """One thing of a frame: its coarse size ("big ", "small " or "") and place ("top left"); "" where not said."""

    thing: SceneObject
    size: str
    place: str
    actions: tuple[str, ...] = ()  # what the thing does in its video

    def fact(self) -> tuple[str, str, str]:
        """What is said of the thing, to be looked up among ``facts`` of a frame."""
        return (self.thing.name, self.size, self.place)

    def facts(self) -> tuple[tuple[str, str, str], ...]:
        """All that may be said of the thing: its name alone, or also how big and where it is."""
        return ((self.thing.name, "", ""), self.fact())


def seen_at(script: Script, time_s: float) -> list[Seen]:
    """What one frame shows, thing by thing, each by the colour that it mostly has."""
    states = states_at(script, np.array([time_s]))
    found = []
    for i, thing in enumerate(script.objects):
        if states.alpha[0, i] < 0.5:
            continue
        x, y, size = states.x[0, i], states.y[0, i], states.size[0, i]
        across = "left" if x < 0.4 else "right" if x > 0.6 else "middle"
        height = "top" if y < 0.4 else "bottom" if y > 0.6 else "middle"
        big = "big " if size > 0.15 else "small " if size < 0.08 else ""
        own = tuple(dict.fromkeys(e.action for e in script.events if e.object == i))
        colour = list(COLOURS)[int(states.shown[0, i].argmax())]
        shown = SceneObject(colour, thing.shape, 0, 0, 1, 0)
        found.append(Seen(shown, big, f"{height} {across}", own or tuple(ACTIONS)))
    return found


def say_seen(seen: Sequence[Seen]) -> str:
    """Things with coarse size and place, in the order given."""
    if not seen:
        return "nothing"
    parts = (f"{s.size}{s.thing.name} {s.place}" for s in seen)
    return ", ".join(f"{article(part)} {part}" for part in parts)


def corpus() -> list[str]:
    """Every sentence pattern of the world with every word: what the tokeniser is trained on."""
    things = [SceneObject(c, s, 0, 0, 1, 0) for c in COLOURS for s in SHAPES]
    lines = [
        s.format(a=article(t.name), thing=t.name, colour=t.colour, shape=t.shape, verb=v)
        for t in things
        for a in ACTIONS.values()
        for v in (*a.verbs, *a.held_out, *a.rich)
        for s in (*RICH.sentences, *HELD_OUT_SENTENCES)
    ]
    lines += ["what does the", "do after it", "which thing", "stands still does nothing waits", "nothing"]
    lines += [f"a big {t.name} top left, a small {t.name} bottom right middle" for t in things]
    lines += [f"the {t.shape} with a {glyph}, what is on the thing that" for t in things for glyph in GLYPHS]
    joined = [s.format(x="the", y="the") for sentences in ORDER.values() for s in sentences]
    joined += [
        "how many times is this seen: never once twice three times four times",
        "what happens first, what happens last, what happens next after",
    ]
    return lines + joined * 40
