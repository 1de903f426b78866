"""Repairs shared by the readers. Each is counted in the report under the kind whose rule it follows."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import pairwise

from ..dirty import CleaningReport
from ..records import Record
from ..samples import Window


def clean_text(text: str, report: CleaningReport, id: str) -> str:
    """One line without outer or repeated spaces; empty where nothing can be asked (the caller drops and counts
    that)."""
    if not text.isascii():
        if not is_unicode(text):
            report.add("not_unicode", id, ascii(text[:40]))
            return ""
        report.add("non_ascii", id, text.strip())
    cleaned = " ".join(text.split())
    if cleaned == text:
        return text
    stripped = text.strip()
    if stripped != text:
        report.add("outer_spaces", id, repr(text[:40]))
    if "\n" in text or re.search(r"[^\S ]", stripped):
        report.add("line_breaks", id, repr(text[:40]))
    if "  " in stripped:
        report.add("double_spaces", id, stripped)
    return cleaned


def is_unicode(text: str) -> bool:
    """Whether the text can be written at all: JSON can spell halves of a surrogate pair, files cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def clean_window(
    window: Window,
    duration_s: float | None,
    report: CleaningReport,
    id: str,
    *,
    swap_reversed: bool = False,
    as_annotated: bool = False,
    slack_s: float = 0.0,
) -> Window | None:
    """The window as it is asked and scored, or None where it is dropped.

    window        (start, end) in seconds as annotated
    duration_s    None: nothing is known to clip to
    as_annotated  what reaches past the video is counted and kept, because the benchmark's scorers count it so
    slack_s       a start this far before 0 is rounding, and kept
    """
    start, end = window
    if duration_s is not None and end > duration_s:
        report.add("end_after_duration", id, f"{end} of {duration_s}")
    if start > end:
        report.add("reversed_swapped" if swap_reversed else "reversed_dropped", id, f"{start} {end}")
        if not swap_reversed:
            return None
        start, end = end, start
    if start < 0:
        report.add("start_before_zero", id, f"{start} {end}")
    if duration_s is not None and start >= duration_s:
        report.add("outside_video", id, f"{start} {end} of {duration_s}")
        if not as_annotated:
            return None
    if not as_annotated:
        start = start if start >= -slack_s else 0
        end = max(end, 0)
        end = min(end, duration_s) if duration_s is not None else end
    if start == end:
        report.add("zero_length", id, f"{start} {end}")
        return None
    return start, end


def lies_inside(record: Record) -> bool:
    """Whether every window is one that cleaning leaves alone: forward, of some length, inside the video."""
    last = math.inf if record.duration_s is None else record.duration_s
    return all(0 <= start < end <= last for start, end in record.windows)


def usable_windows(record: Record, report: CleaningReport) -> tuple[Window, ...] | None:
    """The windows inside the video; None where one of them cannot be found."""
    cleaned = [clean_window(window, record.duration_s, report, record.id) for window in record.windows]
    kept = tuple(window for window in cleaned if window is not None)
    if len(kept) < len(cleaned):
        report.add("incomplete_windows" if kept else "no_window_left", record.id)
        return None
    return kept


def note_order(windows: Sequence[Window], report: CleaningReport, id: str) -> None:
    """Count videos whose events are out of order or overlap, as annotated; both are normal and kept."""
    if list(windows) != sorted(windows):
        report.add("unsorted", id)
    if any(b[0] < a[1] for a, b in pairwise(windows)):
        report.add("overlapping", id)


def named(record: Record, report: CleaningReport) -> bool:
    """Whether the record's ids can be written down; counts ids that look like options of a command."""
    for name in (record.video, record.id):
        if not name.isascii() and not is_unicode(name):
            report.add("not_unicode", record.id, ascii(name[:40]))
            return False
    if record.video.startswith("-"):
        report.add("leading_dash", record.video)
    return True


class UniqueIds:
    """Ids of one file made unique: the second "a" becomes "a#2", and is counted."""

    def __init__(self, report: CleaningReport) -> None:
        self._report = report
        self._used: set[str] = set()
        self._again: dict[str, int] = {}

    def __call__(self, id: str) -> str:
        if id not in self._used:
            self._used.add(id)
            return id
        self._report.add("duplicate_id", id)
        number = self._again.get(id, 1) + 1
        while f"{id}#{number}" in self._used:
            number += 1
        self._again[id] = number
        self._used.add(f"{id}#{number}")
        return f"{id}#{number}"
