"""Events in relation to others: after, before and while another, for the first or the second time."""

from __future__ import annotations

import random
from dataclasses import dataclass

from .language import ORDER, PLAIN, Wording, doings, phrases_of, windows_of
from .things import SceneObject
from .world import Script

TRUE_RELATIONS = 3  # that are asked of a video, at the most
Spans = tuple[tuple[float, float], ...]
Doing = tuple[SceneObject, str]


@dataclass(frozen=True)
class Relation:
    """``y`` in its relation to ``x`` (None for "first" and "second"); ``windows`` of y, none where it is false.

    ``needed``: some times of y fit and others do not, so that the relation has to be understood.
    """

    kind: str
    y: Doing
    x: Doing | None
    windows: Spans
    needed: bool


def relations_of(script: Script) -> list[Relation]:
    """Every relation of the script that is clearly true or clearly false."""
    found = []
    known = [(doing, windows_of(script, doing[0].name, doing[1])) for doing in doings(script)]
    for y, windows in known:
        found.append(Relation("second", y, None, windows[1:2], len(windows) > 1))
        if len(windows) > 1:
            found.append(Relation("first", y, None, windows[:1], True))
        for x, other in known:
            if x != y and len(other) == 1:
                found += _pair(y, windows, x, other[0])
    return found


def _pair(y: Doing, windows: Spans, x: Doing, other: tuple[float, float]) -> list[Relation]:
    """The relations of y to a single event. Nothing is asked where an overlap leaves "after" or "before" open."""
    after = tuple(w for w in windows if w[0] >= other[1])
    before = tuple(w for w in windows if w[1] <= other[0])
    during = tuple(w for w in windows if min(w[1], other[1]) - max(w[0], other[0]) >= 0.5 * (w[1] - w[0]))
    found = []
    if len(after) + len(before) == len(windows):
        found += [Relation("after", y, x, after, 0 < len(after) < len(windows))]
        found += [Relation("before", y, x, before, 0 < len(before) < len(windows))]
    if during or len(after) + len(before) == len(windows):
        found += [Relation("while", y, x, during, 0 < len(during) < len(windows))]
    return found


def true_relations(script: Script) -> list[Relation]:
    """A few true ones, those that must be understood first; the same whatever else is drawn."""
    true = [r for r in relations_of(script) if r.windows]
    random.Random(script.background).shuffle(true)
    return sorted(true, key=lambda r: not r.needed)[:TRUE_RELATIONS]


def say_relation(
    relation: Relation, script: Script, rng: random.Random, held_out: bool, wording: Wording = PLAIN
) -> str:
    """One phrasing of a relation."""
    wording = phrases_of(script, wording)

    def clause(doing: Doing, table: dict[str, tuple[str, ...]]) -> str:
        return f"the {doing[0].name} {rng.choice(table[doing[1]])}"

    y = clause(relation.y, wording.held_out if held_out else wording.verbs)
    x = clause(relation.x, wording.verbs) if relation.x else ""
    return rng.choice(ORDER[relation.kind]).format(x=x, y=y)


def false_relation(
    script: Script, rng: random.Random, held_out: bool = False, wording: Wording = PLAIN
) -> str | None:
    """A sentence of two events that both happen, but not so; None where the script has none."""
    false = [r for r in relations_of(script) if not r.windows]
    return say_relation(rng.choice(false), script, rng, held_out, wording) if false else None
