"""Each import format by hand-written files; timestamps by property."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.annotations.importers import FORMATS, import_data, parse_timestamp
from videoexpert.annotations.schema import read_samples
from videoexpert.errors import DataError, InputError

VTT = """\ufeffWEBVTT - lesson

STYLE
::cue { color: lime }

NOTE a comment with an
arrow --> inside

intro
00:01.000 --> 00:04.500 align:start position:0%
<v Ann>Never &amp; <i>ever</i>
drink <00:00:02.000><c>this</c>

01:00:00.000 --> 01:00:01.250
It will

00:00:07.000 --> 00:00:08.000

00:00:09.000 --> 00:00:08.000
backwards
"""
SRT = (
    "1\r\n00:00:01,000 --> 00:00:04,500\r\n{\\an8}<b>Hello</b>\r\nthere\r\n\r\n"
    "2\r\n100:00:05,5 --> 100:00:06.000\r\nx < y\r\n"
)


def test_webvtt_cues_become_captions(tmp_path: Path) -> None:
    source, out = tmp_path / "lesson.en.vtt", tmp_path / "out.jsonl"
    source.write_text(VTT)
    dataset = import_data("webvtt", source, out)
    (sample,) = read_samples(out)
    assert sample.video == "lesson"
    assert sample.windows == ((1.0, 4.5), (3600.0, 3601.25))
    assert sample.captions == ("Never & ever drink this", "It will")
    assert dataset.report.counts == {"reversed_dropped": 1, "empty_text": 1}


def test_srt_cues_become_captions(tmp_path: Path) -> None:
    source, out = tmp_path / "X_210.0_360.0.srt", tmp_path / "out.jsonl"
    source.write_bytes(SRT.encode())
    import_data("srt", source, out)
    (sample,) = read_samples(out)
    assert sample.video == "X_210.0_360.0"  # the digits are no language
    assert sample.windows == ((1.0, 4.5), (360005.5, 360006.0))
    assert sample.captions == ("Hello there", "x < y")


def test_a_folder_of_subtitles_gives_a_record_a_video(tmp_path: Path) -> None:
    for name in ("b.vtt", "a.vtt"):
        (tmp_path / name).write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n")
    import_data("webvtt", tmp_path, tmp_path / "out.jsonl")
    assert [sample.video for sample in read_samples(tmp_path / "out.jsonl")] == ["a", "b"]


def clock(ms: int, separator: str, hours: bool = True) -> str:
    head = f"{ms // 3600000:02}:" if hours or ms >= 3600000 else ""
    return f"{head}{ms // 60000 % 60:02}:{ms // 1000 % 60:02}{separator}{ms % 1000:03}"


@given(st.integers(0, 400 * 3600 * 1000), st.booleans())
def test_timestamps_are_read_to_the_millisecond(ms: int, hours: bool) -> None:
    assert parse_timestamp(clock(ms, ".", hours), "webvtt") == ms / 1000
    assert parse_timestamp(clock(ms, ","), "srt") == ms / 1000


@given(st.text(alphabet="0123456789:.,- ", max_size=14))
def test_what_is_no_timestamp_is_refused(text: str) -> None:
    seconds = parse_timestamp(text, "webvtt")
    if seconds is not None:  # then printing it in full gives the same digits
        assert clock(round(seconds * 1000), ".").lstrip("0:").endswith(text.lstrip("0:"))


@pytest.mark.parametrize(
    "text", ["1:00.000", "00:60.000", "00:00,000", "00:00:00", "-00:01.000", "00:01.0000", ""]
)
def test_malformed_webvtt_timestamps(text: str) -> None:
    assert parse_timestamp(text, "webvtt") is None


@pytest.mark.parametrize(
    ("format", "text", "message"),
    [
        ("webvtt", "00:00.000 --> 00:01.000\nhi\n", "line 1: got .* expected WEBVTT"),
        ("webvtt", "WEBVTT\n\n00:00.000 --> 1\nhi\n", "line 3: got '00:00.000 --> 1', expected times as in"),
        ("webvtt", "WEBVTT\n\n00:00.000 -->\nhi\n", "line 3"),
        ("webvtt", "WEBVTT\n", "nothing to import"),
        ("srt", "1\nhello\n", "line 1: a cue without times"),
        ("srt", "1\n00:00:00,000 --> 00:61:00,000\nhi\n", "line 2: got"),
    ],
)
def test_malformed_subtitles_name_the_line(tmp_path: Path, format: str, text: str, message: str) -> None:
    source = tmp_path / "a.sub"
    source.write_text(text)
    with pytest.raises(DataError, match=message):
        import_data(format, source, tmp_path / "out.jsonl")
    assert not (tmp_path / "out.jsonl").exists()


def task(video: str, *results: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": 5, "data": {"video": video}, "annotations": [{"result": list(results)}], **fields}


def frames(label: str, start: int, end: int) -> dict[str, Any]:
    value = {"ranges": [{"start": start, "end": end}], "timelinelabels": [label]}
    return {"type": "timelinelabels", "from_name": "label", "to_name": "video", "value": value}


def test_label_studio_regions_of_one_label_are_one_query(tmp_path: Path) -> None:
    source, out = tmp_path / "export.json", tmp_path / "out.jsonl"
    choice = {"type": "choices", "value": {"choices": ["good"]}}
    tasks = [
        task("/data/upload/1/0a1b2c3d-my%20clip.mp4", frames("jump", 51, 75), choice, frames("jump", 1, 25),
             frames("fall", 26, 50)),
        task("/data/local-files/?d=set/b.mp4", {"value": {"start": 1.5, "end": 2.5, "labels": ["jump"]}}),
    ]  # fmt: skip
    second = {"result": [frames("run", 1, 2)]}
    tasks[0]["annotations"] = [
        {"was_cancelled": True, "result": [frames("bad", 1, 2)]},
        *tasks[0]["annotations"],
        second,
    ]
    source.write_text(json.dumps(tasks))
    dataset = import_data("label-studio", source, out, fps=25)
    assert [(s.video, s.query, s.windows) for s in read_samples(out)] == [
        ("my clip.mp4", "jump", ((0.0, 1.0), (2.0, 3.0))),
        ("my clip.mp4", "fall", ((1.0, 2.0),)),
        ("b.mp4", "jump", ((1.5, 2.5),)),
    ]
    assert dataset.report.counts == {"repeated_annotation": 1}


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"id": 1}, "expected the list of tasks"),
        ([{"id": 5, "video": "a.mp4"}], "task 5: no annotations; export as JSON, not as JSON-MIN"),
        ([task("a.mp4", frames("x", 1, 2))], "task 5: its regions count frames; .* --fps"),
        ([{**task("a.mp4"), "data": {"text": "hello"}}], "no data.video"),
    ],
)
def test_malformed_label_studio_exports(tmp_path: Path, tasks: Any, message: str) -> None:
    source = tmp_path / "export.json"
    source.write_text(json.dumps(tasks))
    with pytest.raises(DataError, match=message):
        import_data("label-studio", source, tmp_path / "out.jsonl")


def test_charades_text(tmp_path: Path) -> None:
    source, out = tmp_path / "charades_sta_train.txt", tmp_path / "out.jsonl"
    source.write_text("AO8RW 0.0 6.9##a person puts a book away.\n")
    import_data("charades-sta", source, out)
    assert json.loads(out.read_text()) == {
        "id": "AO8RW_1", "video": "AO8RW", "query": "a person puts a book away.", "moments": [[0.0, 6.9]],
    }  # fmt: skip


def test_qvhighlights_keeps_its_scores(tmp_path: Path) -> None:
    source, out = tmp_path / "a.jsonl", tmp_path / "out.jsonl"
    record = {
        "qid": 3, "query": "a dog", "duration": 6, "vid": "a_0.0_6.0", "relevant_clip_ids": [1],
        "saliency_scores": [[4, 2, 3]], "relevant_windows": [[2, 4]],
    }  # fmt: skip
    source.write_text(json.dumps(record))
    import_data("qvhighlights", source, out)
    assert json.loads(out.read_text()) == {
        "id": "3", "video": "a_0.0_6.0", "duration": 6, "query": "a dog", "moments": [[2, 4]],
        "saliency": [[0, 0, 0], [4, 2, 3], [0, 0, 0]],
    }  # fmt: skip


def test_vtimellm_conversations_keep_their_placeholders(tmp_path: Path) -> None:
    source, out = tmp_path / "a.json", tmp_path / "out.jsonl"
    turns = [{"from": "human", "value": "<video>\nWhen?"}, {"from": "gpt", "value": "From <s0> to <e0>."}]
    meta = {"split": [10, 20], "duration": 10, "token": {"<s0>": 1, "<e0>": 9.5}}
    source.write_text(json.dumps([{"source": "anet", "id": "v_a", "conversations": turns, "meta": meta}]))
    dataset = import_data("vtimellm", source, out)
    assert read_samples(out) == list(dataset)  # nothing is lost on the way
    assert json.loads(out.read_text())["times"] == {"<s0>": 1, "<e0>": 9.5}


def test_a_wrong_call(tmp_path: Path) -> None:
    source = tmp_path / "a.vtt"
    source.write_text("WEBVTT\n")
    with pytest.raises(InputError, match=f"expected one of {', '.join(FORMATS)}"):
        import_data("ass", source, tmp_path / "out.jsonl")
    with pytest.raises(InputError, match="fps belongs to label-studio"):
        import_data("webvtt", source, tmp_path / "out.jsonl", fps=25)
    with pytest.raises(InputError, match="fps is 0"):
        import_data("label-studio", source, tmp_path / "out.jsonl", fps=0)
    with pytest.raises(DataError, match="does not exist"):
        import_data("srt", tmp_path / "b.srt", tmp_path / "out.jsonl")
