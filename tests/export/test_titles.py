"""Any title survives any format: quotes, arrows, newlines, right-to-left, emoji, control characters."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exported import AWKWARD, told
from videoexpert.export import FORMATS, export
from videoexpert.export.text import clean, one_line

titles = st.text(min_size=1).filter(one_line) | st.sampled_from(AWKWARD)
two_titles = st.tuples(titles, titles)
SPANS = [(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)]


def written(pair, name: str) -> tuple[str, list[str]]:
    """The file of three moments, the first and the last with the same title; and the titles as one line each."""
    given_titles = [pair[0], pair[1], pair[0]]
    text = export(told(SPANS, given_titles, duration=90.0), name)
    text.encode("utf-8")
    return text, [one_line(title) for title in given_titles]


@given(two_titles)
def test_json(pair):
    assert [m["text"] for m in json.loads(export(told(SPANS[:2], pair), "json"))["captions"]] == list(pair)


@given(two_titles)
def test_jsonl_stays_one_line(pair):
    text = export(told(SPANS[:2], pair), "jsonl")
    assert text.count("\n") == 1
    assert [m["text"] for m in json.loads(text)["captions"]] == list(pair)


@given(two_titles)
def test_csv(pair):
    text, _ = written(pair, "csv")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["text"] for row in rows] == [clean(pair[0]), clean(pair[1]), clean(pair[0])]


@given(two_titles)
def test_srt(pair):
    text, expected = written(pair, "srt")
    blocks = text.rstrip("\n").split("\n\n")
    assert [block.split("\n")[0] for block in blocks] == ["1", "2", "3"]
    assert text.count("-->") == 3
    assert [html.unescape(block.split("\n")[2]) for block in blocks] == expected


@given(two_titles)
def test_vtt(pair):
    text, expected = written(pair, "vtt")
    head, *blocks = text.rstrip("\n").split("\n\n")
    assert (head, len(blocks), text.count("-->")) == ("WEBVTT", 3, 3)
    for block, title in zip(blocks, expected, strict=True):
        line = block.split("\n")[1]
        assert html.unescape(line) == title
        assert not re.search("[<>]", line)


@given(two_titles)
def test_ffmetadata(pair):
    text, _ = written(pair, "ffmetadata")
    found = re.findall(r"(?m)^title=((?:[^\\\n]|\\[\s\S])*)$", text)
    assert [re.sub(r"\\([\s\S])", r"\1", title) for title in found] == [
        clean(title).strip() for title in (pair[0], pair[1], pair[0])
    ]
    assert len(re.findall(r"(?<!\\)\n\[CHAPTER\]", text)) == 3


@given(two_titles)
def test_xml(pair):
    for name, path, key in (
        ("matroska", ".//ChapterString", None),
        ("fcpxml", ".//marker", "value"),
        ("xmeml", ".//marker/name", None),
    ):
        text, expected = written(pair, name)
        nodes = ET.fromstring(text).findall(path)
        assert [node.get(key) if key else node.text for node in nodes] == expected


@given(two_titles)
def test_edl(pair):
    text, expected = written(pair, "edl")
    lines = text.split("\n")
    assert [line.split("BLUE    ", 1)[1] for line in lines if line.startswith("* LOC: ")] == expected
    assert len([line for line in lines if re.match(r"\d{3} ", line)]) == 3
    assert len(lines) == 3 + 3 * 4 + 1


@given(two_titles)
def test_resolve_markers(pair):
    text, expected = written(pair, "resolve-markers")
    found = re.findall(r"(?m)^ \|C:ResolveColorBlue \|M:([^|\n]*) \|D:25$", text)
    assert found == [title.replace("|", "/") for title in expected]


@given(two_titles)
def test_timelines_in_json(pair):
    text, expected = written(pair, "otio")
    clips = json.loads(text)["tracks"]["children"][0]["children"]
    assert [clip["name"] for clip in clips] == expected
    text, _ = written(pair, "label-studio")
    regions = json.loads(text)[0]["annotations"][0]["result"]
    assert [region["value"]["timelinelabels"] for region in regions] == [[title] for title in expected]
    text, _ = written(pair, "whisper")
    assert [segment["text"] for segment in json.loads(text)["segments"]] == expected


@given(two_titles)
def test_charades_sta(pair):
    given_titles = [pair[0], pair[1], pair[0]]
    text = export(replace(told(SPANS, given_titles), video="A.mp4"), "charades-sta")
    assert [line.split("##", 1)[1] for line in text.split("\n")[:-1]] == [one_line(t) for t in given_titles]


@given(two_titles)
def test_chapters(pair):
    text = export(told([(0, 1), (20, 30), (50, 60)], [pair[0], pair[1], pair[0]], duration=90.0), "chapters")
    assert [line.split(" ", 1)[1] for line in text.rstrip("\n").split("\n")] == [
        one_line(title) for title in (pair[0], pair[1], pair[0])
    ]


@pytest.mark.parametrize("title", AWKWARD)
@pytest.mark.parametrize("name", ["srt", "vtt"])
def test_a_subtitle_library_sees_as_many_cues(name, title):
    pysubs2 = pytest.importorskip("pysubs2")
    cues = pysubs2.SSAFile.from_string(written((title, "b"), name)[0], format_=name)
    assert [(cue.start, cue.end) for cue in cues] == [(0, 1000), (2000, 3000), (4000, 5000)]


@pytest.mark.parametrize("title", AWKWARD)
def test_opentimelineio_sees_as_many_clips(title):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    edl = otio.adapters.read_from_string(written((title, "b"), "edl")[0], "cmx_3600", rate=25)
    assert {clip.name for clip in edl.find_clips()} == {"A film.mp4"}
    assert len(edl.find_clips()) == 3
    timeline = otio.adapters.read_from_string(written((title, "b"), "otio")[0], "otio_json")
    assert [clip.name for clip in timeline.video_tracks()[0].find_clips()] == [
        one_line(title),
        "b",
        one_line(title),
    ]


@pytest.mark.parametrize("title", AWKWARD)
def test_ffmpeg_s_reader_sees_the_same_titles(title, tmp_path):
    import av

    path = tmp_path / "a.ffmeta"
    path.write_text(written((title, "b"), "ffmetadata")[0], encoding="utf-8", newline="")
    with av.open(str(path)) as container:
        found = [chapter["metadata"]["title"] for chapter in container.chapters()]
    assert found == [clean(title).strip(), "b", clean(title).strip()]


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"chapters"}))
def test_a_file_name_that_is_not_utf8_stops_no_writing(name):
    found = told(SPANS, ["a"], duration=90.0)
    object.__setattr__(found, "video", "caf\udce9.mp4")
    object.__setattr__(found.media, "path", "/caf\udce9.mp4")
    export(found, name).encode("utf-8")
