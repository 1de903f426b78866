"""What an editor must know of a file to cut in it, read from its packets and one picture."""

from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np

from ..types import MediaInfo
from .container import OpenFile, open_video
from .packets import read_packets
from .sandbox import apart
from .timeline import Timeline, timeline_of

EVEN_S = 0.004  # gaps between pictures that differ by less are a rounded constant frame rate
_TOLERANCE = Fraction(1, 500)  # a header's rate this near to the measured one is the exact form of it


@apart
def media_info(path: str | os.PathLike[str]) -> MediaInfo:
    """Rate, length, size, sound and timecode of a video. Decodes one picture.

    Raises:
        VideoError: not one readable local video file.
    """
    with open_video(path) as source:
        timeline = timeline_of(source, read_packets(source))
        fps, even = _rate(source, timeline)
    with open_video(path) as source:  # reading the packets went to the end
        width, height = _size(source)
        sound = source.container.streams.best("audio")
        audio = sound.codec_context if isinstance(sound, av.AudioStream) else None
        return MediaInfo(
            path=os.path.abspath(path),
            fps=fps,
            even=even,
            duration_s=float(timeline.duration_s),
            width=width,
            height=height,
            audio_channels=audio.channels if audio is not None else 0,
            audio_hz=audio.sample_rate if audio is not None else 0,
            timecode=_timecode(source),
        )


def _rate(source: OpenFile, timeline: Timeline) -> tuple[Fraction, bool]:
    """Pictures a second, and whether they are evenly spaced.

    Packets are timed to the container's tick, often a millisecond: of rates that fit, the header names the exact one.
    """
    gaps = np.diff(timeline.seconds(timeline.ticks))
    even = len(gaps) == 0 or float(gaps.max() - gaps.min()) <= EVEN_S
    span = (int(timeline.ticks[-1]) - int(timeline.ticks[0])) * timeline.time_base
    measured = (
        len(gaps) / span if span else 1 / ((timeline.end - int(timeline.ticks[0])) * timeline.time_base)
    )
    for stated in (source.stream.guessed_rate, source.stream.average_rate):
        if even and stated and abs(Fraction(stated) / measured - 1) <= _TOLERANCE:
            return Fraction(stated), even
    return measured, even


def _size(source: OpenFile) -> tuple[int, int]:
    """(width, height), upright, of the first picture; as stored where none decodes."""
    try:
        frame = next(source.container.decode(source.stream), None)
    except av.FFmpegError:
        frame = None
    return source.square_size if frame is None else source.upright_size(frame)


def _timecode(source: OpenFile) -> str | None:
    """The first picture's timecode: of the picture stream, a timecode track, or the file."""
    places = [
        source.stream.metadata,
        *(s.metadata for s in source.container.streams),
        source.container.metadata,
    ]
    return next((found["timecode"] for found in places if found.get("timecode")), None)
