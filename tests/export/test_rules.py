"""The rules of XML formats, element by element; and no frame off after ten hours at any rate that can be named."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from exported import HOURS, told
from videoexpert.export import choose_clock, export
from videoexpert.export.timecode import STANDARD, Rate
from videoexpert.video import media_info, write_video

DROPS = ("29.97", "59.94")
NAMED = [*(Rate(fps) for fps in STANDARD.values()), *(Rate(STANDARD[name], drop=True) for name in DROPS)]
LENGTH = 50


@dataclass(frozen=True)
class Rule:
    """What an element may hold: a pattern of its children, each name followed by a space; attributes, ``!`` needed."""

    children: str = ""
    attributes: str = ""

    def faults(self, node: ET.Element) -> list[str]:
        found = []
        inside = "".join(f"{child.tag} " for child in node)
        if not re.fullmatch(self.children, inside):
            found.append(f"{node.tag} holds {inside!r}")
        known = self.attributes.split()
        needed = {name[:-1] for name in known if name.endswith("!")}
        names = {name.rstrip("!") for name in known}
        found += [f"{node.tag} has {name}" for name in set(node.attrib) - names]
        return found + [f"{node.tag} lacks {name}" for name in needed - set(node.attrib)]


# Apple's FCPXML 1.9, as far as it is written here
FCPXML = {
    "fcpxml": Rule("resources (library |event |project )", "version!"),
    "resources": Rule("(format |asset |effect |media )*"),
    "format": Rule("", "id! name frameDuration fieldOrder width height paspH paspV colorSpace"),
    "asset": Rule(
        "(media-rep )+(metadata )?",
        "id! name uid start duration hasVideo format hasAudio videoSources audioSources audioChannels audioRate",
    ),
    "media-rep": Rule("(bookmark )?", "kind sig src! suggestedFilename"),
    "library": Rule("(event )*", "location colorProcessing"),
    "event": Rule("(project |clip |asset-clip )*", "name uid"),
    "project": Rule("sequence ", "name uid id modDate"),
    "sequence": Rule(
        "(note )?spine (metadata )?",
        "format! duration tcStart tcFormat audioLayout audioRate renderFormat keywords",
    ),
    "spine": Rule("(asset-clip |clip |gap |title )*", "lane offset name format"),
    "asset-clip": Rule(
        "(note )?(marker |chapter-marker |keyword )*",
        "ref! srcEnable audioStart audioDuration lane offset name start duration enabled format tcStart tcFormat "
        "audioRole videoRole modDate",
    ),
    "marker": Rule("", "start! duration value! completed note"),
}
XMEML = {
    "xmeml": Rule("(sequence |clip |bin |project )*", "version!"),
    "sequence": Rule("name duration rate timecode media (marker )*", "id!"),
    "rate": Rule("timebase ntsc "),
    "timecode": Rule("string frame displayformat rate "),
    "media": Rule("video (audio )?"),
    "marker": Rule("name comment in out "),
    "track": Rule("(clipitem )+"),
    "clipitem": Rule("name enabled duration rate start end in out file sourcetrack (link )*", "id!"),
    "file": Rule("(name pathurl rate duration timecode media )?", "id!"),
    "link": Rule("linkclipref mediatype "),
    "sourcetrack": Rule("mediatype trackindex "),
    "format": Rule("samplecharacteristics "),
}
MATROSKA = {
    "Chapters": Rule("(EditionEntry )+"),
    "EditionEntry": Rule("(EditionUID )?(EditionFlagHidden )?(EditionFlagDefault )?(ChapterAtom )*"),
    "ChapterAtom": Rule(
        "ChapterUID ChapterTimeStart ChapterTimeEnd (ChapterFlagHidden )?(ChapterFlagEnabled )?(ChapterDisplay )*"
    ),
    "ChapterDisplay": Rule("ChapterString ChapterLanguage "),
}
ENUMERATED = {
    "tcFormat": {"DF", "NDF"},
    "audioLayout": {"mono", "stereo", "surround"},
    "kind": {"original-media", "proxy-media"},
    "displayformat": {"DF", "NDF"},
    "ntsc": {"TRUE", "FALSE"},
    "mediatype": {"video", "audio"},
    "enabled": {"TRUE", "FALSE"},
}


def faults(root: ET.Element, rules: dict[str, Rule]) -> list[str]:
    found = []
    for node in root.iter():
        if node.tag in rules:
            found += rules[node.tag].faults(node)
        for key, value in [*node.attrib.items(), (node.tag, node.text)]:
            if key in ENUMERATED and value not in ENUMERATED[key]:
                found.append(f"{key} is {value!r}")
    return found


@pytest.mark.parametrize("sound", [True, False], ids=["sound", "silent"])
@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize(("name", "rules"), [("fcpxml", FCPXML), ("xmeml", XMEML), ("matroska", MATROSKA)])
def test_every_element_is_where_it_may_be(name, rules, count, sound):
    spans = [(float(i), i + 0.5) for i in range(count)]
    root = ET.fromstring(export(told(spans, ["a"], sound=sound), name))
    assert faults(root, rules) == []
    # apart from leaves of text, the table knows every element
    assert {node.tag for node in root.iter() if len(node)} - set(rules) <= {
        "video",
        "audio",
        "samplecharacteristics",
    }
    identifiers = [
        node.get("id") for node in root.iter() if node.get("id") and (len(node) or name == "fcpxml")
    ]
    assert len(set(identifiers)) == len(identifiers)


def test_the_table_sees_faults():
    root = ET.fromstring(export(told([(0.0, 1.0)]), "fcpxml"))
    root.find(".//asset-clip").set("tcFormat", "DROP")
    root.find(".//marker").attrib.pop("value")
    root.find("resources/asset").clear()
    assert faults(root, FCPXML) == [
        "asset holds ''",
        "asset lacks id",
        "tcFormat is 'DROP'",
        "marker lacks value",
    ]


def _edl(text: str, rate: Rate) -> list[tuple[int, int]]:
    rows = [line.split() for line in text.splitlines() if re.match(r"\d{3} ", line)]
    return [(rate.parse(row[4]), rate.parse(row[5]) - rate.parse(row[4])) for row in rows]


def _resolve(text: str, rate: Rate) -> list[tuple[int, int]]:
    first = rate.parse("01:00:00:00")
    starts = [rate.parse(line.split()[4]) - first for line in text.splitlines() if re.match(r"\d{3} ", line)]
    return list(zip(starts, map(int, re.findall(r"\|D:(\d+)", text)), strict=True))


def _otio(text: str, rate: Rate) -> list[tuple[int, int]]:
    clips = json.loads(text)["tracks"]["children"][0]["children"]
    ranges = [clip["source_range"] for clip in clips]
    assert {span["start_time"]["rate"] for span in ranges} == {float(rate.fps)}
    return [(span["start_time"]["value"], span["duration"]["value"]) for span in ranges]


def _fcpxml(text: str, rate: Rate) -> list[tuple[int, int]]:
    def frames(time: str) -> Fraction:
        return Fraction(time.removesuffix("s")) * rate.fps

    clips = ET.fromstring(text).iter("asset-clip")
    return [(frames(clip.get("start", "")), frames(clip.get("duration", ""))) for clip in clips]


def _xmeml(text: str, rate: Rate) -> list[tuple[int, int]]:
    spans = [
        (int(m.findtext("in", "")), int(m.findtext("out", ""))) for m in ET.fromstring(text).iter("marker")
    ]
    return [(first, end - first) for first, end in spans]


def _label_studio(text: str, rate: Rate) -> list[tuple[int, int]]:
    regions = json.loads(text)[0]["annotations"][0]["result"]
    spans = [region["value"]["ranges"][0] for region in regions]
    return [(span["start"] - 1, span["end"] - span["start"] + 1) for span in spans]


COUNTED: dict[str, Callable[[str, Rate], list[tuple[int, int]]]] = {
    "edl": _edl,
    "resolve-markers": _resolve,
    "otio": _otio,
    "fcpxml": _fcpxml,
    "xmeml": _xmeml,
    "label-studio": _label_studio,
}


@pytest.mark.parametrize("rate", NAMED, ids=lambda rate: rate.name)
@pytest.mark.parametrize("name", COUNTED)
def test_no_frame_is_off_after_ten_hours(name, rate):
    minute, last = rate.nominal * 60, rate.frame(HOURS) - LENGTH
    starts = [0, 1, minute - 1, minute, minute * 10, minute * 60 + 1, last // 2, last - 1, last]
    spans = [(float(rate.seconds(f)), float(rate.seconds(f + LENGTH))) for f in starts]
    assert COUNTED[name](export(told(spans, ["a"], rate), name), rate) == [(f, LENGTH) for f in starts]


def test_every_format_that_counts_frames_is_counted_here():
    from videoexpert.export import FORMATS

    assert set(COUNTED) == {format.name for format in FORMATS.values() if format.frames}


@pytest.mark.parametrize("rate", NAMED, ids=lambda rate: rate.name)
def test_opentimelineio_counts_timecodes_alike(rate):
    """Markers for Resolve, whose form it does not read: its timecodes by its own arithmetic."""
    opentime = pytest.importorskip("opentimelineio").opentime
    if rate.nominal > 60:
        pytest.skip("it knows no timecode at this rate")
    last = rate.frame(HOURS) - LENGTH
    spans = [(float(rate.seconds(f)), float(rate.seconds(f + LENGTH))) for f in (0, rate.nominal * 60, last)]
    text = export(told(spans, ["a"], rate), "resolve-markers")
    codes = [line.split()[4] for line in text.splitlines() if re.match(r"\d{3} ", line)]
    first = opentime.from_timecode("01:00:00;00" if rate.drop else "01:00:00:00", float(rate.fps)).value
    read = [opentime.from_timecode(code, float(rate.fps)).value - first for code in codes]
    assert read == [0, rate.nominal * 60, last]


UNEVEN = [0.0, 0.1, 0.15, 0.9, 1.0, 2.35, 2.4, 2.6, 4.05, 4.3, 5.85]  # seconds of pictures


@pytest.fixture(scope="module")
def uneven(tmp_path_factory):
    """What is known of a file of 6.5 s whose pictures are 50 to 1550 ms apart."""
    path = tmp_path_factory.mktemp("vfr") / "uneven.mp4"
    pictures = [np.full((48, 64, 3), 20 * i, dtype=np.uint8) for i in range(len(UNEVEN))]
    write_video(path, pictures, UNEVEN, duration_s=6.5)
    return media_info(path)


@pytest.mark.parametrize("name", COUNTED)
def test_a_variable_rate_is_told_and_costs_half_a_frame_at_most(name, uneven):
    clock, said = choose_clock(uneven, None, None)
    assert said is not None
    assert f"unevenly spaced: times are written in frames at {clock.rate.name} a second" in said
    spans = list(pairwise(UNEVEN))
    item = replace(told(spans, ["a"], clock.rate, duration=6.5), media=uneven, clock=clock)
    half = Fraction(1, 2) / clock.rate.fps
    found = COUNTED[name](export(item, name), clock.rate)
    assert len(found) == len(spans)
    for (first, length), (start, end) in zip(found, spans, strict=True):
        assert abs(clock.rate.seconds(Fraction(first)) - Fraction(start)) <= half
        # one that is shorter than a frame is a frame
        longest = max(Fraction(end), Fraction(start) + half)
        assert abs(clock.rate.seconds(Fraction(first + length)) - longest) <= half
