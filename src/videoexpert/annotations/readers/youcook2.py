"""YouCook2: the original database JSON, or the ActivityNet layout that other projects convert it to."""

from __future__ import annotations

from pathlib import Path

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset
from .activitynet import caption_sample, read_captions

EXTRA = ()
SPLITS = {"train": "training", "val": "validation", "training": "training", "validation": "validation"}
NAMES = ("youcookii_annotations_trainval.json", "youcookii_annotations_train_and_100val.json")
SHORT_S = 1.0 + 1e-9  # times are whole seconds: one second or less


def read(path: Path, *, split: str | None = None) -> Dataset:
    """One caption sample a video, id = video id = key of the database (``video_url`` is wrong for some).

    path   ``youcookii_annotations_trainval.json`` or its folder
    split  "train" or "val" (also "training", "validation"); None: both

    Raises DataError that names the video of a malformed record.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of youcook2 is {split!r}, expected one of {', '.join(SPLITS)}.")
    wanted = SPLITS[split] if split else None
    file = files.locate(path, NAMES)
    content = files.load_json(file)
    if isinstance(content, dict) and "database" not in content:
        return read_captions(file, content, "youcook2", wanted, SHORT_S)
    database = content.get("database") if isinstance(content, dict) else None
    if not isinstance(database, dict):
        raise DataError(f"{file}: expected an object with the key 'database'.")
    report, samples = Report(), []
    counts: dict[str, dict[str, int]] = {}
    for video, record in database.items():
        where = f"{file}, video {video}"
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected an object, got {type(record).__name__}.")
        subset = files.text_field(record, "subset", where)
        if wanted is not None and subset != wanted:
            continue
        events = files.list_field(record, "annotations", where)
        if not all(isinstance(event, dict) for event in events):
            raise DataError(f"{where}: annotations, expected objects with segment and sentence.")
        count = counts.setdefault(subset, {"videos": 0, "segments": 0})
        count["videos"] += 1
        count["segments"] += len(events)
        if "video_url" in record and not str(record["video_url"]).endswith(f"={video}"):
            report.add("url_mismatch", video, str(record["video_url"]))
        sample = caption_sample(
            video,
            files.duration(record.get("duration"), where),
            [files.pair(event.get("segment"), where) for event in events],
            [event.get("sentence") for event in events],
            report,
            where,
            SHORT_S,
        )
        if sample is not None:
            samples.append(sample)
    return Dataset("youcook2", tuple(samples), report, counts, wanted, (file,))
