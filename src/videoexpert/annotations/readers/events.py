"""Videos with their events: the layout of ActivityNet Captions, and what TimeChat makes of captions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..dirty import CleaningReport
from ..records import Record, Records
from ..samples import Sample, Window, captions_to_grounding
from .clean import clean_text, clean_window, named, note_order

FORM = "events"


def parse_events(file: Path, content: Any, split: str | None) -> Records:
    """``{video: {duration, timestamps, sentences}}``, or TimeChat's list of ``image_id, segments, pure_cap``.

    Raises DataError that names the video of a malformed record.
    """
    if not isinstance(content, dict):
        raise DataError(
            f"{file}: expected one object of videos with duration, timestamps and sentences, "
            f"got {type(content).__name__}."
        )
    if isinstance(content.get("annotations"), list):
        items = [_timechat(file, record) for record in content["annotations"]]
    else:
        items = [_event_record(file, video, record) for video, record in content.items()]
    return event_records(file, items, split)


def event_records(file: Path, items: Sequence[Record], split: str | None) -> Records:
    """The records of one part of a data set with its counts."""
    counts = {"videos": len(items), "segments": sum(len(record.windows) for record in items)}
    return Records(tuple(items), {split or "all": counts}, split, (file,))


def make_event_record(
    file: Path,
    video: str,
    duration_s: float | None,
    segments: Iterable[Any],
    sentences: Sequence[Any],
) -> Record:
    """One video from parsed lists. Raises DataError for lists that do not pair up."""
    where = f"{file}, video {video}"
    if not video:
        raise DataError(f"{where}: empty video id, expected an id.")
    windows = [files.pair(segment, where) for segment in segments]
    if len(windows) != len(sentences):
        raise DataError(
            f"{where}: {len(windows)} timestamps but {len(sentences)} sentences, expected as many."
        )
    for index, sentence in enumerate(sentences):
        if not isinstance(sentence, str):
            raise DataError(f"{where}: sentence {index} is {sentence!r}, expected a text.")
    return Record(video, video, "", windows, duration_s, f"video {video}", FORM, captions=sentences)


def _event_record(file: Path, video: str, record: Any) -> Record:
    where = f"{file}, video {video}"
    if not isinstance(record, dict):
        raise DataError(f"{where}: expected an object, got {type(record).__name__}.")
    return make_event_record(
        file,
        video,
        files.duration(record.get("duration"), where),
        files.list_field(record, "timestamps", where),
        files.list_field(record, "sentences", where),
    )


def _timechat(file: Path, record: Any) -> Record:
    """The captions are one string, split at ". "."""
    if not isinstance(record, dict):
        raise DataError(f"{file}: expected a list of objects, got {type(record).__name__} in it.")
    video = files.id_field(record, "image_id", str(file))
    where = f"{file}, video {video}"
    text = str(record.get("pure_cap") or "")
    duration_s = files.duration(record["duration"], where) if record.get("duration") is not None else None
    return make_event_record(
        file,
        video,
        duration_s,
        files.list_field(record, "segments", where),
        [f"{piece}." for piece in text.split(". ")] if text else [],
    )


def clean_events(record: Record, report: CleaningReport, short_s: float) -> Sample | None:
    """The events of one video as a caption sample; None where none is left. Windows below ``short_s`` are counted.

    An event that reaches past the video is kept as annotated: the scorers of dense captioning count it so.
    """
    if not named(record, report):
        return None
    note_order(record.windows, report, record.video)
    kept: list[tuple[int, Window, str]] = []
    for index, (window, sentence) in enumerate(zip(record.windows, record.captions, strict=True)):
        id = f"{record.video}_{index}"
        if sentence == "None" and tuple(window) == (0, 1):
            report.add("placeholder", id)
            continue
        text = clean_text(sentence, report, id)
        if not text:
            report.add("empty_text", id)
            continue
        if abs(window[1] - window[0]) < short_s:
            report.add("short", id, f"{window[0]} {window[1]}")
        cleaned = clean_window(window, record.duration_s, report, id, swap_reversed=True, as_annotated=True)
        if cleaned is not None:
            kept.append((index, cleaned, text))
    if not kept:
        report.add("no_window_left", record.video)
        return None
    numbers = tuple(index for index, _, _ in kept)
    return Sample(
        record.id,
        record.video,
        "caption",
        record.duration_s,
        windows=tuple(window for _, window, _ in kept),
        captions=tuple(text for _, _, text in kept),
        numbers=() if numbers == tuple(range(len(numbers))) else numbers,
    )


def sentences_of(records: Iterable[Record]) -> Iterator[Record]:
    """Each sentence as a query to find, id ``{video}_{place in the file}``: grounding on ActivityNet Captions."""
    for record in records:
        numbers = record.numbers or range(len(record.windows))
        for number, window, sentence in zip(numbers, record.windows, record.captions, strict=True):
            yield Record(
                f"{record.id}_{number}",
                record.video,
                sentence,
                (window,),
                record.duration_s,
                f"{record.place}, sentence {number}",
                FORM,
                raw=record,
                asked=record.asked,
            )


def clean_sentence(record: Record, report: CleaningReport, short_s: float) -> Sample | None:
    """A record of ``sentences_of`` as a grounding sample, by the rules of ``clean_events``."""
    alone = replace(record.raw, windows=record.windows, captions=[record.text], numbers=())
    sample = clean_events(alone, report, short_s)
    return None if sample is None else replace(captions_to_grounding(sample)[0], id=record.id)


def kept_sentences(records: Iterable[Record], short_s: float = 0.0) -> list[Record]:
    """``sentences_of`` as scorers take them: reversed windows swapped, and what ``clean_events`` drops not asked."""
    found = []
    for record in sentences_of(records):
        ((start, end),) = record.windows
        if not (start < end and record.text.strip() and record.text != "None" and record.text.isascii()):
            sample = clean_sentence(record, CleaningReport(), short_s)
            record.asked = sample is not None
            if sample is not None:
                record.windows = sample.windows
        found.append(record)
    return found
