"""YouTube Highlights: which clips of a video its makers kept, in six domains (from lighthouse)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..records import Records
from ..samples import Window
from .clip_lines import clean, read_clips


def parse(path: Path, split: str | None = None) -> Records:
    """One record a video, whose domain is the query; clips of about 100 frames that begin every 50, label 0 or 1.

    path  ``youtube_highlight_{split}_release.jsonl``, or its folder (then val unless ``split`` says otherwise)

    Raises DataError with the line of a malformed record.
    """
    file, split = BENCHMARK.locate(path, split)
    return read_clips(file, split, _frames)


def _frames(row: dict[str, Any], count: int, duration_s: float, where: str) -> list[Window]:
    """Seconds of the frame ranges; the last of a video may name a frame or two too many."""
    fps = files.number(row.get("fps"), "fps", where)
    if fps <= 0:
        raise DataError(f"{where}: fps is {fps}, expected frames a second above 0.")
    clips = [files.pair(clip, f"{where}, clip") for clip in files.list_field(row, "clip", where)]
    return [(start / fps, min(end / fps, duration_s)) for start, end in clips]


BENCHMARK = Benchmark(
    name="youtube-highlights",
    title="YouTube Highlights",
    parse=parse,
    clean=clean,
    layout={split: (f"youtube_highlight_{split}_release.jsonl",) for split in ("val", "train")},
    published={"train": {"records": 233, "videos": 233}, "val": {"records": 152, "videos": 152}},
    tasks=("highlight",),
    scorer="clips",
    answered=True,
    documented={
        "files": "`youtube_highlight_{train,val}_release.jsonl`",
        "sample": "highlight: a score for every clip of 100 frames, one a video",
        "id": "`qid`",
        "task": "highlights",
        "source": "lighthouse `data/`",
    },
)
