"""ActivityNet Captions, and YouCook2 as PDVC has it: ``{video: {duration, timestamps, sentences}}``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset, Sample, Window
from .clean import clean_text, clean_window, note_id, note_order

EXTRA = ()
SPLITS = {"train": "train", "val_1": "val_1", "val_2": "val_2", "val": "val_1", "test": "val_2"}
SHORT_S = 0.5


def read(path: Path, *, split: str | None = None) -> Dataset:
    """One caption sample a video, id = video id; ``captions_to_grounding`` makes one sample a sentence of it.

    path   ``train.json``, ``val_1.json``, ``val_2.json`` or their folder (then val_1 unless ``split`` says)
    split  "val" is val_1 and "test" is val_2, as grounding papers use them

    Raises DataError that names the video of a malformed record.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of activitynet-captions is {split!r}, expected one of {', '.join(SPLITS)}.")
    split = SPLITS[split] if split else None
    file = files.locate(
        path, [f"{name}.json" for name in ([split] if split else ["val_1", "val_2", "train"])]
    )
    split = split or files.split_in_name(file, ("train", "val_1", "val_2"))
    return read_captions(file, files.load_json(file), "activitynet-captions", split, SHORT_S)


def read_captions(file: Path, database: Any, benchmark: str, split: str | None, short_s: float) -> Dataset:
    """The parsed layout as caption samples; windows shorter than ``short_s`` are counted."""
    if not isinstance(database, dict):
        raise DataError(
            f"{file}: expected one object of videos with duration, timestamps and sentences, "
            f"got {type(database).__name__}."
        )
    report, samples, segments = Report(), [], 0
    for video, record in database.items():
        where = f"{file}, video {video}"
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected an object, got {type(record).__name__}.")
        windows = [files.pair(value, where) for value in files.list_field(record, "timestamps", where)]
        sentences = files.list_field(record, "sentences", where)
        if len(windows) != len(sentences):
            raise DataError(
                f"{where}: {len(windows)} timestamps but {len(sentences)} sentences, expected as many."
            )
        segments += len(windows)
        duration_s = files.duration(record.get("duration"), where)
        sample = caption_sample(video, duration_s, windows, sentences, report, where, short_s)
        if sample is not None:
            samples.append(sample)
    counts = {split or "all": {"videos": len(database), "segments": segments}}
    return Dataset(benchmark, tuple(samples), report, counts, split, (file,))


def caption_sample(
    video: str,
    duration_s: float,
    windows: list[Window],
    sentences: list[Any],
    report: Report,
    where: str,
    short_s: float,
) -> Sample | None:
    """The events of one video as a sample; None where none is left."""
    if not video:
        raise DataError(f"{where}: empty video id, expected an id.")
    note_id(video, report)
    note_order(windows, report, video)
    kept: list[tuple[Window, str]] = []
    for index, (window, sentence) in enumerate(zip(windows, sentences, strict=True)):
        if not isinstance(sentence, str):
            raise DataError(f"{where}: sentence {index} is {sentence!r}, expected a text.")
        id = f"{video}_{index}"
        if sentence == "None" and tuple(window) == (0, 1):
            report.add("placeholder", id)
            continue
        text = clean_text(sentence, report, id)
        if not text:
            report.add("empty_text", id)
            continue
        cleaned = clean_window(window, duration_s, report, id, swap_reversed=True)
        if cleaned is None:
            continue
        if cleaned[1] - cleaned[0] < short_s:
            report.add("short", id, f"{cleaned[0]} {cleaned[1]}")
        kept.append((cleaned, text))
    if not kept:
        report.add("no_window_left", video)
        return None
    return Sample(
        video,
        video,
        "caption",
        duration_s,
        windows=tuple(window for window, _ in kept),
        captions=tuple(text for _, text in kept),
    )
