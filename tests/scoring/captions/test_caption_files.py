"""Readers of caption predictions and references: every form, and one sentence for what is none."""

from __future__ import annotations

import gzip
import json

import pytest

from videoexpert.annotations import readers
from videoexpert.errors import DataError
from videoexpert.scoring.captions.files import CaptionedSegment, read_caption_predictions, references_of
from videoexpert.scoring.matching import match_names

EVENT = CaptionedSegment(1.0, 4.0, "a dog runs.")


@pytest.fixture
def write(tmp_path):
    def put(content, name="file.json"):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return put


@pytest.mark.parametrize(
    ("content", "form"),
    [
        ({"results": {"v": [{"sentence": "a dog runs.", "timestamp": [1, 4]}]}}, "activitynet"),
        ({"v": [{"sentence": "a dog runs.", "timestamp": [1, 4]}]}, "activitynet"),
        ({"v": [{"caption": "a dog runs.", "timestamp": [1, 4]}]}, "timechat"),
        ({"id": "v", "moments": [{"start": 1, "end": 4, "score": 0.5, "text": "a dog runs."}]}, "jsonl"),
    ],
)
def test_prediction_forms(write, content, form):
    read = read_caption_predictions(write(content))
    assert read.form == form
    assert read.videos == {"v": (EVENT,)}


@pytest.mark.parametrize(
    "content",
    [
        {"v": {"duration": 9, "timestamps": [[1, 4]], "sentences": ["a dog runs."]}},
        {"annotations": [{"image_id": "v", "duration": 9, "segments": [[1, 4]], "pure_cap": "a dog runs"}]},
        {
            "database": {
                "v": {
                    "duration": 9,
                    "subset": "validation",
                    "annotations": [{"segment": [1, 4], "id": 0, "sentence": "a dog runs."}],
                },
                "w": {"duration": 9, "subset": "training", "annotations": []},
            }
        },
    ],
)
def test_reference_forms(write, content):
    records = readers.records("youcook2", write(content), split="val")
    assert references_of(readers.kept("youcook2", records.items)) == {"v": (EVENT,)}
    assert records[0].duration_s == 9


def test_gzip_is_read_as_is_whatever_its_name(write):
    path = write({"v": [{"caption": "a dog runs.", "timestamp": [1, 4]}]})
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert read_caption_predictions(path).videos == {"v": (EVENT,)}


def test_our_lines_keep_the_last_of_a_video_and_an_empty_list(write):
    rows = [
        {"id": "v", "moments": [{"start": 9, "end": 10, "text": "old"}]},
        {"id": "w", "moments": []},
        {"id": "v", "moments": [{"start": 1, "end": 4, "text": "a dog runs."}]},
    ]
    path = write("\n".join(map(json.dumps, rows)) + "\n", "predictions.jsonl")
    assert read_caption_predictions(path).videos == {"v": (EVENT,), "w": ()}


def test_reversed_segments_are_kept_as_they_are(write):
    read = read_caption_predictions(write({"v": [{"caption": "x", "timestamp": [4, 1]}]}))
    assert read.videos["v"][0] == CaptionedSegment(4.0, 1.0, "x")


def vtimellm_line(events, **more):
    return json.dumps({"video_id": "v", "task": "captioning", "query_id": 0, "answer": events, **more}) + "\n"


def test_vtimellm_log_counts_percent_and_merges_repeats(write):
    events = [
        {"event": "a man talks", "timestamps": "from 00 to 29"},
        {"event": "he leads a group in a dance", "timestamps": "from 30 to 71"},
        {"event": "he leads a group in a dance.", "timestamps": "from 72 to 99"},
    ]
    grounding = json.dumps({"video_id": "v", "task": "grounding", "answer": "from 10 to 20."}) + "\n"
    path = write(vtimellm_line("Here: " + json.dumps(events)) + grounding, "log.txt")
    read = read_caption_predictions(path, {"v": 200.0})
    assert read.form == "vtimellm"
    assert read.videos["v"] == (
        CaptionedSegment(0.0, 60.0, "a man talks"),
        CaptionedSegment(60.0, 200.0, "he leads a group in a dance"),
    )


def test_vtimellm_answer_in_sentences(write):
    path = write(vtimellm_line("A man talks, from 00 to 29. Then he sings, from 40 to 49."), "log.txt")
    read = read_caption_predictions(path, {"v": 100.0})
    assert [(e.start, e.end, e.text) for e in read.videos["v"]] == [
        (0.0, 30.0, "A man talks"),
        (40.0, 50.0, "Then he sings"),
    ]


def test_vtimellm_repeats_further_apart_stay_two(write):
    path = write(vtimellm_line("He sings, from 00 to 20. He sings, from 22 to 30."), "log.txt")
    assert len(read_caption_predictions(path, {"v": 100.0}).videos["v"]) == 2


def test_vtimellm_answer_without_events_predicts_nothing(write):
    path = write(vtimellm_line("I cannot tell [sorry]."), "log.txt")
    assert read_caption_predictions(path, {"v": 100.0}).videos == {"v": ()}


def test_vtimellm_log_needs_lengths(write):
    path = write(vtimellm_line("He sings, from 00 to 20."), "log.txt")
    with pytest.raises(DataError, match="percent, so it needs the annotation file"):
        read_caption_predictions(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"v": {"timestamps": []}}, "no known form of caption predictions"),
        ([1, 2], "no known form of caption predictions"),
        ({"v": [{"caption": "x", "timestamp": [1]}]}, "video 'v'.*is not an event"),
        ({"v": [{"caption": 3, "timestamp": [1, 2]}]}, "not a string"),
        ({"results": {"v": [{"sentence": "x"}]}}, 'expected {"timestamp", "sentence"}'),
        ([{"moments": []}], 'needs "id"'),
    ],
)
def test_broken_predictions_are_named(write, content, message):
    with pytest.raises(DataError, match=message):
        read_caption_predictions(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"v": {"duration": 3, "timestamps": [[1, 2]], "sentences": []}}, "video v: 1 timestamps but 0 sent"),
        ({"v": {"duration": 3}}, "video v: timestamps is missing"),
        (
            {"annotations": [{"image_id": "v", "segments": [[1, 2]], "pure_cap": "a. b"}]},
            "1 timestamps but 2 sentences",
        ),
        (
            {"database": {"v": {"subset": "training", "duration": 3, "annotations": []}}},
            "no video of subset 'validation': it has training",
        ),
    ],
)
def test_broken_references_are_named(write, content, message):
    with pytest.raises(DataError, match=message):
        readers.records("youcook2", write(content), split="validation")


def test_events_without_numbers_stay_and_match_nothing(write):
    event = {"caption": "x", "timestamp": [1, float("nan")]}
    read = read_caption_predictions(write({"v": [event, {"caption": "y", "timestamp": [0, 1]}]}))
    assert read.videos["v"] == (CaptionedSegment(0.0, 0.0, "x"), CaptionedSegment(0.0, 1.0, "y"))
    assert read.endless == ("v",)


def test_a_video_that_comes_twice_keeps_its_last_entry(write):
    path = write('{"v": [{"caption": "x", "timestamp": [0, 1]}], "v": []}')
    read = read_caption_predictions(path)
    assert (read.videos, read.repeated) == ({"v": ()}, ("v",))


def test_ids_that_differ_in_ending_or_prefix_match():
    names = match_names(["abc.mp4", "v_xyz", "v_def", "new"], ["abc", "xyz", "v_def.mkv"])
    assert names == {"abc.mp4": "abc", "v_xyz": "xyz", "v_def": "v_def.mkv", "new": "new"}
    assert match_names(["abc"], ["abc", "v_abc"]) == {"abc": "abc"}  # an exact id is never taken for another
