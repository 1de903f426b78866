"""VTimeLLM-style instruction JSON: conversations whose times are placeholders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ... import files
from ...errors import DataError, InputError
from ..dirty import Report
from ..samples import Dataset, Sample, Turn, Window
from .clean import note_order

EXTRA = ()
SPLITS = ("stage2", "stage3")
ROLES = {"human": "user", "gpt": "assistant"}
PLACEHOLDER = re.compile(r"<([a-z])(\d+)>")  # matched whole, so <s1> is never taken for the start of <s10>
TIMES_AFTER = re.compile(r"[^.!?\s]\s+(?:from|during|between) <s\d+>", re.IGNORECASE)


def read(path: Path, *, split: str | None = None) -> Dataset:
    """One conversation sample a record, id ``{video}_{index in the list}``; placeholders stay in the turns.

    ``windows`` are the complete pairs (``<s0>``, ``<e0>``), ... by number; ``clip`` is ``meta.split``.

    path   the JSON file, or a folder with VTimeLLM's ``stage2.json`` and ``stage3.json``
    split  "stage2" or "stage3", for a folder

    Raises DataError with the place in the list of a malformed record.
    """
    if split is not None and split not in SPLITS:
        raise InputError(f"split of instruction is {split!r}, expected one of {', '.join(SPLITS)}.")
    file = files.locate(path, [f"{name}.json" for name in ([split] if split else SPLITS)])
    records = files.load_json(file)
    if not isinstance(records, list):
        raise DataError(f"{file}: expected a list of records, got {type(records).__name__}.")
    report, samples, videos = Report(), [], set()
    for index, record in enumerate(records):
        where = f"{file}, record {index}"
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected an object with id and conversations.")
        video = files.id_field(record, "id", where)
        videos.add(video)
        sample = _sample(record, video, f"{video}_{index}", report, where)
        if sample is not None:
            samples.append(sample)
    counts = {split or "all": {"records": len(records), "videos": len(videos)}}
    return Dataset("instruction", tuple(samples), report, counts, split, (file,))


def _sample(record: dict[str, Any], video: str, id: str, report: Report, where: str) -> Sample | None:
    turns = _turns(record, where)
    if len(turns) < 2 or any(
        turn.role != ("user", "assistant")[place % 2] for place, turn in enumerate(turns)
    ):
        report.add("turns_not_alternating", id)
        return None
    if any(not turn.text for turn in turns):
        report.add("empty_text", id)
        return None
    meta = record.get("meta") or {}
    if not isinstance(meta, dict) or not isinstance(meta.get("token", {}), dict):
        raise DataError(f"{where}: meta, expected an object with duration and token.")
    clip = files.pair(meta["split"], f"{where}, split") if meta.get("split") is not None else None
    if clip is not None and not 0 <= clip[0] < clip[1]:
        raise DataError(f"{where}: split is {list(clip)}, expected 0 <= start < end.")
    duration_s = files.duration(meta["duration"], where) if "duration" in meta else None
    if duration_s is None and clip is not None:
        duration_s = clip[1] - clip[0]
    tokens = meta.get("token", {})
    if tokens and duration_s is None:
        raise DataError(f"{where}: times without meta.duration, expected the seconds of the input.")
    named = {match[0] for turn in turns for match in PLACEHOLDER.finditer(turn.text)}
    if named - set(tokens):
        report.add("unknown_placeholder", id, ", ".join(sorted(named - set(tokens))))
        return None
    if any(turn.role == "assistant" and TIMES_AFTER.search(turn.text) for turn in turns):
        report.add("times_after_sentence", id)
    times = _times(tokens, named, duration_s, report, id, where)
    windows = _windows(times, report, id)
    note_order(windows, report, id)
    return Sample(
        id,
        video,
        "conversation",
        duration_s,
        windows=windows,
        turns=tuple(turns),
        times=tuple(times.items()),
        clip=clip,
        source=str(record["source"]) if record.get("source") else None,
    )


def _turns(record: dict[str, Any], where: str) -> list[Turn]:
    turns = []
    for turn in files.list_field(record, "conversations", where):
        role = ROLES.get(str(turn.get("from"))) if isinstance(turn, dict) else None
        if role is None:
            raise DataError(f"{where}: a turn without 'from', expected 'human' or 'gpt'.")
        turns.append(Turn(role, files.text_field(turn, "value", where).replace("<video>", "").strip()))
    return turns


def _times(
    tokens: dict[str, Any], named: set[str], duration_s: float | None, report: Report, id: str, where: str
) -> dict[str, float]:
    times: dict[str, float] = {}
    for placeholder, value in tokens.items():
        seconds = files.number(value, f"time of {placeholder}", where)
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


def _windows(times: dict[str, float], report: Report, id: str) -> tuple[Window, ...]:
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
                report.add("zero_length", id, f"{start} {end}")
    return tuple(window for _, window in sorted(windows.items()))
