"""Final Cut Pro XML 1.9: the moments one after the other as clips of one asset, each with a marker.

Times are fractions of a second and whole multiples of a frame. A clip's ``offset`` counts from the start of the
sequence's timecode; its ``start`` is the video's own time.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from .answers import Answers
from .markup import document, element
from .timeline import Event, Timeline, timeline

VERSION = "1.9"
_HERTZ = {
    32000: "32k",
    44100: "44.1k",
    48000: "48k",
    88200: "88.2k",
    96000: "96k",
    176400: "176.4k",
    192000: "192k",
}


def write(item: Answers) -> str:
    """A clip a moment, by time."""
    cut = timeline(item)
    spine = element("spine", *(_clip(cut, event) for event in cut.events))
    sequence = element(
        "sequence",
        spine,
        format="r1",
        duration=_time(cut, cut.edited),
        tcStart=_time(cut, cut.start),
        tcFormat=_form(cut),
        audioLayout=_layout(cut) if cut.media.audio_channels else None,
        audioRate=_HERTZ.get(cut.media.audio_hz),
    )
    project = element("project", sequence, name=cut.name)
    root = element(
        "fcpxml",
        element("resources", _format(cut), _asset(cut)),
        element("library", element("event", project, name=cut.name)),
        version=VERSION,
    )
    return document(root, "fcpxml")


def _format(cut: Timeline) -> ET.Element:
    return element(
        "format", id="r1", frameDuration=_time(cut, 1), width=cut.media.width, height=cut.media.height
    )


def _asset(cut: Timeline) -> ET.Element:
    sound = cut.media.audio_channels
    return element(
        "asset",
        element("media-rep", kind="original-media", src=cut.url),
        id="r2",
        name=cut.file_name,
        start=_time(cut, cut.media_start),
        duration=_time(cut, cut.length),
        hasVideo=1,
        videoSources=1,
        format="r1",
        hasAudio=1 if sound else None,
        audioSources=1 if sound else None,
        audioChannels=sound or None,
        audioRate=cut.media.audio_hz or None,
    )


def _clip(cut: Timeline, event: Event) -> ET.Element:
    start = _time(cut, cut.media_start + event.first)
    marker = element(
        "marker", start=start, duration=_time(cut, 1), value=event.title, note=f"score {event.score:.2f}"
    )
    return element(
        "asset-clip",
        marker,
        ref="r2",
        name=event.title,
        offset=_time(cut, cut.start + event.placed),
        start=start,
        duration=_time(cut, event.length),
        format="r1",
        tcFormat=_form(cut),
    )


def _form(cut: Timeline) -> str:
    return "DF" if cut.rate.drop else "NDF"


def _layout(cut: Timeline) -> str:
    return {1: "mono", 2: "stereo"}.get(cut.media.audio_channels, "surround")


def _time(cut: Timeline, frames: int) -> str:
    """Frames as a fraction of a second over the rate's own denominator."""
    if not frames:
        return "0s"
    return f"{frames * cut.rate.fps.denominator}/{cut.rate.fps.numerator}s"
