"""Final Cut Pro 7 XML (xmeml 5), which Premiere Pro reads: the whole video, the moments as markers of its sequence."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from .answers import Answers
from .markup import document, element, texts
from .timecode import Rate
from .timeline import Timeline, timeline


def write(item: Answers) -> str:
    """A marker a moment, by time, with its length."""
    cut = timeline(item)
    media = element("media", element("video", _picture_format(cut), element("track", _clip(cut, "video"))))
    if cut.media.audio_channels:
        media.append(element("audio", element("track", _clip(cut, "audio"))))
    markers = [
        element(
            "marker",
            *texts(name=event.title, comment=f"score {event.score:.2f}"),
            *texts(**{"in": event.first, "out": event.end}),
        )
        for event in cut.events
    ]
    sequence = element(
        "sequence",
        *texts(name=cut.name, duration=cut.length),
        _rate(cut.rate),
        _timecode(cut, cut.start),
        media,
        *markers,
        id="sequence-1",
    )
    return document(element("xmeml", sequence, version=5), "xmeml")


def _clip(cut: Timeline, kind: str) -> ET.Element:
    # the file is described once; the second clip refers to it
    file = element("file", id="file-1") if kind == "audio" else _file(cut)
    return element(
        "clipitem",
        *texts(name=cut.file_name, enabled="TRUE", duration=cut.length),
        _rate(cut.rate),
        *texts(start=0, end=cut.length, **{"in": 0, "out": cut.length}),
        file,
        element("sourcetrack", *texts(mediatype=kind, trackindex=1)),
        *(element("link", *texts(linkclipref=f"clip-{other}", mediatype=other)) for other in _kinds(cut)),
        id=f"clip-{kind}",
    )


def _kinds(cut: Timeline) -> tuple[str, ...]:
    """The clips that belong together; none where there is but one."""
    return ("video", "audio") if cut.media.audio_channels else ()


def _file(cut: Timeline) -> ET.Element:
    media = element("media", element("video", *texts(duration=cut.length), _characteristics(cut)))
    if cut.media.audio_channels:
        sound = element("samplecharacteristics", *texts(depth=16, samplerate=cut.media.audio_hz))
        media.append(element("audio", sound, *texts(channelcount=cut.media.audio_channels)))
    return element(
        "file",
        *texts(name=cut.file_name, pathurl=cut.url),
        _rate(cut.rate),
        *texts(duration=cut.length),
        _timecode(cut, cut.media_start),
        media,
        id="file-1",
    )


def _picture_format(cut: Timeline) -> ET.Element:
    return element("format", _characteristics(cut))


def _characteristics(cut: Timeline) -> ET.Element:
    return element(
        "samplecharacteristics",
        _rate(cut.rate),
        *texts(width=cut.media.width, height=cut.media.height, pixelaspectratio="square", anamorphic="FALSE"),
    )


def _rate(rate: Rate) -> ET.Element:
    return element("rate", *texts(timebase=rate.nominal, ntsc="TRUE" if rate.ntsc else "FALSE"))


def _timecode(cut: Timeline, frame: int) -> ET.Element:
    form = "DF" if cut.rate.drop else "NDF"
    return element(
        "timecode",
        *texts(string=cut.rate.timecode(frame), frame=frame, displayformat=form),
        _rate(cut.rate),
    )
