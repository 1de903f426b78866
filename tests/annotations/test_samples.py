"""The sample type refuses what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from videoexpert.annotations.dirty import CleaningReport
from videoexpert.annotations.samples import Sample, Turn, captions_to_grounding
from videoexpert.windows import clip_count

GOOD: dict[str, Any] = {
    "id": "a",
    "video": "v",
    "task": "grounding",
    "query": "a dog barks",
    "windows": ((1, 2),),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id must be a non-empty string"),
        ({"video": 4010069381}, "video must be a non-empty string"),
        ({"task": "retrieval"}, "task must be one of"),
        ({"duration_s": 0.0}, "duration_s must be positive"),
        ({"duration_s": float("nan")}, "duration_s must be positive"),
        ({"windows": ((2, 1),)}, "finite start <= end"),
        ({"clip": (5.0, 4.0)}, "finite start <= end"),
        ({"windows": ((1, float("inf")),)}, "finite start <= end"),
        ({"query": None}, "needs a query"),
        ({"task": "caption", "captions": ("a", "b")}, "2 captions but 1 windows"),
        ({"saliency": ((1,),)}, "saliency belongs to task 'highlight'"),
        ({"task": "highlight", "saliency": ((1,),), "duration_s": 5.0}, "1 saliency clips, expected 3"),
        ({"choices": ("a", "b"), "choice": 2, "answer": "b"}, "not an index of 2 choices"),
        ({"choices": ("a", "b"), "choice": 0, "answer": "b"}, "is not choice 0"),
        ({"task": "conversation", "turns": (Turn("assistant", "hi"),)}, "the user's first"),
        ({"task": "conversation", "turns": (Turn("user", "a"), Turn("user", "b"))}, "must alternate"),
    ],
)
def test_a_contradictory_sample_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sample(**{**GOOD, **change})


def test_a_turn_has_one_of_two_roles() -> None:
    with pytest.raises(ValueError, match="'user' or 'assistant'"):
        Turn("human", "hi")


@pytest.mark.parametrize(
    ("duration_s", "clips"), [(150, 75), (148, 74), (5.0, 3), (0.5, 1), (2.0 + 1e-12, 1)]
)
def test_clips_cover_the_video(duration_s: float, clips: int) -> None:
    assert clip_count(duration_s) == clips


def test_captions_become_one_grounding_sample_a_sentence() -> None:
    sample = Sample("v1", "v1", "caption", 10.0, windows=((0, 3), (2, 9)), captions=("one", "two"))
    first, second = captions_to_grounding(sample)
    assert (first.id, first.query, first.windows, first.captions) == ("v1_0", "one", ((0, 3),), ())
    assert (second.id, second.query, second.windows) == ("v1_1", "two", ((2, 9),))
    assert {first.task, second.task} == {"grounding"}


@pytest.mark.parametrize(
    ("change", "last"),
    [
        ({}, 2),
        ({"duration_s": 9.0}, 9.0),
        ({"duration_s": 9.0, "clip": (30.0, 39.0)}, 39.0),
        ({"windows": ()}, None),
        ({"windows": (), "clip": (30.0, 39.0)}, 39.0),
    ],
)
def test_the_last_second_is_that_of_the_original_video(change: dict[str, Any], last: float | None) -> None:
    assert Sample(**{**GOOD, **change}).last_second == last


def test_a_report_refuses_a_kind_without_a_rule() -> None:
    report = CleaningReport()
    report.add("short", "a")
    assert (report["short"], report["unsorted"], report.counts) == (["a"], [], {"short": 1})
    with pytest.raises(ValueError, match="unknown kind 'shrot'"):
        report.add("shrot", "a")
