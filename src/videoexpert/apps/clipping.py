"""The moments of answers as files: which ones, where they go, and the sheet that shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..export import Answers, Mark
from ..export.names import clip_name
from ..export.text import clock
from ..files import write_bytes

if TYPE_CHECKING:
    import numpy as np

    from ..video.clip import WrittenClip

SHEET = "contact-sheet.jpg"
PICTURES = 4  # of each moment on the sheet
THUMBNAIL = 300  # pixels of the longer side
NOTHING = 3  # the exit code where there is nothing to cut
SHORTEST_S = 0.1  # a moment that is a point is shown for this long


@dataclass(frozen=True)
class Chosen:
    """A moment to cut: start and end of the cut, padding included, and the sentence it shows."""

    video: str
    start: float
    end: float
    mark: Mark


def choose(items: Iterable[Answers], top_k: int, min_score: float, pad: float) -> list[Chosen]:
    """Of each video and title the best ``top_k`` moments with at least that score, by time.

    ``pad`` seconds are added at both ends, within the video. Raises VideoError for a video that no longer exists.
    """
    from ..video import glance

    found = []
    for item in items:
        marks = [mark for mark in item.marks() if mark.score >= min_score]
        by_title: dict[str, list[Mark]] = {}
        for mark in sorted(marks, key=lambda mark: -mark.score):
            by_title.setdefault(mark.title, []).append(mark)
        kept = {id(mark) for same in by_title.values() for mark in same[:top_k]}
        if not kept:
            continue
        length = glance(item.video).duration_s
        for mark in marks:
            if id(mark) in kept:
                found.append(Chosen(item.video, *padded(mark.start, mark.end, pad, length), mark))
    return found


def padded(start: float, end: float, pad: float, length: float) -> tuple[float, float]:
    """``pad`` seconds more at both ends, within a video of ``length`` seconds; never shorter than SHORTEST_S."""
    start = max(0.0, min(start - pad, length - SHORTEST_S))
    return start, min(length, max(end + pad, start + SHORTEST_S))


def cut_all(
    chosen: Sequence[Chosen], folder: Path, exact: bool, done: Callable[[WrittenClip, Chosen], None]
) -> list[WrittenClip]:
    """A file a moment in the folder; ``done`` is called with each. Raises what ``cut`` raises."""
    from ..video.clip import cut

    clips = []
    for number, one in enumerate(chosen, 1):
        name = clip_name(number, PurePath(one.video).stem, one.mark.start, one.mark.end, one.mark.title)
        clips.append(cut(one.video, one.start, one.end, folder / name, exact=exact))
        done(clips[-1], one)
    return clips


def write_sheet(chosen: Sequence[Chosen], clips: Sequence[WrittenClip], folder: Path) -> Path:
    """The contact sheet of the clips, in their folder."""
    from ..export.sheet import MOST_ROWS, Row, contact_sheet

    pictures = _pictures(chosen[:MOST_ROWS])
    rows = [
        Row(shown, one.mark.title, f"{_span(one)} · score {one.mark.score:.2f} · {clip.path.name}")
        for one, clip, shown in zip(chosen, clips, pictures, strict=False)
    ]
    names = dict.fromkeys(PurePath(one.video).name for one in chosen)
    more = f", the first {MOST_ROWS} of {len(chosen)}" if len(chosen) > MOST_ROWS else ""
    path = folder / SHEET
    write_bytes(path, contact_sheet(rows, f"{', '.join(names)}{more}"))
    return path


def _span(one: Chosen) -> str:
    return f"{clock(one.mark.start, one.mark.end)} to {clock(one.mark.end, one.mark.end)}"


def _pictures(chosen: Sequence[Chosen]) -> list[Sequence[np.ndarray]]:
    """Small pictures of each moment, spread over it; one pass over each video."""
    from ..video.thumbnails import shrink, thumbnails

    found: dict[int, Sequence[np.ndarray]] = {}
    for video in dict.fromkeys(one.video for one in chosen):
        places = [place for place, one in enumerate(chosen) if one.video == video]
        spans = [(chosen[place].start, chosen[place].end) for place in places]
        pictures = thumbnails(video, spans, PICTURES, resize=shrink(THUMBNAIL))
        found.update(zip(places, (list(shown) for shown in pictures), strict=True))
    return [found[place] for place in range(len(chosen))]
