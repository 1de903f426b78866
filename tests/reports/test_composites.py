"""reports/composites.py: which sentences are asked, and when a moment is right."""

from __future__ import annotations

import random

import composites
from videoexpert.synthetic.language import windows_of
from videoexpert.types import Moment


def test_the_rank_of_the_right_moment():
    moments = (Moment(0.0, 1.0, 0.9), Moment(4.0, 6.0, 0.5))
    assert composites.place(moments, (4.5, 6.0)) == 2
    assert composites.place(moments, (10.0, 11.0), shift=10.0) == 1
    assert composites.place(moments, (8.0, 9.0)) == 0


def test_a_sentence_is_true_of_one_clip_once():
    scripts = composites.scripts_of(composites.FIRST_SEED, 60)
    total = sum(script.duration for script in scripts)
    assert len(scripts) > 2
    assert 48 <= total <= 66
    asked = composites.questions_of(scripts, random.Random(0))
    assert len(asked) > 5
    ends = [sum(s.duration for s in scripts[: n + 1]) for n in range(len(scripts))]
    for question in asked:
        start = ends[question.clip] - scripts[question.clip].duration
        assert start <= question.window[0] < question.window[1] <= ends[question.clip]
    # the same clip twice: nothing is true of one of them alone
    assert composites.questions_of([scripts[0], scripts[0]], random.Random(0)) == []
    assert windows_of(scripts[0], *_doing(scripts[0]))


def _doing(script):
    event = script.events[0]
    return script.doer(event).name, event.action
