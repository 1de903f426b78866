"""TVSum: how worth watching each second of a video is, by twenty annotators (from lighthouse)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..benchmark import Benchmark
from ..records import Records
from ..samples import Window
from .clip_lines import clean, read_clips


def parse(path: Path, split: str | None = None) -> Records:
    """One record a video, whose title is the query; one clip a second, scores 1 to 5.

    path  ``tvsum_{split}_release.jsonl``, or its folder (then val unless ``split`` says otherwise)

    Raises DataError with the line of a malformed record.
    """
    file, split = BENCHMARK.locate(path, split)
    return read_clips(file, split, _seconds)


def _seconds(row: dict[str, Any], count: int, duration_s: float, where: str) -> list[Window]:
    return [(float(second), second + 1.0) for second in range(count)]


BENCHMARK = Benchmark(
    name="tvsum",
    title="TVSum",
    parse=parse,
    clean=clean,
    layout={split: (f"tvsum_{split}_release.jsonl",) for split in ("val", "train")},
    published={"train": {"records": 40, "videos": 40}, "val": {"records": 10, "videos": 10}},
    tasks=("highlight",),
    scorer="best clips",
    answered=True,
    documented={
        "files": "`tvsum_{train,val}_release.jsonl`",
        "sample": "highlight: scores for every second, one a video",
        "id": "`qid`",
        "task": "highlights",
        "source": "lighthouse `data/`",
    },
)
