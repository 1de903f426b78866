"""VTimeLLM-style instruction JSON: conversations whose times are placeholders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError
from ..benchmark import Benchmark
from ..dirty import CleaningReport
from ..records import Record, Records, counted
from ..samples import Sample, Turn, Window
from .clean import is_unicode, named, note_order

ROLES = {"human": "user", "gpt": "assistant"}
PLACEHOLDER = re.compile(
    r"<([a-z])(\d{1,6})>"
)  # matched whole, so <s1> is never taken for the start of <s10>
TIMES_AFTER = re.compile(r"[^.!?\s]\s+(?:from|during|between) <s\d+>", re.IGNORECASE)


def parse(path: Path, split: str | None = None) -> Records:
    """One record a conversation, id ``{video}_{index in the list}``; ``windows`` holds ``meta.split`` if there is one.

    path   the JSON file, or a folder with VTimeLLM's ``stage2.json`` and ``stage3.json``
    split  "stage2" or "stage3", for a folder

    Raises DataError with the place in the list of a malformed record.
    """
    file, _ = BENCHMARK.locate(path, split)
    rows = files.load_json(file)
    if not isinstance(rows, list):
        raise DataError(f"{file}: expected a list of records, got {type(rows).__name__}.")
    items = [_record(row, index, f"{file}, record {index}") for index, row in enumerate(rows)]
    return Records(tuple(items), counted(items, split), split, (file,))


def _record(row: Any, index: int, where: str) -> Record:
    if not isinstance(row, dict):
        raise DataError(f"{where}: expected an object with id and conversations.")
    video = files.id_field(row, "id", where)
    meta = row.get("meta") or {}
    if not isinstance(meta, dict) or not isinstance(meta.get("token", {}), dict):
        raise DataError(f"{where}: meta, expected an object with duration and token.")
    clip = files.pair(meta["split"], f"{where}, split") if meta.get("split") is not None else None
    if clip is not None and not 0 <= clip[0] < clip[1]:
        raise DataError(f"{where}: split is {list(clip)}, expected 0 <= start < end.")
    duration_s = files.duration(meta["duration"], where) if "duration" in meta else None
    if duration_s is None and clip is not None:
        duration_s = clip[1] - clip[0]
    tokens = {
        name: files.number(value, f"time of {name}", where) for name, value in meta.get("token", {}).items()
    }
    if tokens and duration_s is None:
        raise DataError(f"{where}: times without meta.duration, expected the seconds of the input.")
    return Record(
        f"{video}_{index}",
        video,
        windows=() if clip is None else (clip,),
        duration_s=duration_s,
        place=f"record {index}",
        kind=str(row["source"]) if row.get("source") else "",
        raw=(_turns(row, where), tokens),
    )


def _turns(row: dict[str, Any], where: str) -> tuple[Turn, ...]:
    turns = []
    for turn in files.list_field(row, "conversations", where):
        role = ROLES.get(str(turn.get("from"))) if isinstance(turn, dict) else None
        if role is None:
            raise DataError(f"{where}: a turn without 'from', expected 'human' or 'gpt'.")
        turns.append(Turn(role, files.text_field(turn, "value", where).replace("<video>", "").strip()))
    return tuple(turns)


def clean(record: Record, report: CleaningReport) -> Sample | None:
    """The conversation as a sample; placeholders stay in the turns.

    ``windows`` are the complete pairs (``<s0>``, ``<e0>``), ... by number; ``clip`` is ``meta.split``.
    """
    id = record.id
    turns, tokens = record.raw
    if not named(record, report):
        return None
    if len(turns) < 2 or any(
        turn.role != ("user", "assistant")[place % 2] for place, turn in enumerate(turns)
    ):
        report.add("turns_not_alternating", id)
        return None
    if any(not turn.text for turn in turns):
        report.add("empty_text", id)
        return None
    if not all(is_unicode(turn.text) for turn in turns):
        report.add("not_unicode", id)
        return None
    named_times = {match[0] for turn in turns for match in PLACEHOLDER.finditer(turn.text)}
    if named_times - set(tokens):
        report.add("unknown_placeholder", id, ", ".join(sorted(named_times - set(tokens))))
        return None
    if any(turn.role == "assistant" and TIMES_AFTER.search(turn.text) for turn in turns):
        report.add("times_after_sentence", id)
    times = _times(tokens, named_times, record.duration_s, report, id)
    windows = _windows(times, report, id)
    note_order(windows, report, id)
    return Sample(
        id,
        record.video,
        "conversation",
        record.duration_s,
        windows=windows,
        turns=turns,
        times=tuple(times.items()),
        clip=record.windows[0] if record.windows else None,
        source=record.kind or None,
    )


def _times(
    tokens: dict[str, float], named: set[str], duration_s: float | None, report: CleaningReport, id: str
) -> dict[str, float]:
    times: dict[str, float] = {}
    for placeholder, seconds in tokens.items():
        if placeholder not in named:
            report.add("unused_time", id, placeholder)
            continue
        if seconds < 0:
            report.add("start_before_zero", id, f"{placeholder} {seconds}")
            seconds = 0.0
        if duration_s is not None and seconds > duration_s:
            report.add("time_after_duration", id, f"{placeholder} {seconds} of {duration_s}")
            seconds = duration_s
        elif seconds == duration_s:
            report.add("time_at_end", id, placeholder)
        times[placeholder] = seconds
    for placeholder in list(times):
        other = placeholder.replace("<s", "<e")
        if other != placeholder and other in times and times[placeholder] > times[other]:
            report.add("reversed_swapped", id, f"{times[placeholder]} {times[other]}")
            times[placeholder], times[other] = times[other], times[placeholder]
    return times


def _windows(times: dict[str, float], report: CleaningReport, id: str) -> tuple[Window, ...]:
    windows = {}
    for placeholder, start in times.items():
        match = PLACEHOLDER.fullmatch(placeholder)
        if match is None or match[1] != "s":
            continue
        end = times.get(f"<e{match[2]}>")
        if end is None:
            report.add("start_only", id, placeholder)
        else:
            windows[int(match[2])] = (start, end)
            if start == end:
                report.add("zero_length_kept", id, f"{start} {end}")
    return tuple(window for _, window in sorted(windows.items()))


BENCHMARK = Benchmark(
    name="instruction",
    title="VTimeLLM's instruction data",
    parse=parse,
    clean=clean,
    layout={stage: (f"{stage}.json",) for stage in ("stage2", "stage3")},
    tasks=("conversation",),
    documented={
        "files": "VTimeLLM-style JSON (`stage2.json`, `stage3.json`)",
        "sample": "conversation",
        "id": "`VIDEO_INDEX`",
    },
)
