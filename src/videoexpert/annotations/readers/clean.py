"""Repairs shared by the readers. Each is counted in the report under the kind whose rule it follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from ..dirty import Report
from ..samples import Window


def clean_text(text: str, report: Report, id: str) -> str:
    """One line without outer or repeated spaces; may come out empty (the caller drops and counts that)."""
    if not text.isascii():
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


def clean_window(
    window: Window,
    duration_s: float | None,
    report: Report,
    id: str,
    *,
    swap_reversed: bool = False,
    clip: bool = True,
) -> Window | None:
    """The window inside the video, or None where it is dropped.

    window      (start, end) in seconds as annotated
    duration_s  None: nothing is known to clip to
    clip        False counts starts before 0 and ends after the video, but leaves them
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
    if clip:
        start, end = max(start, 0), max(end, 0)
        if duration_s is not None and start >= duration_s:
            report.add("outside_video", id, f"{start} {end} of {duration_s}")
            return None
        end = min(end, duration_s) if duration_s is not None else end
    if start == end:
        report.add("zero_length", id, f"{start} {end}")
    return start, end


def note_order(windows: Sequence[Window], report: Report, id: str) -> None:
    """Count videos whose events are out of order or overlap, as annotated; both are normal and kept."""
    if list(windows) != sorted(windows):
        report.add("unsorted", id)
    if any(b[0] < a[1] for a, b in pairwise(windows)):
        report.add("overlapping", id)


def note_id(video: str, report: Report) -> None:
    if video.startswith("-"):
        report.add("leading_dash", video)


class UniqueIds:
    """Ids of one file made unique: the second "a" becomes "a#2", and is counted."""

    def __init__(self, report: Report) -> None:
        self._report = report
        self._seen: dict[str, int] = {}

    def __call__(self, id: str) -> str:
        self._seen[id] = self._seen.get(id, 0) + 1
        if self._seen[id] == 1:
            return id
        self._report.add("duplicate_id", id)
        return f"{id}#{self._seen[id]}"
