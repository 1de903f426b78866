"""Multiple-choice questions about a script, each with one right answer and the windows that prove it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from .actions import ACTIONS
from .language import NUM_CHOICES, PLAIN, Wording, caption_of, detail, windows_of
from .things import COLOURS, GLYPHS, SHAPES, Event, SceneObject
from .world import LEVELS, Script

TIMES = ("never", "once", "twice", "three times", "four times")


@dataclass(frozen=True)
class ChoiceQuestion:
    """A multiple-choice question; ``windows`` prove the answer. ``type`` is NExT-QA's code."""

    question: str
    choices: tuple[str, ...]
    answer: int
    type: str
    windows: tuple[tuple[float, float], ...]


def questions_of(script: Script, rng: random.Random, wording: Wording = PLAIN) -> list[ChoiceQuestion]:
    """Questions with one right answer of NUM_CHOICES, where the script allows them."""
    spec = LEVELS[script.level]
    found = [*_what(script, rng, wording), *_which(script, rng, wording)]
    if spec.details:
        found += _details(script, rng, wording)
    if spec.relations:
        found += _order(script, rng, wording)
        found += _counts(script, rng, wording)
    return found


def _said(wording: Wording) -> dict[str, str]:
    return {action: verbs[0] for action, verbs in wording.verbs.items()}


def _what(script: Script, rng: random.Random, wording: Wording) -> Iterator[ChoiceQuestion]:
    """What a thing does, alone or after something else it did."""
    said = _said(wording)
    by_name: dict[str, list[Event]] = {}
    for event in sorted(script.events, key=lambda e: e.start):
        by_name.setdefault(script.doer(event).name, []).append(event)
    verbs = [said[a] for a in list(ACTIONS)[: LEVELS[script.level].actions]]
    for name, events in by_name.items():
        if len(events) == 1:
            yield _question(
                f"what does the {name} do", said[events[0].action], verbs, "TC", (events[0],), rng
            )
        for before, after in pairwise(events):
            if sum(e.action == before.action for e in events) == 1:
                text = f"what does the {name} do after it {said[before.action]}"
                yield _question(text, said[after.action], verbs, "TN", (after,), rng)


def _alone(script: Script) -> Iterator[tuple[Event, SceneObject]]:
    """Events whose action nothing else does, and the thing does once."""
    for event in script.events:
        if sum(e.action == event.action for e in script.events) == 1:
            yield event, script.doer(event)


def _which(script: Script, rng: random.Random, wording: Wording) -> Iterator[ChoiceQuestion]:
    spec, said = LEVELS[script.level], _said(wording)
    for event, thing in _alone(script):
        names = [o.name for o in script.objects]
        names += [f"{c} {s}" for c in list(COLOURS)[: spec.colours] for s in SHAPES[: spec.shapes]]
        near = [n for n in names[: len(script.objects)] if n != thing.name]
        text = f"which thing {said[event.action]}"
        yield _question(text, thing.name, near + rng.sample(names, len(names)), "TP", (event,), rng)


def _details(script: Script, rng: random.Random, wording: Wording) -> Iterator[ChoiceQuestion]:
    """The detail on a thing: only its patches show it."""
    said, things = _said(wording), [SceneObject("", "", 0, 0, 0, 0, glyph=g) for g in GLYPHS]
    for event, thing in _alone(script):
        if thing.glyph:
            text = f"what is on the thing that {said[event.action]}"
            yield _question(text, detail(thing), [detail(t) for t in things], "DO", (event,), rng)


def _order(script: Script, rng: random.Random, wording: Wording) -> Iterator[ChoiceQuestion]:
    """What happens first, last, and next after an event."""
    events = sorted(script.events, key=lambda e: e.start)
    told = [caption_of(script, e, wording) for e in events]
    once = [i for i, text in enumerate(told) if told.count(text) == 1]
    asked = [("what happens first", 0, "TN")] if 0 in once else []
    if len(events) - 1 in once:
        asked.append(("what happens last", len(events) - 1, "TP"))
    for i in once:
        later = [k for k in range(len(events)) if events[k].start >= events[i].end]
        if later and later[0] in once:
            asked.append((f"what happens next after {told[i]}", later[0], "TN"))
    for text, right, kind in rng.sample(asked, min(2, len(asked))):
        if len(set(told)) >= NUM_CHOICES:
            yield _question(text, told[right], told, kind, (events[right],), rng)


def _counts(script: Script, rng: random.Random, wording: Wording) -> Iterator[ChoiceQuestion]:
    """How often a thing does something that it does at least once."""
    events = sorted(script.events, key=lambda e: e.start)
    for event in rng.sample(events, min(1, len(events))):
        windows = windows_of(script, script.doer(event).name, event.action)
        if len(windows) < len(TIMES):
            order = list(TIMES)
            rng.shuffle(order)
            text = f"how many times is this seen: {caption_of(script, event, wording)}"
            yield ChoiceQuestion(text, tuple(order), order.index(TIMES[len(windows)]), "DC", windows)


def _question(
    text: str, right: str, pool: list[str], kind: str, events: tuple[Event, ...], rng: random.Random
) -> ChoiceQuestion:
    wrong = [option for option in dict.fromkeys(pool) if option != right]
    if kind != "TP" or text.startswith("what"):  # for "which thing", things of the same video come first
        rng.shuffle(wrong)
    options = [right, *wrong[: NUM_CHOICES - 1]]
    while len(options) < NUM_CHOICES:
        options.append(("stands still", "does nothing", "waits")[len(options) % 3])
    rng.shuffle(options)
    windows = tuple((e.start, e.end) for e in events)
    return ChoiceQuestion(text, tuple(options), options.index(right), kind, windows)
