"""Each format as it has to stand in the file, written by hand; and the table of formats."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from exported import RATES, told
from videoexpert.errors import InputError, UnsupportedError
from videoexpert.export import FORMATS, Answers, AnswerSet, Failed, Mark, export, find_format, format_of
from videoexpert.export.edl import reel
from videoexpert.export.registry import ExportFormat
from videoexpert.types import Answer, Captions, Highlights, Moment, Moments

PAL, NTSC, NTSC_DROP = RATES[2], RATES[3], RATES[4]
TWO = told([(61.5, 63.04), (3.2, 7.9)], ["it stops", "a dog runs"], duration=90.0)


def test_srt():
    assert export(TWO, "srt") == (
        "1\n00:00:03,200 --> 00:00:07,900\na dog runs\n\n2\n00:01:01,500 --> 00:01:03,040\nit stops\n"
    )
    assert export(told([(360000.0, 360000.0)]), "srt").startswith("1\n100:00:00,000 --> 100:00:00,001\n")


def test_vtt():
    assert export(TWO, "vtt") == (
        "WEBVTT\n\n00:00:03.200 --> 00:00:07.900\na dog runs\n\n00:01:01.500 --> 00:01:03.040\nit stops\n"
    )
    assert export(told([(0, 1)], ["R & D <b> -->"]), "vtt").splitlines()[3] == "R &amp; D &lt;b&gt; --&gt;"


@pytest.mark.parametrize(
    ("title", "written"),
    [
        ("R & D, 3 < 4 > 2", "R & D, 3 < 4 > 2"),
        ("R&D", "R&D"),
        ("<i>no</i>", "&lt;i>no&lt;/i>"),
        ("a --> b", "a --&gt; b"),
        ("&amp; &eacute", "&amp;amp; &amp;eacute"),
        ("{\\an8}up", "&#123;\\an8}up"),
        ("two\nlines", "two lines"),
    ],
)
def test_srt_escapes_only_what_would_be_read_as_something_else(title, written):
    assert export(told([(0, 1)], [title]), "srt").splitlines()[2] == written


def test_chapters():
    found = told([(2.4, 5), (61.5, 63), (3725.9, 3800)], ["Intro", "Middle", "End"], duration=4000)
    assert export(found, "chapters") == "0:00 Intro\n1:01 Middle\n1:02:05 End\n"
    late = told([(12, 15), (61.5, 63)], ["First", "Second"], duration=90)
    assert export(late, "chapters") == "0:00 Start\n0:12 First\n1:01 Second\n"


@pytest.mark.parametrize(
    ("spans", "duration", "message"),
    [
        ([], 90, "no chapter was found, and YouTube wants at least 3"),
        ([(0, 1)], 90, "one chapter was found"),
        ([(0, 1), (20, 30)], 90, "2 chapters were found"),
        ([(0, 1), (20, 30), (29.9, 40)], 90, "the chapter 'a dog runs' at 0:20 would last 9 s"),
        ([(0, 1), (20, 30), (85, 90)], 90, "at 1:25 would last 5 s, and YouTube wants at least 10 s"),
        ([(0, 1), (20, 30), (20, 31)], 90, "at 0:20 would last 0 s"),
    ],
)
def test_chapters_that_youtube_would_ignore(spans, duration, message):
    with pytest.raises(UnsupportedError, match=message) as caught:
        export(told(spans, duration=duration), "chapters")
    assert str(caught.value).startswith("films/A film.mp4: ")


def test_ffmetadata():
    assert export(TWO, "ffmetadata") == (
        ";FFMETADATA1\n\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=3200\nEND=7900\ntitle=a dog runs\n\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=61500\nEND=63040\ntitle=it stops\n"
    )
    escaped = export(told([(0, 1)], ["a=b; #c \\ d\r\ne"]), "ffmetadata").split("title=")[1]
    assert escaped == "a\\=b\\; \\#c \\\\ d\\\ne\n"


def test_matroska():
    text = export(TWO, "matroska")
    assert '<!DOCTYPE Chapters SYSTEM "matroskachapters.dtd">' in text
    assert "<ChapterTimeStart>00:00:03.200000000</ChapterTimeStart>" in text
    assert "<ChapterTimeEnd>00:01:03.040000000</ChapterTimeEnd>" in text
    assert text.count("<ChapterAtom>") == 2


def test_edl():
    assert export(TWO, "edl") == (
        "TITLE: A film\n"
        "FCM: NON-DROP FRAME\n\n"
        "001  AFILM    V     C        00:00:03:05 00:00:07:23 01:00:00:00 01:00:04:18\n"
        "* FROM CLIP NAME: A film.mp4\n"
        "* LOC: 01:00:00:00 BLUE    a dog runs\n\n"
        "002  AFILM    V     C        00:01:01:13 00:01:03:01 01:00:04:18 01:00:06:06\n"
        "* FROM CLIP NAME: A film.mp4\n"
        "* LOC: 01:00:04:18 BLUE    it stops\n\n"
    )


def test_edl_with_drop_frame_and_the_video_s_own_timecode():
    found = told(
        [(60.06, 61.061)], rate=NTSC_DROP, start=NTSC_DROP.parse("10:00:00;00"), timecode="09:59:59;28"
    )
    lines = export(found, "edl").splitlines()
    assert lines[1] == "FCM: DROP FRAME"
    # frame 1800 of the video, whose first is frame 1078918
    assert lines[3].split()[4:] == ["10:00:59;28", "10:01:01;00", "10:00:00;00", "10:00:01;00"]


def test_an_edl_numbers_999_events():
    many = [(float(i), float(i + 1)) for i in range(1000)]
    assert export(told(many[:999]), "edl").count("* LOC") == 999
    for name in ("edl", "resolve-markers"):
        with pytest.raises(UnsupportedError, match="1000 moments, and an EDL numbers at most 999"):
            export(told(many), name)


@pytest.mark.parametrize(
    ("name", "written"), [("my holiday 2024", "MYHOLIDA"), ("日本", "AX"), ("a-1", "A1"), ("", "AX")]
)
def test_reels(name, written):
    assert reel(name) == written


def test_resolve_markers():
    found = told([(3.2, 7.9), (61.5, 61.5)], ["a | b", "x"], duration=90.0)
    assert export(found, "resolve-markers") == (
        "TITLE: A film\n"
        "FCM: NON-DROP FRAME\n\n"
        "001  001      V     C        01:00:03:05 01:00:03:06 01:00:03:05 01:00:03:06\n"
        " |C:ResolveColorBlue |M:a / b |D:118\n\n"
        "002  001      V     C        01:01:01:13 01:01:01:14 01:01:01:13 01:01:01:14\n"
        " |C:ResolveColorBlue |M:x |D:1\n\n"
    )


def test_label_studio():
    (task,) = json.loads(export(TWO, "label-studio"))
    assert task["data"] == {"video": "films/A film.mp4", "fps": 25.0}
    (annotation,) = task["annotations"]
    # frames 80 to 197 counted from 0, the last one included: 118 of them
    assert annotation["result"][0]["value"] == {
        "ranges": [{"start": 81, "end": 198}],
        "timelinelabels": ["a dog runs"],
    }
    assert len({region["id"] for region in annotation["result"]}) == 2


def test_charades_sta():
    named = replace(TWO, video="films/A.mp4")
    assert export(named, "charades-sta") == "A 3.2 7.9##a dog runs\nA 61.5 63.04##it stops\n"
    both = AnswerSet((named, replace(named, video="B.mp4")), several=True)
    assert export(both, "charades-sta").count("\n") == 4
    with pytest.raises(UnsupportedError, match="ends at the first space"):
        export(TWO, "charades-sta")


def test_whisper():
    document = json.loads(export(TWO, "whisper"))
    assert document["text"] == "a dog runs it stops"
    assert document["segments"][0] == {"id": 0, "start": 3.2, "end": 7.9, "text": "a dog runs", "score": 0.9}


def rows(found) -> list[dict[str, str]]:
    text = export(found, "csv")
    assert text.endswith("\r\n")
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_csv():
    there = Moments("a, b", (Moment(1, 2.5, 0.91), Moment(4, 6, 0.05)), 0.9)
    nothing = Moments("c", (), 0.1, absent=True)
    found = rows(Answers("a.mp4", 8.0, "m", (there, nothing)))
    assert [(r["query"], r["rank"], r["start"], r["score"], r["absent"]) for r in found] == [
        ("a, b", "1", "1", "0.91", "False"),
        ("a, b", "2", "4", "0.05", "False"),
        ("c", "", "", "", "True"),
    ]
    clips = Highlights("goal", (0.0, 2.0), (0.1, 0.9), (Moment(2, 4, 0.8),))
    assert [(r["kind"], r["start"], r["end"], r["score"]) for r in rows(Answers("a", 8.0, "m", clips))] == [
        ("moment", "2", "4", "0.8"),
        ("clip", "0.0", "2.0", "0.1"),
        ("clip", "2.0", "4.0", "0.9"),
    ]
    (reply,) = rows(Answers("a", 8.0, "m", Answer("why?", "so")))
    assert (reply["query"], reply["text"], reply["rank"]) == ("why?", "so", "")
    several = AnswerSet((TWO, Failed("b.mp4", "broken"), TWO), several=True)
    assert len(rows(several)) == 4


# --- what is exported ---


def test_marks_are_what_people_are_shown_by_time():
    found = (
        Moments("a", (Moment(5, 6, 0.9), Moment(1, 2, 0.2), Moment(3, 4, 0.01)), 0.9),
        Moments("b", (Moment(0, 1, 0.9),), 0.1, absent=True),
    )
    assert Answers("v", 8.0, "m", found).marks() == (Mark(1, 2, "a", 0.2), Mark(5, 6, "a", 0.9))
    absent = Highlights("goal", (0.0,), (0.1,), (Moment(2, 4, 0.8),), absent=True)
    assert Answers("v", 8.0, "m", absent).marks() == ()
    answer = Answer("why?", "", moments=(Moment(2, 4, 0.8),))
    assert Answers("v", 8.0, "m", answer).marks() == (Mark(2, 4, "why?", 0.8),)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize(
    "found",
    [
        (Moments("a", (), 0.1, absent=True),),
        Highlights("goal", (0.0,), (0.1,), ()),
        Captions(),
        Answer("why?", "so"),
    ],
    ids=lambda found: type(found).__name__,
)
def test_every_format_holds_every_task_and_no_moment_too(name, found):
    whole = told([])
    item = Answers(whole.video, whole.duration, whole.model, found, media=whole.media, clock=whole.clock)
    if name == "chapters":
        with pytest.raises(UnsupportedError, match="no chapter was found"):
            export(item, name)
    else:
        export(item, name).encode("utf-8")


def test_moments_at_the_edges_lie_inside_the_video():
    found = told([(-1.0, 0.0), (89.99, 90.0), (95.0, 99.0)], duration=90.0)
    for region in json.loads(export(found, "label-studio"))[0]["annotations"][0]["result"]:
        (span,) = region["value"]["ranges"]
        assert 1 <= span["start"] <= span["end"] <= 90 * 25


# --- the table ---


def test_the_table_of_formats():
    assert len(FORMATS) == 19
    assert {name for name, format in FORMATS.items() if format.many} == {
        "json",
        "jsonl",
        "csv",
        "label-studio",
        "charades-sta",
        "qvhighlights",
        "vtimellm",
        "own-data",
    }
    assert len({format.suffix for format in FORMATS.values()}) == len(FORMATS)
    text = (Path(__file__).resolve().parents[2] / "docs" / "exports.md").read_text(encoding="utf-8")
    for name, format in FORMATS.items():
        assert f"| `{name}` | `{format.suffix}` |" in text


@pytest.mark.parametrize("name", FORMATS)
def test_a_file_s_name_says_its_format(name):
    assert format_of(Path(f"a.b{FORMATS[name].suffix.upper()}")).name == name


def test_names_that_say_no_format():
    with pytest.raises(
        InputError, match=r"the name 'a.doc' says no format, expected an ending such as .json"
    ):
        format_of(Path("a.doc"))
    with pytest.raises(InputError, match="the format is 'doc', expected one of json, jsonl"):
        find_format("doc")


def test_what_a_format_cannot_hold(monkeypatch):
    with pytest.raises(InputError, match="srt holds the answers about one video, got 2"):
        export(AnswerSet((TWO, TWO), several=True), "srt")
    few = ExportFormat("few", ".few", "text/plain", "", lambda found: "", tasks=frozenset({"ground"}))
    monkeypatch.setitem(FORMATS, "few", few)
    with pytest.raises(UnsupportedError, match="few does not hold the answers of caption, expected ground"):
        export(TWO, "few")
    with pytest.raises(ValueError, match="need the video's media and clock"):
        export(Answers("v", 8.0, "m", Captions([Moment(0, 1, text="a")])), "edl")
