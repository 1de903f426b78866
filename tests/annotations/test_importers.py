"""Each import format by hand-written files; timestamps by property."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoexpert.annotations.importers import FORMATS, import_data
from videoexpert.annotations.schema import read_samples
from videoexpert.annotations.subtitles import parse_timestamp
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
    cue = "WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n"
    names = ("b.vtt", "a.VTT", "talks/c.en.vtt", "talks/deep/d.vtt.gz", "talks/b.vtt", "notes.txt")
    for name in names:
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        data = cue.encode()
        (tmp_path / "in" / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    import_data("webvtt", tmp_path / "in", tmp_path / "out.jsonl")
    videos = [sample.video for sample in read_samples(tmp_path / "out.jsonl")]
    assert videos == ["a", "b", "talks/b", "talks/c", "talks/deep/d"]


@pytest.mark.parametrize(
    ("name", "video"),
    [
        ("clip.en.vtt", "clip"),
        ("clip.pt-BR.vtt", "clip"),
        ("clip.en-orig.vtt", "clip"),
        ("clip.zh-Hans-en.vtt", "clip"),
        ("clip.es-419.vtt", "clip"),
        ("clip.eng.forced.vtt", "clip"),
        ("clip.fil.VTT", "clip"),
        ("clip.EN-US.vtt", "clip"),
        ("clip.en_US.vtt", "clip"),
        ("clip.en.hi.default.vtt", "clip"),
        ("cam.top.vtt", "cam.top"),
        ("cam.new.vtt", "cam.new"),
        ("a.b.c.vtt", "a.b.c"),
        ("x_210.0_360.0.vtt", "x_210.0_360.0"),
        ("v1.5.en.vtt", "v1.5"),
    ],
)
def test_a_language_is_no_part_of_the_name(tmp_path: Path, name: str, video: str) -> None:
    (tmp_path / name).write_text("WEBVTT\n\n00:00.000 --> 00:01.000\nhi\n")
    dataset = import_data("webvtt", tmp_path / name, tmp_path / "out.jsonl")
    assert [sample.video for sample in dataset] == [video]


def cues(
    folder: Path, format: str, text: str
) -> tuple[list[tuple[tuple[float, float], str]], dict[str, int]]:
    """(window, caption) of each cue, and what was counted."""
    source = folder / f"clip.{'srt' if format == 'srt' else 'vtt'}"
    source.write_text(text)
    dataset = import_data(format, source, folder / "out.jsonl")
    (sample,) = dataset
    return list(zip(sample.windows, sample.captions, strict=True)), dataset.report.counts


YOUTUBE = """WEBVTT
Kind: captions
Language: en

00:00:00.469 --> 00:00:03.169 align:start position:0%
\x20
welcome<00:00:01.469><c> to</c><00:00:01.620><c> the</c><00:00:01.740><c> course</c>

00:00:03.169 --> 00:00:03.179 align:start position:0%
welcome to the course
\x20

00:00:03.179 --> 00:00:06.100 align:start position:0%
welcome to the course
today<00:00:04.000><c> we</c><00:00:04.500><c> cook</c>

00:00:06.100 --> 00:00:06.110 align:start position:0%
today we cook
\x20

00:00:09.000 --> 00:00:11.000 align:start position:0%
today we cook
again
"""


def test_rolling_captions_say_each_line_once(tmp_path: Path) -> None:
    found, counts = cues(tmp_path, "webvtt", YOUTUBE.replace("\\x20", " "))
    assert found == [
        ((0.469, 3.169), "welcome to the course"),
        ((3.179, 6.1), "today we cook"),
        ((9.0, 11.0), "today we cook again"),  # after a pause it is said anew
    ]
    assert counts == {"rolled_up": 2}


def test_rolling_captions_without_word_times(tmp_path: Path) -> None:
    """What converters make of YouTube's captions: the short cues in between are all that tells them."""
    text = (
        "1\n00:00:00,000 --> 00:00:03,000\nwelcome\n\n2\n00:00:03,000 --> 00:00:03,010\nwelcome\n\n"
        "3\n00:00:03,010 --> 00:00:06,000\nwelcome\nto this\n"
    )
    found, counts = cues(tmp_path, "srt", text)
    assert found == [((0.0, 3.0), "welcome"), ((3.01, 6.0), "to this")]
    assert counts == {"rolled_up": 1}


def test_who_says_a_thing_twice_has_said_it_twice(tmp_path: Path) -> None:
    text = "1\n00:00:00,000 --> 00:00:01,000\nNo!\n\n2\n00:00:01,000 --> 00:00:02,000\nNo!\n"
    assert cues(tmp_path, "srt", text) == ([((0.0, 1.0), "No!"), ((1.0, 2.0), "No!")], {})


def test_the_next_times_end_a_cue(tmp_path: Path) -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:03,000\nhe opens the door\n2\n00:00:05,000 --> 00:00:07,500\nhe sits down\n"
        "00:00:09,000 --> 00:00:10,000\nthe end\n"
    )
    captions = ["he opens the door", "he sits down", "the end"]
    assert [caption for _, caption in cues(tmp_path, "srt", text)[0]] == captions
    vtt = text.replace("1\n00:00:01,", "WEBVTT\n\n00:00:01,").replace("\n2\n", "\n").replace(",", ".")
    assert [caption for _, caption in cues(tmp_path, "webvtt", vtt)[0]] == captions


def test_an_empty_line_inside_a_cue(tmp_path: Path) -> None:
    text = (
        "1\n00:00:01,000 --> 00:00:03,000\nfirst\n\nsecond\n \n2\n00:00:04,000 --> 00:00:05,000\n"
        "room 12\n\n3\n00:00:06,000 --> 00:00:07,000\n42\n"
    )
    found, counts = cues(tmp_path, "srt", text)
    assert [caption for _, caption in found] == ["first second", "room 12", "42"]
    assert counts == {}
    # WebVTT's standard ends the cue there; what follows belongs to none, which is counted
    vtt = "WEBVTT\n\n00:01.000 --> 00:03.000\nfirst\n\nsecond\n\n00:04.000 --> 00:05.000\nnext\n"
    assert cues(tmp_path, "webvtt", vtt) == (
        [((1.0, 3.0), "first"), ((4.0, 5.0), "next")], {"text_outside_cue": 1},
    )  # fmt: skip


def test_times_as_other_programs_write_them(tmp_path: Path) -> None:
    """Without hours, with points, with the spaces of a translator, with a broken arrow, shifted before the start."""
    text = (
        "1\n00:01,000 --> 00:02,000\na\n\n2\n0:00:03.5-->0:0:4,5\nb\n\n3\n00: 00: 05, 000 - > 00: 00: 06, 000\nc\n\n"
        "4\n00:00:07,000 -> 00:00:08,000\nd\n\n5\n-00:00:01,000 --> 00:00:09,000 X1:10 X2:20\ne\n"
    )
    found, counts = cues(tmp_path, "srt", text)
    assert found == [
        ((1.0, 2.0), "a"), ((3.5, 4.5), "b"), ((5.0, 6.0), "c"), ((7.0, 8.0), "d"), ((0.0, 9.0), "e"),
    ]  # fmt: skip
    assert counts == {"start_before_zero": 1}


def test_times_that_cannot_be_read_are_a_fault_and_no_text(tmp_path: Path) -> None:
    file = tmp_path / "a.srt"
    file.write_text("1\n00:00:01,000 --> 00:00:02,000\na\n\n2\n00:00:03;000 --> 00:00:04;000\nb\n")
    with pytest.raises(DataError, match="line 6: got '00:00:03;000"):
        import_data("srt", file, tmp_path / "out.jsonl")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_subtitles_with_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "a.srt"
    file.write_bytes("1\r\n00:00:01,000 --> 00:00:02,000\r\n\u65e5\u672c \u00e9\r\n".encode(encoding))
    (sample,) = import_data("srt", file, tmp_path / "out.jsonl")
    assert sample.captions == ("\u65e5\u672c \u00e9",)


def test_rolling_captions_of_two_lines(tmp_path: Path) -> None:
    lines = ["hello there", "general", "kenobi", "you are bold"]
    text = "".join(
        f"{i}\n00:00:0{2 * i},000 --> 00:00:0{2 * i + 2},000\n"
        + "\n".join(lines[max(0, i - 1) : i + 1])
        + "\n\n"
        for i in range(4)
    )
    found, _ = cues(tmp_path, "srt", text)
    assert [caption for _, caption in found] == lines


def test_an_arrow_may_be_text(tmp_path: Path) -> None:
    text = "1\n00:00:01,000 --> 00:00:03,000\na --> b\n"
    assert cues(tmp_path, "srt", text) == ([((1.0, 3.0), "a --> b")], {})


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:61:00,000\nx\n\n2\n00:00:01 --> 00:00:02\ny\n")
    (tmp_path / "b.srt").write_bytes(b"1\n00:00:00,000 --> 00:00:01,000\n\xff\xfe\n")
    (tmp_path / "c.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nfine\n")
    with pytest.raises(DataError) as caught:
        import_data("srt", tmp_path, tmp_path / "out.jsonl")
    said = str(caught.value)
    assert "has 3 faults" in said
    for place in ("a.srt, line 2", "a.srt, line 6", "b.srt, line 3: not UTF-8"):
        assert place in said


@pytest.mark.parametrize(
    ("file", "format", "moments", "captions"),
    [
        ("vtt_youtube/yt.en.vtt", "webvtt", [(0.469, 3.169), (3.179, 6.1)],
         ["welcome to the course", "today we cook"]),
        ("srt_no_blank_line/noblank.srt", "srt", [(1, 3), (5, 7.5), (9, 10)],
         ["he opens the door", "he sits down", "the end"]),
        ("srt_no_blank_line/noblank.vtt", "webvtt", [(1, 3), (5, 7.5)], ["he opens the door", "he sits down"]),
        ("srt_blank_in_cue/blankin.srt", "srt", [(1, 3), (4, 5)],
         ["first line second line of the same subtitle", "next"]),
    ],
)  # fmt: skip
def test_subtitles_from_the_field(
    shared: Path, tmp_path: Path, file: str, format: str, moments: list[Any], captions: list[str]
) -> None:
    (sample,) = import_data(format, shared / "field" / "reports" / file, tmp_path / "out.jsonl")
    assert (list(sample.windows), list(sample.captions)) == (moments, captions)


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
        ("srt", "1\n" + "9" * 5000 + ":00:00,000 --> 1\nhi\n", "line 2: got"),
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
    assert dataset.report.counts == {
        "repeated_annotation": 1, "cancelled_annotation": 1, "other_region": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"id": 1}, "expected the list of tasks"),
        ([{"id": 5, "video": "a.mp4"}], "task 5: no annotations; export as JSON, not as JSON-MIN"),
        ([task("a.mp4", frames("x", 1, 2))], "task 5: its regions count frames; .* --fps"),
        ([{**task("a.mp4"), "data": {"text": "hello"}}], "no data.video"),
        ([{**task("a.mp4"), "data": {"video": "<video src='a.mp4' />"}}], "task 5: no data.video"),
        ([{**task("a.mp4"), "annotations": [{"result": None}]}], "task 5: result is NoneType"),
        ([{**task("a.mp4"), "annotations": [{"result": [3]}]}], "task 5: result is list"),
        ([{**task("a.mp4"), "annotations": ["x"]}], "an annotation is str"),
        ([task("a.mp4", {"value": {"start": 1, "end": 2, "labels": [" "]}})], "label is ' '"),
    ],
)
def test_malformed_label_studio_exports(tmp_path: Path, tasks: Any, message: str) -> None:
    source = tmp_path / "export.json"
    source.write_text(json.dumps(tasks))
    with pytest.raises(DataError, match=message):
        import_data("label-studio", source, tmp_path / "out.jsonl")


SECONDS = {"start": 1.5, "end": 2.5}


@pytest.mark.parametrize(
    ("data", "video"),
    [
        ({"video": "/data/local-files/?d=clips%5Cjump.mp4"}, "jump.mp4"),
        ({"video": "/data/local-files/?d=clips/jump.mp4"}, "jump.mp4"),
        ({"video": "s3://bucket/a%20b.mp4"}, "a b.mp4"),
        ({"video": "https://host/x.mp4?token=a.b/c"}, "x.mp4"),
        ({"video": "abc123"}, "abc123"),
        ({"video": "<video src='/static/o.mp4' />", "videoSource": "/static/o.mp4"}, "o.mp4"),
        ({"html": "<b>x.mp4</b>", "clip": "/static/o.webm", "name": "a dog"}, "o.webm"),
    ],
)
def test_where_templates_keep_the_address(tmp_path: Path, data: dict[str, str], video: str) -> None:
    source = tmp_path / "export.json"
    source.write_text(json.dumps([{**task("", {"value": {**SECONDS, "labels": ["jump"]}}), "data": data}]))
    assert [s.video for s in import_data("label-studio", source, tmp_path / "out.jsonl")] == [video]


def test_texts_of_regions_are_queries_and_nothing_is_lost_uncounted(tmp_path: Path) -> None:
    source = tmp_path / "export.json"
    tasks = [
        task(
            "a.mp4",
            {"id": "r", "type": "labels", "value": {**SECONDS, "labels": ["jump"]}},
            {"id": "r", "type": "textarea", "value": {**SECONDS, "text": ["he leaps over  the fence"]}},
            {"type": "textarea", "value": {"text": ["about the whole video"]}},
            {"type": "rectanglelabels", "value": {"x": 1, "labels": ["box"]}},
        ),
        task("b.mp4", annotations=[]),
    ]
    source.write_text(json.dumps(tasks))
    dataset = import_data("label-studio", source, tmp_path / "out.jsonl")
    assert [(s.query, s.windows) for s in dataset] == [
        ("jump", ((1.5, 2.5),)),
        ("he leaps over the fence", ((1.5, 2.5),)),
    ]
    assert dataset.report.counts == {"double_spaces": 1, "unannotated_task": 1, "other_region": 2}


def test_two_uploads_of_one_name_stay_two_videos(tmp_path: Path) -> None:
    source = tmp_path / "export.json"
    region = {"value": {**SECONDS, "labels": ["jump"]}}
    names = ("0a1b2c3d-clip.mp4", "99999999-clip.mp4", "0a1b2c3d-other.mp4", "0a1b2c3d-other.mp4")
    source.write_text(json.dumps([task(f"/data/upload/1/{name}", region) for name in names]))
    dataset = import_data("label-studio", source, tmp_path / "out.jsonl")
    assert [s.video for s in dataset] == ["0a1b2c3d-clip.mp4", "99999999-clip.mp4", "other.mp4", "other.mp4"]
    assert dataset.report.counts == {"duplicate_id": 1, "same_upload_name": 2}


def test_label_studio_from_the_field(shared: Path, tmp_path: Path) -> None:
    reports = shared / "field" / "reports"
    out = tmp_path / "out.jsonl"
    (sample,) = import_data("label-studio", reports / "labelstudio_hypertext" / "hyper.json", out)
    assert (sample.video, sample.query, sample.windows) == ("opossum_snow.mp4", "Kickflip", ((2.5, 4.0),))
    textarea = reports / "labelstudio_textarea"
    found = import_data("label-studio", textarea / "textarea.json", out, fps=25)
    assert [s.query for s in found] == ["he jumps", "a man leaps over the fence"]
    assert len({s.video for s in import_data("label-studio", textarea / "two.json", out, fps=25)}) == 2
    with pytest.raises(DataError, match="task 1: result is NoneType"):
        import_data("label-studio", textarea / "null.json", out)


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
