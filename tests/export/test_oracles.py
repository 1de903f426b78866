"""Other people's readers read what is written here: no frame is off after ten hours, at any rate."""

from __future__ import annotations

import json
import shutil
import subprocess
from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest

from exported import HOURS, RATES, told
from videoexpert.export import export

rates = pytest.mark.parametrize("rate", RATES, ids=lambda rate: rate.name)
LENGTH = 50


def frames(rate) -> list[int]:
    """The first, around a minute and ten minutes, and the last after ten hours."""
    minute, last = rate.nominal * 60, rate.frame(HOURS) - LENGTH
    return [0, 1, minute - 1, minute, minute * 10, last // 2, last]


def film(rate, **more):
    spans = [(float(rate.seconds(f)), float(rate.seconds(f + LENGTH))) for f in frames(rate)]
    return told(spans, ["a", "b"], rate, **more)


@rates
def test_opentimelineio_reads_our_otio(rate):
    otio = pytest.importorskip("opentimelineio")
    found = film(rate, start=rate.parse("01:00:00:00"))
    timeline = otio.adapters.read_from_string(export(found, "otio"), "otio_json")
    assert timeline.global_start_time.value == rate.parse("01:00:00:00")
    assert [track.kind for track in timeline.tracks] == ["Video", "Audio"]
    for track in timeline.tracks:
        spans = [clip.source_range for clip in track.find_clips()]
        assert {span.start_time.rate for span in spans} == {float(rate.fps)}
        assert [span.start_time.value for span in spans] == frames(rate)
        assert {span.duration.value for span in spans} == {LENGTH}
    markers = [m for clip in timeline.video_tracks()[0].find_clips() for m in clip.markers]
    assert [m.name for m in markers] == (["a", "b"] * 4)[:7]
    assert [m.marked_range.start_time.value for m in markers] == frames(rate)
    media = timeline.find_clips()[0].media_reference
    assert media.target_url == "file:///films/A%20film.mp4"
    assert media.available_range.duration.value == rate.frame(HOURS)
    silent = otio.adapters.read_from_string(export(film(rate, sound=False), "otio"), "otio_json")
    assert [track.kind for track in silent.tracks] == ["Video"]


@rates
def test_opentimelineio_reads_our_edl(rate):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_cmx3600_adapter")
    timeline = otio.adapters.read_from_string(
        export(film(rate), "edl"), "cmx_3600", rate=float(rate.fps), ignore_timecode_mismatch=False
    )
    clips = list(timeline.find_clips())
    assert [clip.source_range.start_time.value for clip in clips] == frames(rate)
    assert {clip.source_range.duration.value for clip in clips} == {LENGTH}
    assert [clip.range_in_parent().start_time.value for clip in clips] == [
        i * LENGTH for i in range(len(clips))
    ]
    assert {clip.name for clip in clips} == {"A film.mp4"}


@rates
def test_opentimelineio_reads_our_markers_for_premiere(rate):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_fcp_adapter")
    timeline = otio.adapters.read_from_string(export(film(rate), "xmeml"), "fcp_xml")
    markers = timeline.tracks.markers
    assert [m.marked_range.start_time.value for m in markers] == frames(rate)
    assert {m.marked_range.duration.value for m in markers} == {LENGTH}
    (picture, sound) = timeline.find_clips()
    for clip in (picture, sound):
        assert clip.source_range.duration.value == rate.frame(HOURS)
        assert clip.source_range.duration.rate == pytest.approx(float(rate.fps), abs=1e-9)


def seconds(text: str) -> Fraction:
    assert text.endswith("s")
    return Fraction(text[:-1])


@rates
def test_fcpxml_keeps_its_rules(rate):
    own = "01:00:00;00" if rate.drop else "01:00:00:00"
    root = ET.fromstring(export(film(rate, timecode=own, start=rate.parse(own)), "fcpxml"))
    assert root.attrib == {"version": "1.9"}
    assert [child.tag for child in root] == ["resources", "library"]
    format, asset = root.find("resources")
    frame = 1 / rate.fps
    assert seconds(format.get("frameDuration")) == frame
    sequence = root.find("library/event/project/sequence")
    # every time is a whole number of frames
    for node in root.iter():
        for key in ("start", "duration", "offset", "tcStart"):
            if key in node.attrib:
                assert (seconds(node.get(key)) / frame).denominator == 1
    # references hold, and the asset is as long as the file
    assert {clip.get("ref") for clip in sequence.iter("asset-clip")} == {asset.get("id")}
    assert {node.get("format") for node in root.iter() if "format" in node.attrib} == {format.get("id")}
    assert seconds(asset.get("duration")) == rate.seconds(rate.frame(HOURS))
    # clips follow each other from the sequence's own start; their source times count from the file's timecode
    clips = list(sequence.iter("asset-clip"))
    start, source = seconds(sequence.get("tcStart")), seconds(asset.get("start"))
    assert start == source == rate.seconds(rate.parse(own))
    assert [(seconds(c.get("offset")) - start) / frame for c in clips] == [
        i * LENGTH for i in range(len(clips))
    ]
    assert [(seconds(c.get("start")) - source) / frame for c in clips] == frames(rate)
    assert seconds(sequence.get("duration")) == len(clips) * LENGTH * frame
    for clip in clips:
        assert source <= seconds(clip.get("start"))
        assert seconds(clip.get("start")) + seconds(clip.get("duration")) <= source + seconds(
            asset.get("duration")
        )
        (marker,) = clip
        assert marker.get("start") == clip.get("start")
    assert {c.get("tcFormat") for c in (*clips, sequence)} == {"DF" if rate.drop else "NDF"}


@pytest.mark.parametrize("rate", [r for r in RATES if r.fps.denominator == 1], ids=lambda rate: rate.name)
def test_opentimelineio_reads_our_fcpxml(rate):
    otio = pytest.importorskip("opentimelineio")
    pytest.importorskip("otio_fcpx_xml_adapter")  # it counts 29 frames a second at 29.97
    (timeline,) = otio.adapters.read_from_string(export(film(rate), "fcpxml"), "fcpx_xml")
    assert [clip.source_range.start_time.value for clip in timeline.find_clips()] == frames(rate)


@rates
def test_xmeml_keeps_its_rules(rate):
    root = ET.fromstring(export(film(rate), "xmeml"))
    assert (root.tag, root.get("version")) == ("xmeml", "5")
    assert {node.text for node in root.iter("timebase")} == {str(rate.nominal)}
    assert {node.text for node in root.iter("ntsc")} == {"TRUE" if rate.ntsc else "FALSE"}
    files = list(root.iter("file"))
    assert {file.get("id") for file in files} == {"file-1"}
    assert [len(file) > 0 for file in files] == [True, False]  # described once
    clips = {clip.get("id") for clip in root.iter("clipitem")}
    assert {link.text for link in root.iter("linkclipref")} == clips
    length = int(root.findtext("sequence/duration"))
    for marker in root.iter("marker"):
        assert 0 <= int(marker.findtext("in")) < int(marker.findtext("out")) <= length


@rates
def test_label_studio_counts_the_same_frames(rate):
    (task,) = json.loads(export(film(rate), "label-studio"))
    spans = [region["value"]["ranges"][0] for region in task["annotations"][0]["result"]]
    assert [(span["start"] - 1, span["end"] - span["start"] + 1) for span in spans] == [
        (f, LENGTH) for f in frames(rate)
    ]


# --- subtitles and chapters ---

SPANS = [(0.0, 1.5), (59.999, 61.0), (35998.001, 35999.999)]
TITLES = ["a dog runs", "it stops", "it waits"]


@pytest.mark.parametrize("name", ["srt", "vtt", "whisper"])
def test_pysubs2_reads_our_subtitles(name):
    pysubs2 = pytest.importorskip("pysubs2")
    text = export(told(SPANS, TITLES), name)
    if name == "whisper":
        cues = pysubs2.load_from_whisper(json.loads(text))
    else:
        cues = pysubs2.SSAFile.from_string(text, format_=name)
    assert [(cue.start / 1000, cue.end / 1000, cue.plaintext) for cue in cues] == [
        (a, b, title) for (a, b), title in zip(SPANS, TITLES, strict=True)
    ]


def chapters(path) -> list[tuple[float, float, str]]:
    import av

    with av.open(str(path)) as container:
        return [
            (
                round(float(c["start"] * c["time_base"]), 3),
                round(float(c["end"] * c["time_base"]), 3),
                c["metadata"]["title"],
            )
            for c in container.chapters()
        ]


NASTY = ['say "hi"; #1 = \\ 2', "<b> & --> 'c'", "שלום, עולם", "🐕‍🦺 läuft"]


def nasty():
    """Three seconds, four chapters."""
    spans = [(0.0, 0.5), (0.5, 1.25), (1.25, 2.0), (2.0, 2.999)]
    found = told(spans, NASTY, duration=3.0)
    return found, [(a, b, title) for (a, b), title in zip(spans, NASTY, strict=True)]


@pytest.mark.parametrize("container", ["mkv", "mp4"])
def test_ffmpeg_applies_our_metadata(container, short_video, tmp_path):
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("no ffmpeg here")
    found, expected = nasty()
    (tmp_path / "chapters.ffmeta").write_text(export(found, "ffmetadata"), encoding="utf-8")
    out = tmp_path / f"out.{container}"
    command = [ffmpeg, "-v", "error", "-i", short_video, "-i", tmp_path / "chapters.ffmeta"]
    subprocess.run([*command, "-map_metadata", "1", "-codec", "copy", out], check=True, capture_output=True)
    assert chapters(out) == expected


def test_pyav_reads_our_metadata(tmp_path):
    found, expected = nasty()
    (tmp_path / "chapters.ffmeta").write_text(export(found, "ffmetadata"), encoding="utf-8")
    assert chapters(tmp_path / "chapters.ffmeta") == expected


def test_our_matroska_chapters_survive_in_a_file(short_video, tmp_path):
    import av

    found, expected = nasty()
    atoms = list(ET.fromstring(export(found, "matroska")).iter("ChapterAtom"))
    assert len({atom.findtext("ChapterUID") for atom in atoms}) == len(atoms)

    def nanoseconds(clock: str) -> int:
        hours, minutes, rest = clock.split(":")
        whole, fraction = rest.split(".")
        assert len(fraction) == 9
        return (int(hours) * 3600 + int(minutes) * 60 + int(whole)) * 10**9 + int(fraction)

    out = tmp_path / "out.mkv"
    with av.open(str(short_video)) as source, av.open(str(out), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        target.set_chapters(
            [
                {
                    "id": int(atom.findtext("ChapterUID")),
                    "start": nanoseconds(atom.findtext("ChapterTimeStart")),
                    "end": nanoseconds(atom.findtext("ChapterTimeEnd")),
                    "time_base": Fraction(1, 10**9),
                    "metadata": {"title": atom.findtext("ChapterDisplay/ChapterString")},
                }
                for atom in atoms
            ]
        )
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    assert chapters(out) == expected
