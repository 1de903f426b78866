"""Scripts to samples: the questions of one video, for training straight from the world and for the files."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from ..annotations.samples import Sample
from .language import (
    ABSENT_QUERIES,
    PLAIN,
    Wording,
    absent_query,
    caption_of,
    doings,
    phrases_of,
    query_of,
    windows_of,
)
from .questions import questions_of
from .relations import false_relation, say_relation, true_relations
from .world import LEVELS, Script


def samples_of(
    script: Script, rng: random.Random, *, held_out: bool = False, absent: int = ABSENT_QUERIES
) -> list[Sample]:
    """All samples of a video: one query for each thing and action, ``absent`` false ones, captions, questions."""
    common: dict[str, Any] = {"video": script.id, "duration_s": script.duration}
    samples = [
        Sample(f"{script.id}_q{i}", task="grounding", query=query, windows=windows, **common)
        for i, (query, windows) in enumerate(true_queries(script, rng, held_out=held_out))
    ]
    for i, query in enumerate(false_queries(script, rng, absent, held_out=held_out)):
        samples.append(Sample(f"{script.id}_a{i}", task="grounding", query=query, **common))
    events = sorted(script.events, key=lambda e: e.start)
    samples.append(
        Sample(
            f"{script.id}_c",
            task="caption",
            windows=tuple((e.start, e.end) for e in events),
            captions=tuple(caption_of(script, e) for e in events),
            **common,
        )
    )
    for i, q in enumerate(questions_of(script, rng)):
        samples.append(
            Sample(
                f"{script.id}_{i}",
                task="grounded_qa",
                query=q.question,
                windows=q.windows,
                choices=q.choices,
                answer=q.choices[q.answer],
                choice=q.answer,
                question_type=q.type,
                **common,
            )
        )
    return samples


TRUE_OR_NOT, YES_NO = "is this true: ", ("yes", "no")


def content_samples(script: Script, rng: random.Random) -> list[Sample]:
    """Questions about what happens, none about when, and counting: what a pretrained language model brings along.

    Nothing here has a time or a ``<LOC>``; counting is how its numbers come to be known without any.
    """
    things = script.objects
    asked: list[tuple[str, tuple[str, ...], str]] = []
    told = ". ".join(caption_of(script, e) for e in sorted(script.events, key=lambda e: e.start))
    asked.append(("tell what happens in the video, in order", (), told))
    asked += [(q.question, q.choices, q.choices[q.answer]) for q in questions_of(script, rng)]
    for query, _ in true_queries(script, rng):
        asked.append((f"{TRUE_OR_NOT}{query}", YES_NO, "yes"))
    for false in false_queries(script, rng, max(2, len(things))):
        asked.append((f"{TRUE_OR_NOT}{false}", YES_NO, "no"))
    first = rng.randrange(90)
    numbers = [f"{n:02d}" for n in range(first, first + 8)]
    asked.append((f"count from {numbers[0]} to {numbers[-1]}", (), ", ".join(numbers)))
    return [
        Sample(
            f"{script.id}_content{i}",
            video=script.id,
            duration_s=script.duration,
            task="qa",
            query=question,
            choices=choices,
            answer=answer,
            choice=choices.index(answer) if choices else None,
        )
        for i, (question, choices, answer) in enumerate(asked)
    ]


def true_queries(
    script: Script, rng: random.Random, *, held_out: bool = False, wording: Wording = PLAIN
) -> Iterator[tuple[str, tuple[tuple[float, float], ...]]]:
    """(query, all its windows) for each thing and action of the video, in order of time; then relations."""
    said = phrases_of(script, wording)
    for thing, action in doings(script):
        query = query_of(script, thing, action, rng, held_out, said)
        yield query, windows_of(script, thing.name, action)
    if LEVELS[script.level].relations:
        for relation in true_relations(script):
            yield say_relation(relation, script, rng, held_out, wording), relation.windows


def false_queries(
    script: Script, rng: random.Random, count: int, *, held_out: bool = False, wording: Wording = PLAIN
) -> list[str]:
    """Up to ``count`` sentences that are false of the video; at levels with relations one of them is a relation."""
    made = [absent_query(script, rng, held_out=held_out, wording=wording) for _ in range(count)]
    if count and LEVELS[script.level].relations:
        made[-1] = false_relation(script, rng, held_out, wording) or made[-1]
    return [query for query in made if query is not None]
