"""The parser of chat models' answers: a table of answers, and what holds for any text."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.backends.chat.answers import (
    FAILURES,
    Span,
    merge,
    read_captions,
    read_choice,
    read_moments,
    tidy,
)

DURATION = 30.0
# (answer, rule, moments) for a video of 30 s
MOMENTS = [
    # JSON lists
    ("[[0, 3.5], [10, 12]]", "pairs", [(0, 3.5), (10, 12)]),
    ("[[3, 7]]", "pairs", [(3, 7)]),
    ("[3, 7]", "pairs", [(3, 7)]),
    ('[["3.0", "7.5"]]', "pairs", [(3, 7.5)]),
    ('[["3.0s", "7.5 seconds"]]', "pairs", [(3, 7.5)]),
    ('[["00:03", "00:07.5"]]', "pairs", [(3, 7.5)]),
    ("```json\n[[1.5, 2.5]]\n```", "pairs", [(1.5, 2.5)]),
    ("```\n[[1.5, 2.5]]\n```", "pairs", [(1.5, 2.5)]),
    ("The spans are [[1, 2], [4, 5]].", "pairs", [(1, 2), (4, 5)]),
    ("[[0, 3.5], [10, 12], [2", "pairs", [(0, 3.5), (10, 12)]),
    ("[0, 3, 5, 8]", "pairs", [(0, 3), (5, 8)]),
    ("[[1, 2]]\n[[5, 6]]", "pairs", [(1, 2), (5, 6)]),
    ("[(0, 3.5), (10, 12)]", "pairs", [(0, 3.5), (10, 12)]),
    ("(4.0, 9.0)", "pairs", [(4, 9)]),
    ("[4.0s, 9.0s]", "pairs", [(4, 9)]),
    ("<answer>[[2, 4]]</answer>", "pairs", [(2, 4)]),
    ("[[2e0, 4]]", "pairs", [(2, 4)]),
    ("[[3, 7,], [10, 12],]", "pairs", [(3, 7), (10, 12)]),
    ("[['3', '7'], ['10', '12']]", "pairs", [(3, 7), (10, 12)]),
    ('[["3,5", "7,2"]]', "pairs", [(3.5, 7.2)]),
    ("[[3.5, 7.2, 0.9], [10, 12, 0.4]]", "pairs", [(3.5, 7.2), (10, 12)]),
    ("[<3.5 seconds>, <7.2 seconds>]", "pairs", [(3.5, 7.2)]),
    ("(3,7)", "pairs", [(3, 7)]),
    # JSON objects
    ('{"start": 1, "end": 2}', "json", [(1, 2)]),
    ('{"start_time": "1.0", "end_time": "2.0"}', "json", [(1, 2)]),
    ('[{"start": 1.25, "end": 2}, {"start": 8, "end": 9}]', "json", [(1.25, 2), (8, 9)]),
    ('{"start": 1, "end": 2}\n{"start": 8, "end": 9}', "json", [(1, 2), (8, 9)]),
    ('{"timestamp": [4, 6]}', "json", [(4, 6)]),
    ('{"timestamp": "00:04 - 00:06"}', "json", [(4, 6)]),
    ('{"timestamps": ["4 - 6", "8s to 9s"]}', "json", [(4, 6), (8, 9)]),
    ('{"relevant_windows": [[4, 6], [8, 9]]}', "json", [(4, 6), (8, 9)]),
    ('{"query": "a man runs", "relevant_windows": [[4, 6]]}', "json", [(4, 6)]),
    ('{"answer": {"spans": [{"from": 4, "to": 6}]}}', "json", [(4, 6)]),
    ('{"Start": 4, "End": 6, "confidence": 0.9}', "json", [(4, 6)]),
    ('Sure!\n```json\n{"events": [{"start": "0:04", "end": "0:06"}]}\n```\nDone.', "json", [(4, 6)]),
    ('```json\n[{"start": 4, "end": 6}, {"start": 8,', "json", [(4, 6)]),
    ('{"start": 4, "end": 6, "bbox_2d": [10, 20, 30, 40]}', "json", [(4, 6)]),
    ('{"frames": [90, 180], "timestamps": [3, 6]}', "json", [(3, 6)]),
    ('{"relevant_windows": [[3, 7]], "scores": [0.1, 0.9]}', "json", [(3, 7)]),
    ('{"timeframe": [3, 6]}', "json", [(3, 6)]),
    # clocks
    ("00:05 - 00:09", "mm:ss", [(5, 9)]),
    ("00:05-00:09", "mm:ss", [(5, 9)]),
    ("From 0:05 to 0:09.", "mm:ss", [(5, 9)]),
    ("[00:05, 00:09]", "mm:ss", [(5, 9)]),
    ("00:05.50 to 00:09.25", "mm:ss", [(5.5, 9.25)]),
    ("00:00:05 - 00:00:09", "mm:ss", [(5, 9)]),
    ("00:00:05,000 --> 00:00:09,500", "mm:ss", [(5, 9.5)]),
    ("00:05 – 00:09 and 00:12 – 00:15", "mm:ss", [(5, 9), (12, 15)]),
    ("1. 00:01 - 00:02\n2. 00:04 - 00:06", "mm:ss", [(1, 2), (4, 6)]),
    ("It begins at 00:05 and it is over at 00:09.", "mm:ss", [(5, 9)]),
    ("1m 5s to 1m 20s", "outside", []),
    ("0m 5s to 0m 9s", "mm:ss", [(5, 9)]),
    ("0:3 - 0:7", "mm:ss", [(3, 7)]),
    ("0:00:03.250 - 0:00:07.500", "mm:ss", [(3.25, 7.5)]),
    ("Start: 00:03\nEnd: 00:07\nStart: 00:10\nEnd: 00:12", "mm:ss", [(3, 7), (10, 12)]),
    ("0:03 – 0:07 (frames 6–14)", "mm:ss", [(3, 7)]),
    ("0分3秒 - 0分7秒", "mm:ss", [(3, 7)]),
    # ranges
    ("3.2 - 7.9", "range", [(3.2, 7.9)]),
    ("3.2-7.9", "range", [(3.2, 7.9)]),
    ("3.2 – 7.9", "range", [(3.2, 7.9)]),
    ("3.2 — 7.9 s", "range", [(3.2, 7.9)]),
    ("3.2s - 7.9s", "range", [(3.2, 7.9)]),
    ("3 to 7 sec", "range", [(3, 7)]),
    ("3 seconds to 7 seconds", "range", [(3, 7)]),
    ("The event happens in 3.2 - 7.9 seconds.", "range", [(3.2, 7.9)]),
    ("From <3.2 seconds> to <7.9 seconds>", "range", [(3.2, 7.9)]),
    ("between 3 and 7", "range", [(3, 7)]),
    ("between 3 s and about 7 s", "range", [(3, 7)]),
    ("from 3 until 7", "range", [(3, 7)]),
    ("0 - 3.5 and 10 - 12", "range", [(0, 3.5), (10, 12)]),
    ("1. 3 - 5\n2. 8 - 9", "range", [(3, 5), (8, 9)]),
    ("It starts at 3.2 seconds and ends at 7 s.", "range", [(3.2, 7)]),
    ("start: 5, end: 9", "range", [(5, 9)]),
    ("{start: 5, end: 9}", "range", [(5, 9)]),
    ("from 0 to 0.25 minutes", "range", [(0, 15)]),
    ("`12.0` → `15.5`", "range", [(12, 15.5)]),
    ("**3.0** - **7.0**", "range", [(3, 7)]),
    ("Frames 30-60 (1.0s - 2.0s)", "range", [(1, 2)]),
    ("3500 ms - 7200ms", "range", [(3.5, 7.2)]),
    ("3.5 sec. to 7.2 secs.", "range", [(3.5, 7.2)]),
    ("3.5‑7.2", "range", [(3.5, 7.2)]),
    (".5 - 7", "range", [(0.5, 7)]),
    ("from 3...7", "range", [(3, 7)]),
    # other languages, and decimal commas
    ("The event happens in 3,5 - 7,25 seconds", "range", [(3.5, 7.25)]),
    ("Von 3,5 bis 7,2 Sekunden.", "range", [(3.5, 7.2)]),
    ("de 3,5 s à 7,2 s", "range", [(3.5, 7.2)]),
    ("de 3,5 a 7,2 segundos", "range", [(3.5, 7.2)]),
    ("с 3,5 до 7,2 секунд", "range", [(3.5, 7.2)]),
    ("Es beginnt bei 3,5 und endet bei 7,2.", "range", [(3.5, 7.2)]),
    ("0 - 3,5 and 10 - 12,5", "range", [(0, 3.5), (10, 12.5)]),
    ("3-7,10-12", "range", [(3, 7), (10, 12)]),
    ("3, 5 - 7", "range", [(5, 7)]),
    ("从3.5秒到7.2秒", "range", [(3.5, 7.2)]),
    ("第3秒至第7秒", "range", [(3, 7)]),
    ("3.5秒から7.2秒まで", "range", [(3.5, 7.2)]),
    ("3.5초부터 7.2초까지", "range", [(3.5, 7.2)]),
    ("3.5秒～7.2秒", "range", [(3.5, 7.2)]),
    ("3人, 4.5秒から6秒", "range", [(4.5, 6)]),
    # tags
    ("<t>3.5</t><t>7</t>", "tags", [(3.5, 7)]),
    ("<t>3.5</t> to <t>7</t>", "tags", [(3.5, 7)]),
    ("<t>1</t> <t>2</t>, then <t>4</t> <t>6</t>", "tags", [(1, 2), (4, 6)]),
    # any two numbers
    ("5 9", "numbers", [(5, 9)]),
    ("At 5, and over at 9.", "numbers", [(5, 9)]),
    ("second 5, second 9, of 30", "numbers", [(5, 9)]),
    ("at 5 with 50% of 9 frames, over at 12", "numbers", [(5, 12)]),
    # thoughts and answers
    ("<think>maybe 1 - 2</think>3 - 4", "range", [(3, 4)]),
    ("maybe 1 - 2</think>\n\n3 - 4", "range", [(3, 4)]),
    ("<think>1 - 2</think><answer>5 to 6</answer>", "range", [(5, 6)]),
    ("<answer>1 to 2</answer> No. <answer>5 to 6", "range", [(5, 6)]),
    ("<think>it is at 3 - 4, I think, or", "failed", []),
    # swapped, clamped, dropped, merged
    ("[[7, 3]]", "pairs", [(3, 7)]),
    ("00:09 - 00:05", "mm:ss", [(5, 9)]),
    ("[[25, 99]]", "pairs", [(25, 30)]),
    ("[[-4, 2]]", "pairs", [(0, 2)]),
    ("[[1, 1], [2, 3]]", "pairs", [(2, 3)]),
    ("[[1, 2], [2, 3]]", "pairs", [(1, 3)]),
    ("[[5, 9], [1, 6]]", "pairs", [(1, 9)]),
    ("[[8, 9], [1, 2]]", "pairs", [(1, 2), (8, 9)]),
    ("[[1, 9], [2, 3]]", "pairs", [(1, 9)]),
    ("in frame 12, from 5 to 9", "range", [(5, 9)]),
    # nothing there, said so
    ("[]", "empty", []),
    ("[[]]", "empty", []),
    ("```json\n[]\n```", "empty", []),
    ('{"relevant_windows": []}', "empty", []),
    ("There is no such event: []", "empty", []),
    # read, but not in the video
    ("[[40, 50]]", "outside", []),
    ("[[5, 5]]", "outside", []),
    ("from 1 to 2 minutes", "outside", []),
    # as models really answer
    ("The event 'a man runs' happens from 3.2 seconds to 7.9 seconds.", "range", [(3.2, 7.9)]),
    ('```json\n{\n  "start": "00:03.20",\n  "end": "00:07.90"\n}\n```', "json", [(3.2, 7.9)]),
    (
        '```json\n[\n\t{"start": "00:03.20", "end": "00:07.90", "description": "The 2 men run."}\n]\n```',
        "json",
        [(3.2, 7.9)],
    ),
    (
        "The query is relevant in the time spans:\n\n**[[3.0, 7.0], [12.0, 15.5]]**",
        "pairs",
        [(3, 7), (12, 15.5)],
    ),
    ("The event happens in <3.2> - <7.9> seconds.", "range", [(3.2, 7.9)]),
    ("**Start time:** 3.2 seconds\n**End time:** 7.9 seconds", "range", [(3.2, 7.9)]),
    ("start_time: 00:00:03\nend_time: 00:00:07", "mm:ss", [(3, 7)]),
    ("| Start | End |\n|---|---|\n| 00:03 | 00:07 |", "mm:ss", [(3, 7)]),
    (
        "- **00:02 - 00:05**: The 3 men enter.\n- **00:09 - 00:11**: The 3 men leave.",
        "mm:ss",
        [(2, 5), (9, 11)],
    ),
    (
        "<think>At 3.00 he <timestep>3.00 to 7.50</timestep> jumps.</think>\n<answer>3.25 to 7.50</answer>",
        "range",
        [(3.25, 7.5)],
    ),
    ("<answer>12.54s to 17.83s</answer>", "range", [(12.54, 17.83)]),
    ("<answer>From 3.25 to 7.50 seconds.</answer>", "range", [(3.25, 7.5)]),
    ("The man in frame 4 of 64 runs from 00:00:03.5 to 00:00:07.", "mm:ss", [(3.5, 7)]),
    ("Event 1 - 3.5 s to 7.2 s", "range", [(3.5, 7.2)]),
    ("Event 1: 3.5 s - 7.2 s; event 2: 10 s - 12 s", "range", [(3.5, 7.2), (10, 12)]),
    ("The event starts with 2 men at 3.5 seconds and ends at 7.2 seconds.", "range", [(3.5, 7.2)]),
    ("In the 30-second clip the man starts at 3 s and stops at 7 s.", "range", [(3, 7)]),
    ("It begins at 3.2 seconds and is over by 7.", "failed", []),
    ("At 3.2 seconds, over at 7.9 seconds.", "numbers", [(3.2, 7.9)]),
    ("From the 5-second mark to the 9-second mark.", "range", [(5, 9)]),
    ("From the 3rd second to the 7th second.", "range", [(3, 7)]),
    ('{"start_time": 3.5, "duration": 2}', "json", [(3.5, 5.5)]),
    (
        "| Event | Start | End |\n|---|---|---|\n| A | 00:03 | 00:07 |\n| B | 00:10 | 00:12 |",
        "mm:ss",
        [(3, 7), (10, 12)],
    ),
    (
        "| # | Start (s) | End (s) |\n|---|---|---|\n| 1 | 3.5 | 7.2 |\n| 2 | 10 | 12 |",
        "range",
        [(3.5, 7.2), (10, 12)],
    ),
    (
        "The 2 moments:\n| 1 | 3.5 | 7.2 |\n| 2 | 10 | 12 |\nThat is all in 30 s.",
        "range",
        [(3.5, 7.2), (10, 12)],
    ),
    ("| Start | End |\n|---|---|\n| 3.5s | 7.2s |\n| 10s | 12s |", "range", [(3.5, 7.2), (10, 12)]),
    ("As of 2026-11-27: 3 - 7", "range", [(3, 7)]),
    ("From 5 seconds until the end.", "range", [(5, 30)]),
    ("The man runs from 00:05 to the end of the video.", "range", [(5, 30)]),
    ("He runs from the beginning of the clip until about 7 s.", "range", [(0, 7)]),
    ("At 5 s he walks to the end of the street.", "failed", []),
    ("From 40 seconds until the end.", "outside", []),
    # numbers that are no times
    ("The 2 men run at 3.5 s.", "failed", []),
    ("The 2 men run at 00:05.", "failed", []),
    ("I see 2 men and 3 dogs.", "failed", []),
    ("The clip starts with 2 men and ends with 3 dogs.", "failed", []),
    ("The clip starts with 2 men and ends at 7 s.", "failed", []),
    ("In this 30-second video the man runs at 5 seconds.", "failed", []),
    ("He runs for 2 seconds at 5 s.", "failed", []),
    ("The video is 30 seconds long, and he jumps at 12 seconds.", "failed", []),
    ("The video is 00:30 long. He runs at 00:05.", "failed", []),
    ("Rating: 4/5", "failed", []),
    ("The picture is 640 x 360.", "failed", []),
    ("3 of 5 attempts fail.", "failed", []),
    ("3,7 s", "failed", []),
    ("3,7", "numbers", [(3, 7)]),
    # refusals that name the whole video
    ("The video does not show the event between 0 and 30 seconds.", "failed", []),
    ("From 0:00 to 0:30 there is no man.", "failed", []),
    ("The man is not seen before he runs from 3 to 7 s.", "range", [(3, 7)]),
    ("The man runs from 0 to 30 seconds.", "range", [(0, 30)]),
    # failures
    ("", "failed", []),
    ("The event does not happen in this video.", "failed", []),
    ("At 5 seconds.", "failed", []),
    ("50% - 60%", "failed", []),
    ("v1.2.3", "failed", []),
    ("frames 3 to 7", "failed", []),
    ('{"start_frame": 3, "end_frame": 7}', "failed", []),
    ('{"start_ms": 3, "end_ms": 7}', "failed", []),
    ("I cannot find this event in the 30 seconds and 64 frames.", "failed", []),
    ("null", "failed", []),
    ("[[null, null]]", "failed", []),
    ("the 2nd man and 3D glasses", "failed", []),
    ('{"start": 5}', "failed", []),
    ('{"bbox_2d": [1, 2, 3, 4], "label": "man"}', "failed", []),
    ("[[NaN, 3]]", "failed", []),
    ("[" * 3000, "failed", []),
    ("[[" + "9" * 5000 + ", 3", "failed", []),
]


def test_the_table_is_long():
    assert len(MOMENTS) == len({answer for answer, _, _ in MOMENTS}) >= 80


@pytest.mark.parametrize(("answer", "how", "moments"), MOMENTS, ids=[a[:40] for a, _, _ in MOMENTS])
def test_moments_of_an_answer(answer, how, moments):
    reading = read_moments(answer, DURATION)
    assert (reading.how, [(s.start, s.end) for s in reading.spans]) == (how, moments)
    assert reading.failed == (how in FAILURES)
    assert not (reading.failed and moments)


@pytest.mark.parametrize(
    ("answer", "moments"),
    [
        ("1,234.5 - 1,250.0 seconds", [(1234.5, 1250)]),
        ("From 1,234.5 s to 1,250.25 s.", [(1234.5, 1250.25)]),
        ("0:20:34.5 - 0:20:50", [(1234.5, 1250)]),
        ("20 min 34 s to 20 min 50 s", [(1234, 1250)]),
        ("(1,234.5)", [(1, 234.5)]),
    ],
)
def test_moments_of_a_long_video(answer, moments):
    assert [(s.start, s.end) for s in read_moments(answer, 1300.0).spans] == moments


CAPTIONS = [
    (
        '[{"start": 0, "end": 3.5, "description": "A man runs."}, {"start": 3.5, "end": 6, "caption": "He falls."}]',
        "json",
        [(0, 3.5, "A man runs."), (3.5, 6, "He falls.")],
    ),
    ('{"events": [{"timestamp": [1, 2], "event": "A"}]}', "json", [(1, 2, "A")]),
    ('[{"start": "00:01.50", "end": "00:02.00", "description": "A"}]', "json", [(1.5, 2, "A")]),
    ('[{"time": "0.0 - 2.0", "description": "A"}]', "json", [(0, 2, "A")]),
    ('[[0, 2, "A"], [2, 4, "B"]]', "json", [(0, 2, "A"), (2, 4, "B")]),
    ('{"0 - 2": "A", "2 - 4": "B"}', "json", [(0, 2, "A"), (2, 4, "B")]),
    ('[{"start": 0, "end": 2, "description": "A"}, {"start": 2, "en', "json", [(0, 2, "A")]),
    ("0.0 - 3.5: A man runs.\n4 - 6: He falls.", "range", [(0, 3.5, "A man runs."), (4, 6, "He falls.")]),
    ("- [4, 6] He falls.", "range", [(4, 6, "He falls.")]),
    ("1. From 7s to 9s, he gets up.", "range", [(7, 9, "he gets up.")]),
    ("**0.0–2.5 seconds**: A man.", "range", [(0, 2.5, "A man.")]),
    (
        "[00:01 - 00:05] A man runs.\n\n[00:05 - 00:09] He falls.",
        "mm:ss",
        [(1, 5, "A man runs."), (5, 9, "He falls.")],
    ),
    ("The man runs (0.0 - 2.0).", "range", [(0, 2, "The man runs")]),
    ("4 - 6: second\n1 - 2: first", "range", [(1, 2, "first"), (4, 6, "second")]),
    ("[]", "empty", []),
    ("40 - 50: after the end", "outside", []),
    ("A man runs, then he falls.", "failed", []),
    ("0.0 - 3.5", "failed", []),
    ("", "failed", []),
]


@pytest.mark.parametrize(("answer", "how", "captions"), CAPTIONS, ids=[a[:40] for a, _, _ in CAPTIONS])
def test_captions_of_an_answer(answer, how, captions):
    reading = read_captions(answer, DURATION)
    assert (reading.how, [(s.start, s.end, s.text) for s in reading.spans]) == (how, captions)


@pytest.mark.parametrize(
    ("answer", "choice"),
    [
        ("B", 1),
        ("b", 1),
        ("(B)", 1),
        ("B. he jumps", 1),
        ("B: he jumps", 1),
        ("**C**", 2),
        ("The answer is B.", 1),
        ("Answer: C", 2),
        ("<think>A or B</think>C", 2),
        ("He jumps.", 1),
        ("I think that he jumps over it", 1),
        ("a man", None),
        ("E", None),
        ("he runs or he jumps", None),
        ("", None),
    ],
)
def test_the_choice_of_an_answer(answer, choice):
    assert read_choice(answer, ["he runs", "he jumps", "he sleeps"]) == choice


times = st.floats(-100, 200, allow_nan=False)
pieces = st.one_of(
    st.text(max_size=12),
    times.map(str),
    st.sampled_from(
        [" - ", " to ", "[", "]", "{", "}", ",", ":", '"start"', '"end"', "<t>", "</t>", "<think>"]
    ),
    st.sampled_from(
        ["```json", "```", "00:05", "1:02:03.5", "minutes", "</answer>", "<answer>", "between", " s"]
    ),
)
answers = st.one_of(st.text(), st.lists(pieces, max_size=20).map("".join))


@given(answers, st.floats(0.01, 1e5))
def test_no_text_raises_or_leaves_the_video(answer, duration):
    for read in (read_moments, read_captions):
        reading = read(answer, duration)
        assert all(0 <= s.start < s.end <= duration for s in reading.spans)
        assert [s.start for s in reading.spans] == sorted(s.start for s in reading.spans)
        assert not (reading.spans and reading.how in {"failed", "outside", "empty"})
    read_choice(answer, ["a man", "b"])


@given(answers)
def test_what_was_read_is_read_again_the_same(answer):
    spans = read_moments(answer, DURATION).spans
    again = read_moments(json.dumps([[s.start, s.end] for s in spans]), DURATION)
    assert again.spans == spans
    assert again.how == ("pairs" if spans else "empty")


@given(st.lists(st.tuples(times, times)))
def test_tidying_and_merging_twice_changes_nothing(pairs):
    once = merge(tidy([Span(a, b) for a, b in pairs], DURATION))
    assert merge(tidy(once, DURATION)) == once
    assert all(a.end < b.start for a, b in pairwise(once))
    inside = sum(1 for a, b in pairs if max(a, b) > 0 and min(a, b) < DURATION and a != b)
    assert bool(once) == bool(inside)


@given(st.lists(st.tuples(times, times), min_size=1))
def test_all_forms_of_the_same_moments_are_read_alike(pairs):
    pairs = [(round(abs(a), 2), round(abs(b), 2)) for a, b in pairs]
    forms = [
        json.dumps([list(pair) for pair in pairs]),
        json.dumps([{"start": a, "end": b} for a, b in pairs]),
        json.dumps({"relevant_windows": [[str(a), str(b)] for a, b in pairs]}),
        "\n".join(f"{a} - {b}" for a, b in pairs),
        "; ".join(f"from {a:.2f}s to {b:.2f}s" for a, b in pairs),
        " ".join(f"<t>{a}</t><t>{b}</t>" for a, b in pairs),
        ", ".join(f"{_clock(a)} - {_clock(b)}" for a, b in pairs),
    ]
    expected = [(s.start, s.end) for s in read_moments(forms[0], DURATION).spans]
    for form in forms[1:]:
        got = [(s.start, s.end) for s in read_moments(form, DURATION).spans]
        assert got == [pytest.approx(pair, abs=0.006) for pair in expected]


def _clock(seconds):
    hundredths = round(seconds * 100)
    return f"{hundredths // 6000:02d}:{hundredths // 100 % 60:02d}.{hundredths % 100:02d}"
