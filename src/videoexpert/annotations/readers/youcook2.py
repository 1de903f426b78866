"""YouCook2: the original database JSON, or the layouts that other projects convert it to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records
from ..samples import Sample
from .events import clean_events, event_records, make_event_record, parse_events

NAMES = ("youcookii_annotations_trainval.json", "youcookii_annotations_train_and_100val.json")
SHORT_S = 1.0 + 1e-9  # times are whole seconds: one second or less


def parse(path: Path, split: str | None = None) -> Records:
    """One record a video, id = video id = key of the database (``video_url`` is wrong for some).

    path   ``youcookii_annotations_trainval.json`` or its folder; also ActivityNet's and TimeChat's layout
    split  "train" or "val" (also "training", "validation"); None: both

    Raises DataError that names the video of a malformed record.
    """
    wanted = BENCHMARK.known_split(split)
    file, _ = BENCHMARK.locate(path, wanted)
    content = files.load_json(file)
    if isinstance(content, dict) and "database" not in content:
        return parse_events(file, content, wanted)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise DataError(f"{file}: expected an object with the key 'database'.")
    found = [_record(file, video, entry) for video, entry in database.items()]
    if wanted is not None and wanted not in {subset for subset, _ in found}:
        held = ", ".join(sorted({subset for subset, _ in found})) or "no video"
        raise DataError(f"{file} has no video of subset {wanted!r}: it has {held}.")
    found = [(subset, record) for subset, record in found if wanted in (None, subset)]
    counts: dict[str, dict[str, int]] = {}
    for part in dict.fromkeys(subset for subset, _ in found):
        counts |= event_records(file, [record for subset, record in found if subset == part], part).counts
    return Records(tuple(record for _, record in found), counts, wanted, (file,))


def _record(file: Path, video: str, entry: Any) -> tuple[str, Record]:
    where = f"{file}, video {video}"
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected an object, got {type(entry).__name__}.")
    subset = files.text_field(entry, "subset", where)
    events = files.list_field(entry, "annotations", where)
    if not all(isinstance(event, dict) for event in events):
        raise DataError(f"{where}: annotations, expected objects with segment and sentence.")
    duration_s = files.duration(entry.get("duration"), where)
    segments = [event.get("segment") for event in events]
    record = make_event_record(file, video, duration_s, segments, [e.get("sentence") for e in events])
    record.raw = entry.get("video_url")
    return subset, record


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The video as one caption sample."""
    if record.raw is not None and not str(record.raw).endswith(f"={record.video}"):
        report.add("url_mismatch", record.video, str(record.raw))
    return clean_events(record, report, SHORT_S)


BENCHMARK = Benchmark(
    name="youcook2",
    title="YouCook2",
    parse=parse,
    clean=clean,
    layout={"validation": NAMES, "training": NAMES},
    aliases={"train": "training", "val": "validation"},
    published={
        "training": {"videos": 1333, "segments": 10337},
        "validation": {"videos": 457, "segments": 3492},
    },
    tasks=("caption",),
    scorer="captions",
    answered=True,
    drawn=True,
    train_split="training",
    score_split="validation",
    parts_in_file=True,
    documented={
        "files": "`youcookii_annotations_trainval.json`, or the ActivityNet layout",
        "sample": "caption, one a video",
        "id": "video",
        "task": "dense captioning",
        "source": "YouCook2",
    },
)
