"""Own data: every fault at once with its line, and a round trip that changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoexpert.annotations.readers import read
from videoexpert.annotations.samples import Sample
from videoexpert.annotations.schema import read_samples, record_faults, to_record, to_sample, write_samples
from videoexpert.errors import DataError, WriteError

# One record of every form, as write_samples writes them.
CANONICAL = """\
{"video": "clips/a.mp4", "duration": 30.5, "query": "a dog barks", "moments": [[3, 7.5], [20.25, 30.5]]}
{"video": "a.mp4", "query": "a cat sings", "moments": []}
{"video": "a.mp4", "query": "not yet labelled"}
{"video": "b.mp4", "duration": 5, "query": "the goal", "moments": [[2, 4]], "saliency": [[0, 0], [3, 4], [0, 0]]}
{"id": "q-7", "video": "b.mp4", "question": "why does he fall?", "answer": "he slips"}
{"video": "b.mp4", "question": "which colour?", "moments": [[1, 2]], "choices": ["red", "red", "blau é"], "answer": 1}
{"video": "b.mp4", "clip": [60, 90], "source": "vlog", "moments": [[0, 4]], "captions": ["he pours milk"]}
{"video": "c", "duration": 9, "conversation": [{"role": "user", "text": "When?"}, {"role": "assistant", "text": "From <s0> to <e0>."}], "times": {"<s0>": 1, "<e0>": 2.5}}
"""  # noqa: E501


def test_every_form_becomes_its_task(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text(CANONICAL)
    samples = read_samples(file)
    assert [sample.task for sample in samples] == [
        "grounding", "grounding", "grounding", "highlight", "qa", "grounded_qa", "caption", "conversation",
    ]  # fmt: skip
    assert [sample.labelled for sample in samples] == [True, True, False, True, True, True, True, True]
    assert [sample.id for sample in samples] == ["1", "2", "3", "4", "q-7", "6", "7", "8"]
    assert (samples[5].choice, samples[5].answer) == (1, "red")
    assert samples[6].clip == (60, 90)
    assert samples[7].windows == ((1, 2.5),)


def test_the_round_trip_is_identical(tmp_path: Path) -> None:
    source, out = tmp_path / "own.jsonl", tmp_path / "again" / "own.jsonl"
    source.write_text(CANONICAL)
    assert write_samples(read("jsonl", source), out) == 8
    assert out.read_text() == CANONICAL
    assert [file.name for file in out.parent.iterdir()] == ["own.jsonl"]


def test_an_id_that_is_not_its_line_is_written(tmp_path: Path) -> None:
    source, out = tmp_path / "own.jsonl", tmp_path / "out.jsonl"
    source.write_text(CANONICAL)
    first, second, *_ = read_samples(source)
    write_samples([second, first], out)
    assert [sample.id for sample in read_samples(out)] == ["2", "1"]


FAULTY = [
    ({}, "video is missing, expected a file name or id"),
    ({"video": "a"}, "expected exactly one of query, question, captions, conversation, got none"),
    ({"video": "a", "query": "x", "question": "y"}, "got both query and question"),
    ({"video": "a", "query": "x", "momnets": []}, "unknown key 'momnets', did you mean 'moments'?"),
    ({"video": "a", "query": "x", "answer": "y"}, "answer does not belong beside query"),
    ({"video": "a", "query": " "}, 'query is " ", expected a text'),
    ({"video": "a", "query": "x", "id": 3}, "id is 3, expected a text"),
    ({"video": "a", "query": "x", "duration": 0}, "duration is 0, expected seconds above 0"),
    ({"video": "a", "query": "x", "duration": True}, "duration is true"),
    ({"video": "a", "query": "x", "clip": [3, 3]}, "clip is [3, 3]"),
    ({"video": "a", "query": "x", "moments": [3, 4]}, "moments[0] is 3, expected [start, end]"),
    ({"video": "a", "query": "x", "moments": [[4, 3]]}, "moments[0] is [4, 3], expected 0 <= start <= end"),
    ({"video": "a", "query": "x", "moments": [[-1, 3]]}, "moments[0] is [-1, 3]"),
    ({"video": "a", "query": "x", "duration": 5, "moments": [[1, 5.02]]}, "moments[0] ends at 5.02, after"),
    ({"video": "a", "query": "x", "moments": [], "saliency": [[1]]}, "saliency needs duration"),
    ({"video": "a", "query": "x", "duration": 5, "moments": [], "saliency": [[1]]}, "1 clips, expected 3"),
    ({"video": "a", "query": "x", "duration": 2, "saliency": [[1]]}, "saliency needs moments"),
    ({"video": "a", "query": "x", "duration": 3, "moments": [], "saliency": [[1], [1, 2]]}, "as many scores"),
    ({"video": "a", "question": "x", "choices": ["a"]}, "at least two texts"),
    ({"video": "a", "question": "x", "choices": ["a", "b"], "answer": 2}, "the index of a choice, 0 to 1"),
    ({"video": "a", "question": "x", "choices": ["a", "b"], "answer": "b"}, "(that text is choice 1)"),
    ({"video": "a", "question": "x", "answer": 1}, "answer is 1, expected a text"),
    ({"video": "a", "captions": ["x"]}, "1 captions but 0 moments"),
    ({"video": "a", "captions": "x", "moments": []}, "expected a list of texts"),
    ({"video": "a", "conversation": [{"role": "user", "text": "x"}]}, "turns {role, text} that alternate"),
    (
        {
            "video": "a",
            "conversation": [{"role": "user", "text": "<s1>"}, {"role": "assistant", "text": "x"}],
            "times": {"<s10>": 1},
        },
        "<s1> stands in a turn but not in times",
    ),
    (
        {
            "video": "a",
            "duration": 2,
            "conversation": [{"role": "user", "text": "<s1>"}, {"role": "assistant", "text": "x"}],
            "times": {"<s1>": 3},
        },
        "times[<s1>] is 3, expected seconds from 0",
    ),
]


@pytest.mark.parametrize(("record", "fault"), FAULTY)
def test_each_fault_is_named(record: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in record_faults(record)), record_faults(record)


def test_all_faults_of_a_file_come_at_once_with_their_lines(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    rows = ['{"video": "a", "query": "x", "id": "k"}', "", '{"video": 3, "query": "x", "mo": 1}', "{", "[]"]
    file.write_text("\n".join([*rows, '{"video": "b", "query": "y", "id": "k"}', '{"query": NaN}']))
    with pytest.raises(DataError) as error:
        read_samples(file)
    text = str(error.value)
    assert text.startswith(f"{file} has 6 faults")
    for expected in (
        "line 3: video is 3", "line 3: unknown key 'mo'", "line 4: not valid JSON",
        "line 5: expected one JSON", "line 6: id 'k' is also that of line 1", "line 7: not valid JSON (NaN",
    ):  # fmt: skip
        assert expected in text


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "own.jsonl"
    out.write_text("old\n")

    def fail(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(WriteError, match="cannot be written"):
        write_samples([Sample("1", "v", "grounding", query="x")], out)
    assert out.read_text() == "old\n"
    assert [file.name for file in tmp_path.iterdir()] == ["own.jsonl"]


texts = st.text(min_size=1, max_size=12).filter(lambda text: bool(text.strip()))
seconds = st.one_of(st.integers(0, 500), st.floats(0, 500, allow_nan=False))
moments = st.lists(st.tuples(seconds, seconds).map(sorted), max_size=4)


@st.composite
def records(draw: st.DrawFn) -> dict[str, Any]:
    record: dict[str, Any] = {"video": draw(texts)}
    if draw(st.booleans()):
        record["duration"] = draw(st.floats(500, 900))
    form = draw(st.sampled_from(["query", "question", "captions"]))
    if form == "captions":
        windows = draw(st.lists(st.tuples(seconds, seconds).map(sorted), min_size=1, max_size=4))
        return record | {"moments": windows, "captions": [draw(texts) for _ in windows]}
    record[form] = draw(texts)
    if draw(st.booleans()):
        record["moments"] = draw(moments)
    if form == "question":
        choices = draw(st.lists(texts, min_size=2, max_size=5))
        if draw(st.booleans()):
            record |= {"choices": choices, "answer": draw(st.integers(0, len(choices) - 1))}
        else:
            record["answer"] = draw(texts)
    return record


@settings(max_examples=60, deadline=None)
@given(records())
def test_any_valid_record_survives_the_round_trip(record: dict[str, Any]) -> None:
    assert record_faults(record) == []
    assert json.dumps(to_record(to_sample(record, "1"), 1)) == json.dumps(record)
